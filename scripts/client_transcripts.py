"""What OpenAI's client and the Model Context Protocol's own client say to Seemory, and what comes back.

    python scripts/client_transcripts.py > docs/transcripts.md

Starts `seemory serve` and `seemory mcp --http --keys` on a folder of their own with the demo's photographs, and asks
both by the public packages `openai` and `mcp` (extra `test`). Long values are cut, nothing else is changed.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio

from seemory.demo_photographs import PHOTOGRAPHS
from seemory.memory import Memory
from seemory.settings import read_settings
from seemory.store.keys import Keys

PICTURES = ("chelsea.png", "coffee.png", "rocket.jpg", "flower.jpg", "china.jpg")


@contextlib.contextmanager
def running(home: Path, *arguments: str) -> Iterator[int]:
    """The port at which a command of Seemory's answers, in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = {"SEEMORY_HOME": str(home), "SEEMORY_OWNER": "anna", "SEEMORY_SERVICE__LOG_REQUESTS": "false"}
    command = [sys.executable, "-c", "from seemory.cli import main; main()", *arguments, "--port", str(port)]
    process = subprocess.Popen(command, env=os.environ | own, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(60)


def cut(value: Any) -> Any:
    """The value with what is long in it cut."""
    if isinstance(value, dict):
        return {name: cut(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        shown = [cut(one) for one in value[:3]]
        return [*shown, f"… {len(value) - 3} more"] if len(value) > 3 else shown
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, str):
        value = re.sub(r"/\S+/anna/", "/home/anna/", value)
    return f"{value[:60]}… ({len(value):,} characters)" if isinstance(value, str) and len(value) > 100 else value


def say(asked: str, answer: Any) -> None:
    """One exchange."""
    print(f"```python (to the server of this page)\n{asked}\n```\n")
    print(f"```json\n{json.dumps(cut(answer), indent=2, ensure_ascii=False)}\n```\n")


def openai_client(port: int, key: str, cat: bytes) -> None:
    """Vectors of words and of a picture, and what is refused."""
    import openai

    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0)
    models = client.models.list()
    say("client.models.list()", models.model_dump())
    model = models.data[0].id
    url = f"data:image/png;base64,{base64.b64encode(cat).decode()}"
    answer = client.embeddings.create(model=model, input=["a photo of a cat", url])
    say(
        'client.embeddings.create(model="seemory-mini", input=["a photo of a cat", CAT_AS_DATA_URL])',
        answer.model_dump(),
    )
    for asked, given in (
        ('input="a cat", model="text-embedding-3-small"', {"input": "a cat", "model": "text-embedding-3-small"}),
        ('input="data:text/html,x", model="seemory-mini"', {"input": "data:text/html,x", "model": model}),
    ):
        try:
            client.embeddings.create(**given)
        except openai.APIStatusError as error:
            say(f"client.embeddings.create({asked})", {"raised": type(error).__name__, "said": error.message})
    try:
        openai.OpenAI(base_url=client.base_url, api_key="smy_wrong", max_retries=0).models.list()
    except openai.APIStatusError as error:
        say('OpenAI(…, api_key="smy_wrong").models.list()', {"raised": type(error).__name__, "said": error.message})


async def mcp_client(port: int, keys: dict[str, str]) -> None:
    """A memory remembered, found again among pictures, and forgotten; and a key that may only read."""
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async def told(client: Any, name: str, given: dict[str, Any]) -> Any:
        found = await client.call_tool(name, given)
        answer = found.structured_content or [
            part.text if part.type == "text" else {"type": part.type, "mime_type": part.mime_type, "data": part.data}
            for part in found.content
        ]
        say(f"await client.call_tool({name!r}, {given!r})", {"error": answer} if found.is_error else answer)
        return answer

    for scope in ("write", "read"):
        headers = {"Authorization": f"Bearer {keys[scope]}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=http)) as client,
        ):
            if scope == "read":
                print("With a key that may only read:\n")
                await told(client, "remember", {"text": "x"})
                continue
            tools = (await client.list_tools()).tools
            say("await client.list_tools()", {tool.name: (tool.description or "").split("\n")[0] for tool in tools})
            fact = {"text": "Chelsea, the cat, is afraid of rockets", "tags": ["pets"], "when": "2026-05-04"}
            said = await told(client, "remember", fact)
            await told(client, "remember", fact)
            await told(client, "recall", {"words": "a cat", "limit": 3})
            await told(client, "find_pictures", {"words": "a rocket", "limit": 1})
            stats = await client.read_resource("seemory://stats")
            say('await client.read_resource("seemory://stats")', json.loads(stats.contents[0].text)["by_kind"])
            await told(client, "forget", {"items": [said["item_id"]]})


def main() -> None:
    """Print both transcripts as a page of the documentation."""
    with tempfile.TemporaryDirectory() as place:
        (home := Path(place) / "anna").mkdir()
        (pictures := home / "Pictures").mkdir()
        found = [path for one in PHOTOGRAPHS if (path := one.find()) and path.name in PICTURES]
        files = [shutil.copy(path, pictures / path.name) for path in found]
        with Memory(read_settings(home=home, owner="anna"), model="seemory-mini") as memory:
            memory.index(*files)
            keys = {scope: Keys(memory.database).create("anna", scope)[0] for scope in ("read", "write")}
            cat = next(path for path in files if path.name == "chelsea.png").read_bytes()
            print("# Two clients, word for word\n")
            print("Made by `python scripts/client_transcripts.py`: real clients, a real server, answers as they came.")
            print("What is long is cut.\n")
            print(f"## The package openai {version('openai')}, at `seemory serve --keys required`\n")
            with running(home, "serve", "--keys", "required") as port:
                openai_client(port, keys["read"], cat)
            print(f"## The package mcp {version('mcp')}, at `seemory mcp --http --keys`\n")
            with running(home, "mcp", "--http", "--keys") as port:
                anyio.run(mcp_client, port, keys)


if __name__ == "__main__":
    main()
