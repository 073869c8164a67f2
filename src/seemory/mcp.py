"""A memory as tools and resources of the Model Context Protocol: over stdio, or over HTTP, to whoever has a key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Final, TypeVar, cast
from uuid import UUID

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl, Field

from seemory import __version__
from seemory.errors import ItemNotFound, SeemoryError
from seemory.memory import Memory
from seemory.remembering.texts import moment
from seemory.search.channels import POOL
from seemory.store.keys import SCOPES, Keys, Scope
from seemory.types import Hit, Kind

_ABOUT: Final = (
    "A memory of pictures, film scenes and texts. `recall` before you answer from what was said or shown earlier; "
    "`remember` what should last, one fact a text. Items are named by their ids."
)

T = TypeVar("T")

Whose = Callable[[Scope], Memory]
"""The memory of whoever asks, who must be allowed so much."""

Limit = Annotated[int, Field(ge=1, le=50)]
Text = Annotated[str, Field(min_length=1, max_length=100_000)]
Words = Annotated[str, Field(min_length=1, max_length=10_000)]
Item = Annotated[str, Field(min_length=6, max_length=4096, description="An item's id, or a beginning of it.")]


def make_server(memory: Memory, *, keys: Keys | None = None) -> MCPServer[Any]:
    """The server of one memory, or, with `keys`, of each owner's to whoever shows a key of theirs over HTTP.

    Whoever makes it closes the memory.
    """
    named: dict[str, Any] = {"version": __version__, "instructions": _ABOUT, "log_level": "WARNING"}
    whose: Whose = lambda _: memory  # noqa: E731
    if keys is not None:
        # Nobody issues tokens here: the SDK wants an address for who does, and publishes none without a resource's.
        auth = AuthSettings(issuer_url=AnyHttpUrl("http://localhost"), resource_server_url=None)
        named |= {"auth": auth, "token_verifier": _KeysAsTokens(keys)}
        whose = partial(_by_key, memory)
    server: MCPServer[Any] = MCPServer("seemory", **named)
    _add_texts(server, whose)
    _add_pictures(server, whose)
    _add_resources(server, whose)
    return server


def serve_over_http(server: MCPServer[Any], host: str, port: int, *, keys: bool) -> None:
    """Answer over streamable HTTP at `/mcp`, until a signal to stop comes.

    Without keys, names that a browser's page has made mean this machine are refused, and so are pages of other
    origins. With keys each request is one by itself: a session, which is an id that somebody might have heard of, would
    be its owner's whatever key is shown with it.
    """
    hosts = [f"{name}:{port}" for name in ("127.0.0.1", "localhost")]
    allowed = TransportSecuritySettings(
        enable_dns_rebinding_protection=not keys,
        allowed_hosts=hosts,
        allowed_origins=[f"http://{host}" for host in hosts],
    )
    server.run("streamable-http", host=host, port=port, stateless_http=keys, transport_security=allowed)


class _KeysAsTokens:
    """Looks up each request's key, as the service does."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def verify_token(self, token: str) -> AccessToken | None:
        """What is known of it; None where it opens nothing."""
        key = await asyncio.to_thread(self._keys.find, token)
        if key is None:
            return None
        return AccessToken(token=str(key.id), client_id=str(key.id), scopes=[key.scope], subject=key.owner)


def _by_key(memory: Memory, scope: Scope) -> Memory:
    """The memory of the owner whose key this request has shown. Raises ToolError where it does not go so far."""
    token = get_access_token()
    if token is None or not token.subject:
        raise ToolError("show a key, as `Authorization: Bearer KEY`")
    held = cast(Scope, token.scopes[0])
    if SCOPES.index(held) < SCOPES.index(scope):
        raise ToolError(f"this key is for {held!r}, and this needs one for {scope!r}")
    return memory.of(token.subject)


def _add_texts(server: MCPServer[Any], whose: Whose) -> None:
    @server.tool(structured_output=True)
    def remember(
        text: Text,
        tags: Sequence[str] = (),
        when: str | None = None,
    ) -> dict[str, Any]:
        """Remember a text. Said before in nearly the same words, it is counted instead of kept twice.

        `when` is the day or moment that it is about, as 2026-05-04 or 2026-05-04T18:30.
        """
        done = _told(lambda: whose("write").remember(text, tags=tags, when=None if when is None else moment(when)))
        return {
            "item_id": str(done.item_id),
            "new": done.new,
            "times": done.times,
            "alike": [{"item_id": str(other), "cosine": cosine} for other, cosine in done.alike],
        }

    @server.tool(structured_output=True)
    def recall(
        words: Words,
        limit: Limit = 10,
        kind: Kind | None = None,
        where: Sequence[str] = (),
    ) -> dict[str, Any]:
        """What is remembered of these words, best first: texts, pictures and film scenes.

        `where` are conditions, such as "tag=travel" or "taken=2026-05".
        """
        found = _told(lambda: whose("read").recall(words, limit=limit, kind=kind, where=where))
        return {"recalled": [_short(one.hit) | _said(one.as_json()) for one in found]}

    @server.tool(structured_output=True)
    def forget(items: Annotated[list[Item], Field(min_length=1, max_length=100)]) -> dict[str, Any]:
        """Forget items for good: texts, or pictures and scenes. No picture file of the user's is touched."""
        memory = whose("write")
        return {"forgotten": _told(lambda: memory.forget([_id(memory, item) for item in items]))}


def _add_pictures(server: MCPServer[Any], whose: Whose) -> None:
    @server.tool(structured_output=False)
    def find_pictures(
        words: Words,
        limit: Annotated[int, Field(ge=1, le=20)] = 5,
        where: Sequence[str] = (),
    ) -> list[Any]:
        """Pictures and film scenes that show or are described by these words: what is known of each, and a small image.

        Words in quotes must be among what was said of it, `-word` must not.
        """
        memory = whose("read")
        hits = _told(lambda: memory.search(words, limit=limit + POOL, where=where))
        return _shown(memory, [hit for hit in hits if hit.kind != "text"][:limit])

    @server.tool(structured_output=False)
    def similar(item: Item, limit: Annotated[int, Field(ge=1, le=20)] = 5) -> list[Any]:
        """Pictures and film scenes that look like an item: what is known of each, and a small image."""
        memory = whose("read")
        return _shown(memory, _told(lambda: memory.search(like=_id(memory, item), limit=limit)))

    @server.tool(structured_output=False)
    def describe_item(
        item: Item, caption: str | None = None, tags: list[str] | None = None, notes: str | None = None
    ) -> list[Any]:
        """All that is known of an item, and a small image; caption, tags and notes, if given, are said of it first."""

        says = caption is not None or tags is not None or notes is not None
        memory = whose("write" if says else "read")

        def work() -> list[Any]:
            item_id = _id(memory, item)
            if says:
                memory.describe(item_id, caption=caption, tags=tags, notes=notes)
            return [_document(memory, item_id), *_image(memory, item_id)]

        return _told(work)


def _add_resources(server: MCPServer[Any], whose: Whose) -> None:
    @server.resource("seemory://stats", mime_type="application/json")
    def stats() -> str:
        """What the memory holds: items by kind, encoder, failures."""
        return json.dumps(whose("read").stats(), default=str)

    @server.resource("seemory://items/{item_id}", mime_type="application/json")
    def item(item_id: str) -> str:
        """All that is known of an item."""
        memory = whose("read")
        return _document(memory, _id(memory, item_id))

    @server.resource("seemory://items/{item_id}/picture", mime_type="image/jpeg")
    def picture(item_id: str) -> bytes:
        """The small picture of an item."""
        memory = whose("read")
        found = memory.thumbnail(_id(memory, item_id))
        if found is None:
            raise ItemNotFound(f"there is no small picture of item {item_id}")
        return found


def _told(work: Callable[[], T]) -> T:
    """What the work gives; what is wrong with what was asked is told to the agent in the library's own words."""
    try:
        return work()
    except SeemoryError as error:
        raise ToolError(str(error)) from error


def _id(memory: Memory, item: str) -> UUID:
    """The item that an id, or a beginning of one, means. A path names an item only where the memory has it."""
    return memory.get(item).item_id


def _short(hit: Hit) -> dict[str, Any]:
    told = {"item_id": str(hit.item_id), "kind": hit.kind, "rank": hit.rank, "score": round(hit.score, 3)}
    told |= {} if hit.kind == "text" else {"uri": hit.uri}
    return told | (
        {} if hit.start_s is None else {"start_s": hit.start_s, "end_s": hit.end_s, "moment_s": hit.moment_s}
    )


def _said(document: dict[str, Any]) -> dict[str, Any]:
    names = ("text", "tags", "when", "times", "wordings", "alike")
    return {name: document[name] for name in names if document[name] not in (None, [], 1)}


def _shown(memory: Memory, hits: Sequence[Hit]) -> list[Any]:
    """Each hit as JSON, its small image behind it."""
    shown: list[Any] = []
    for hit in hits:
        shown += [json.dumps(_short(hit)), *_image(memory, hit.item_id)]
    return shown or ["nothing found"]


def _image(memory: Memory, item_id: UUID) -> list[Image]:
    small = memory.thumbnail(item_id)
    return [] if small is None else [Image(data=small, format="jpeg")]


def _document(memory: Memory, item_id: UUID) -> str:
    item = memory.get(item_id)
    return json.dumps({name: getattr(item, name) for name in item.__slots__}, default=str)
