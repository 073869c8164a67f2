"""`seemory mcp` asked by the SDK's own client, over stdio and over HTTP."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import httpx
import pytest
from PIL import Image

from seemory.memory import Memory
from seemory.settings import read_settings
from seemory.store.keys import Keys

pytest.importorskip("mcp")
httpx2 = pytest.importorskip("httpx2", reason="the SDK's own HTTP client")

CODE = "from seemory.cli import main; main()"


@pytest.fixture(scope="module")
def filled(home: Path, package_photographs: dict[str, Path]) -> Memory:
    name = f"agent-{uuid4().hex[:8]}"
    memory = Memory(read_settings(home=home, owner=name, collection=name), model="seemory-mini")
    memory.index(*(package_photographs[one] for one in ("cat", "rocket", "coffee", "flower")))
    return memory


def environment(memory: Memory) -> dict[str, str]:
    own = {name: str(getattr(memory, name)) for name in ("home", "owner", "collection")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEEMORY_")}
    return kept | {f"SEEMORY_{name.upper()}": value for name, value in own.items()}


async def a_day_of_an_agent(server: Any, memory: Memory) -> None:
    """All that an agent does, and what comes of it."""
    from mcp import Client

    async with Client(server) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"remember", "recall", "forget", "find_pictures", "similar", "describe_item"}
        assert all(tool.description for tool in tools.values())

        said = {"text": "Anna keeps the spare key under the blue pot", "tags": ["anna"], "when": "2026-05-04"}
        first = (await client.call_tool("remember", said)).structured_content
        again = (await client.call_tool("remember", said)).structured_content
        assert (first["new"], again["new"], again["times"]) == (True, False, 2)
        assert again["item_id"] == first["item_id"]

        found = (await client.call_tool("recall", {"words": "where is the key", "limit": 3})).structured_content
        (key,) = [one for one in found["recalled"] if one["kind"] == "text"]
        assert (key["text"], key["tags"], key["times"]) == (said["text"], ["anna"], 2)
        assert key["when"].startswith("2026-05-04")
        assert {one["kind"] for one in found["recalled"]} == {"text", "image"}

        pictures = (await client.call_tool("find_pictures", {"words": "a cat", "limit": 2})).content
        assert [part.type for part in pictures] == ["text", "image", "text", "image"]
        cat = json.loads(pictures[0].text)
        assert cat["uri"].endswith("chelsea.png")
        small = Image.open(io.BytesIO(base64.b64decode(pictures[1].data)))
        assert (pictures[1].mime_type, small.format) == ("image/jpeg", "JPEG")
        assert max(small.size) <= 256

        alike = (await client.call_tool("similar", {"item": cat["item_id"][:13], "limit": 1})).content
        assert [part.type for part in alike] == ["text", "image"]
        assert json.loads(alike[0].text)["item_id"] != cat["item_id"]

        told = {"item": cat["item_id"], "caption": "Chelsea, a tabby cat", "tags": ["pet"]}
        described = (await client.call_tool("describe_item", told)).content
        assert json.loads(described[0].text)["caption"] == "Chelsea, a tabby cat"
        assert memory.get(cat["item_id"]).tags == ("pet",)

        stats = json.loads((await client.read_resource("seemory://stats")).contents[0].text)
        assert stats["by_kind"] == {"image": 4, "text": 1}
        assert "seemory://stats" in {str(one.uri) for one in (await client.list_resources()).resources}
        shown = await client.read_resource(f"seemory://items/{cat['item_id']}")
        assert json.loads(shown.contents[0].text)["item_id"] == cat["item_id"]
        picture = await client.read_resource(f"seemory://items/{cat['item_id']}/picture")
        assert base64.b64decode(picture.contents[0].blob) == base64.b64decode(pictures[1].data)

        for name, wrong in (
            ("forget", {"items": [str(uuid4())]}),
            ("similar", {"item": "/etc/passwd"}),
            ("describe_item", {"item": "nobody-knows-it"}),
            ("remember", {"text": "x", "when": "tomorrow"}),
            ("remember", {"text": ""}),
            ("recall", {"words": "x", "limit": 1000}),
            ("recall", {"words": "x", "where": ["nonsense"]}),
        ):
            refused = await client.call_tool(name, wrong)
            assert refused.is_error, (name, wrong)
            assert "Traceback" not in refused.content[0].text
        gone = (await client.call_tool("forget", {"items": [first["item_id"]]})).structured_content
        assert gone == {"forgotten": 1}


def test_over_stdio(filled: Memory) -> None:
    from mcp import StdioServerParameters

    given = StdioServerParameters(command=sys.executable, args=["-c", CODE, "mcp"], env=environment(filled))
    anyio.run(a_day_of_an_agent, given, filled)


@contextlib.contextmanager
def served(memory: Memory, *options: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", CODE, "mcp", "--http", "--port", str(port), *options]
    process = subprocess.Popen(command, env=environment(memory), stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert f"http://127.0.0.1:{port}/mcp" in process.stderr.readline()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait(60)


def test_over_http_on_this_machine_alone(filled: Memory) -> None:
    with served(filled) as address:
        anyio.run(a_day_of_an_agent, address, filled)
        for headers in ({"Host": "attacker.example"}, {"Origin": "https://attacker.example"}):
            kind = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
            ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            answer = httpx.post(address, json=ask, headers=kind | headers)
            assert answer.status_code in (403, 421), answer.text


def test_each_owner_is_answered_by_its_key_over_http(filled: Memory) -> None:
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    keys = Keys(filled.database)
    secrets = {scope: keys.create(f"agent-{uuid4().hex[:8]}", scope) for scope in ("write", "read")}
    own, _ = keys.create(filled.owner, "read")

    async def ask(address: str, secret: str) -> tuple[Any, Any, Any]:
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {secret}"}, timeout=60) as http,
            Client(streamable_http_client(address, http_client=http)) as client,
        ):
            said = await client.call_tool("remember", {"text": f"The word is {secret[-6:]}"})
            found = await client.call_tool("recall", {"words": "the word", "limit": 50})
            stats = await client.read_resource("seemory://stats")
            return said, found.structured_content, json.loads(stats.contents[0].text)

    with served(filled, "--keys") as address:
        (secret, key), (reading, reader) = secrets["write"], secrets["read"]
        said, found, stats = anyio.run(ask, address, secret)
        assert not said.is_error
        assert [one["text"] for one in found["recalled"]] == [f"The word is {secret[-6:]}"]
        assert (stats["owner"], stats["by_kind"]) == (key.owner, {"text": 1})
        said, found, stats = anyio.run(ask, address, reading)
        assert said.is_error
        assert "this needs one for 'write'" in said.content[0].text
        assert (found["recalled"], stats["owner"], stats["items"]) == ([], reader.owner, 0)
        assert anyio.run(ask, address, own)[2]["by_kind"] == {"image": 4}
        keys.revoke(str(key.id))
        for headers in ({}, {"Authorization": f"Bearer {secret}"}, {"Authorization": "Bearer smy_wrong"}):
            kind = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
            tools = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            assert httpx.post(address, json=tools, headers=kind | headers).status_code == 401
