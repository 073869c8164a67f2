"""A library with all kinds of items, shown by a real server in this process, and a real browser that looks at it."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx
import pytest
import uvicorn
from made_films import moving, still, write_film

from seemory.memory import Memory
from seemory.metrics import Metrics
from seemory.service.app import make_app
from seemory.settings import ServiceSettings, read_settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MARKUP = "<img src=x onerror=alert(1)>"
"""In a file's name, a caption and a tag."""


@dataclass(frozen=True)
class Shown:
    """A library, its folder, and where it is shown."""

    memory: Memory
    folder: Path
    address: str
    client: httpx.Client

    def item(self, name: str) -> UUID:
        """The item of a file, by a part of its name."""
        return next(item.item_id for item in self.memory.items(where=[f"name~{name}"]))


@contextlib.contextmanager
def serving(memory: Memory, **options: Any) -> Iterator[str]:
    """The address at which the memory is served, by a thread of this process."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = make_app(memory, ServiceSettings(max_upload_bytes=3_000_000, **options), Metrics())
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture(scope="session")
def library(
    home: Path, tmp_path_factory: pytest.TempPathFactory, package_photographs: dict[str, Path]
) -> Iterator[Shown]:
    """Eight photographs, one of them twice, one with markup in its name; a film of two scenes; captions and tags."""
    folder = tmp_path_factory.mktemp("page") / "somebody's folder"
    folder.mkdir()
    for name, path in package_photographs.items():
        shutil.copy(path, folder / f"{name}{path.suffix}")
    shutil.copy(package_photographs["coffee"], folder / f"{MARKUP}.png")
    shutil.copy(package_photographs["cat"], folder / "cat once more.png")
    works = tmp_path_factory.mktemp("works")
    for name in ("temple", "motorcycle"):
        shutil.copy(package_photographs[name], works)
    frames = [moving(still(package_photographs[name]), 60) for name in ("rocket", "flower")]
    write_film(folder / "two.mp4", [*frames[0], *frames[1]])
    name = f"page-{uuid4().hex[:8]}"
    with Memory(read_settings(home=home, owner=f"{name}-anna", collection=name), model="seemory-mini") as memory:
        memory.index(folder)
        memory.describe(str(folder / "cat.png"), caption="A tabby <b>cat</b>", tags=["animal", MARKUP])
        memory.describe(str(folder / "flower.jpg"), caption="An orange dahlia", tags=["plant"])
        memory.advisors.add("A master", works)
        with serving(memory) as address, httpx.Client(base_url=address, timeout=60) as client:
            yield Shown(memory, folder, address, client)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium, or playwright's own. While it is there, this thread has an event loop: no other can run."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("the browser's tests need playwright: pip install 'seemory[test]'")
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        try:
            launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error as error:
            pytest.skip(f"there is no chromium here that starts: {str(error).splitlines()[0]}")
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser, library: Shown) -> Iterator[Page]:
    """A tab of its own. What its scripts fail at, and what its policy forbids, fails the test."""
    context = browser.new_context(base_url=library.address, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    tab = context.new_page()
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("dialog", lambda dialog: (wrong.append(f"a dialog: {dialog.message}"), dialog.dismiss()))

    def said(message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            wrong.append(message.text)

    tab.on("console", said)
    yield tab
    context.close()
    assert wrong == []
