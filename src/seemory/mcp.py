"""A memory as tools and resources of the Model Context Protocol: over stdio, or over HTTP on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import Field

from seemory import __version__
from seemory.errors import ItemNotFound, SeemoryError
from seemory.memory import Memory
from seemory.remembering.texts import moment
from seemory.search.channels import POOL
from seemory.types import Hit, Kind

_ABOUT: Final = (
    "A memory of pictures, film scenes and texts. `recall` before you answer from what was said or shown earlier; "
    "`remember` what should last, one fact a text. Items are named by their ids."
)

T = TypeVar("T")

Limit = Annotated[int, Field(ge=1, le=50)]
Text = Annotated[str, Field(min_length=1, max_length=100_000)]
Words = Annotated[str, Field(min_length=1, max_length=10_000)]
Item = Annotated[str, Field(min_length=6, max_length=4096, description="An item's id, or a beginning of it.")]


def make_server(memory: Memory) -> MCPServer[Any]:
    """The server of one memory; whoever makes it closes the memory."""
    server: MCPServer[Any] = MCPServer("seemory", version=__version__, instructions=_ABOUT, log_level="WARNING")
    _add_texts(server, memory)
    _add_pictures(server, memory)
    _add_resources(server, memory)
    return server


def serve_here(server: MCPServer[Any], port: int) -> None:
    """Answer over streamable HTTP at this machine's `/mcp`, until a signal to stop comes.

    Names that a browser's page has made mean this machine are refused, and so are pages of other origins.
    """
    hosts = [f"{name}:{port}" for name in ("127.0.0.1", "localhost")]
    allowed = TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=[f"http://{host}" for host in hosts])
    server.run("streamable-http", host="127.0.0.1", port=port, transport_security=allowed)


def _add_texts(server: MCPServer[Any], memory: Memory) -> None:
    @server.tool(structured_output=True)
    def remember(
        text: Text,
        tags: Sequence[str] = (),
        when: str | None = None,
    ) -> dict[str, Any]:
        """Remember a text. Said before in nearly the same words, it is counted instead of kept twice.

        `when` is the day or moment that it is about, as 2026-05-04 or 2026-05-04T18:30.
        """
        done = _told(lambda: memory.remember(text, tags=tags, when=None if when is None else moment(when)))
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
        found = _told(lambda: memory.recall(words, limit=limit, kind=kind, where=where))
        return {"recalled": [_short(one.hit) | _said(one.as_json()) for one in found]}

    @server.tool(structured_output=True)
    def forget(items: Annotated[list[Item], Field(min_length=1, max_length=100)]) -> dict[str, Any]:
        """Forget items for good: texts, or pictures and scenes. No picture file of the user's is touched."""
        return {"forgotten": _told(lambda: memory.forget([_id(memory, item) for item in items]))}


def _add_pictures(server: MCPServer[Any], memory: Memory) -> None:
    @server.tool(structured_output=False)
    def find_pictures(
        words: Words,
        limit: Annotated[int, Field(ge=1, le=20)] = 5,
        where: Sequence[str] = (),
    ) -> list[Any]:
        """Pictures and film scenes that show or are described by these words: what is known of each, and a small image.

        Words in quotes must be among what was said of it, `-word` must not.
        """
        hits = _told(lambda: memory.search(words, limit=limit + POOL, where=where))
        return _shown(memory, [hit for hit in hits if hit.kind != "text"][:limit])

    @server.tool(structured_output=False)
    def similar(item: Item, limit: Annotated[int, Field(ge=1, le=20)] = 5) -> list[Any]:
        """Pictures and film scenes that look like an item: what is known of each, and a small image."""
        return _shown(memory, _told(lambda: memory.search(like=_id(memory, item), limit=limit)))

    @server.tool(structured_output=False)
    def describe_item(
        item: Item, caption: str | None = None, tags: list[str] | None = None, notes: str | None = None
    ) -> list[Any]:
        """All that is known of an item, and a small image; caption, tags and notes, if given, are said of it first."""

        def work() -> list[Any]:
            item_id = _id(memory, item)
            if caption is not None or tags is not None or notes is not None:
                memory.describe(item_id, caption=caption, tags=tags, notes=notes)
            return [_document(memory, item_id), *_image(memory, item_id)]

        return _told(work)


def _add_resources(server: MCPServer[Any], memory: Memory) -> None:
    @server.resource("seemory://stats", mime_type="application/json")
    def stats() -> str:
        """What the memory holds: items by kind, encoder, failures."""
        return json.dumps(memory.stats(), default=str)

    @server.resource("seemory://items/{item_id}", mime_type="application/json")
    def item(item_id: str) -> str:
        """All that is known of an item."""
        return _document(memory, _id(memory, item_id))

    @server.resource("seemory://items/{item_id}/picture", mime_type="image/jpeg")
    def picture(item_id: str) -> bytes:
        """The small picture of an item."""
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
