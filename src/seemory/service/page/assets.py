"""The page's own files: HTML put into its frame, a style sheet, scripts; read once, told apart by what is in them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Final

_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

PAGES: Final = {
    "library": ("/", "Library"),
    "duplicates": ("/duplicates", "Duplicates"),
    "map": ("/map", "Map"),
    "advise": ("/advise", "Advice"),
    "status": ("/status", "Status"),
}
"""The pages by name: address, and what they are called."""

SIGN_IN: Final = "sign-in"
"""The page that asks for a key, which nothing leads to but the lack of one."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file that the pages load."""

    content: bytes
    media_type: str


def load_assets() -> dict[str, Asset]:
    """The files that pages load, by name."""
    found = {}
    for file in files(__package__).joinpath("static").iterdir():
        media_type = _TYPES.get("." + file.name.rpartition(".")[2])
        if media_type is not None:
            found[file.name] = Asset(file.read_bytes(), f"{media_type}; charset=utf-8")
    return found


def version_of(assets: dict[str, Asset]) -> str:
    """What stands in the files' addresses, so that a browser may keep them until they are others."""
    told = hashlib.sha256()
    for name, asset in sorted(assets.items()):
        told.update(name.encode() + b"\0" + asset.content + b"\0")
    return told.hexdigest()[:16]


def render_pages(version: str) -> dict[str, bytes]:
    """The pages by name, whole. Nothing of anybody's is in them: what they show, their scripts ask for."""
    templates = files(__package__).joinpath("templates")
    frame = Template(templates.joinpath("frame.html").read_text(encoding="utf-8"))
    made = {}
    for page, title in [*((name, title) for name, (_, title) in PAGES.items()), (SIGN_IN, "Sign in")]:
        main = templates.joinpath(f"{page}.html").read_text(encoding="utf-8")
        html = frame.substitute(title=title, links=_links(page), main=main, page=page, version=version)
        made[page] = html.encode()
    return made


def _links(here: str) -> str:
    marks = {here: ' aria-current="page"'}
    return "".join(
        f'<li><a href="{address}"{marks.get(name, "")}>{title}</a></li>' for name, (address, title) in PAGES.items()
    )
