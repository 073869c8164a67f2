"""What a browser finds in a page, and words that try to be more than words."""

from __future__ import annotations

from html.parser import HTMLParser

BIOGRAPHY = (
    "Lived <b>long</b></p><script>alert('bio')</script><img src=https://elsewhere.example/x onerror=alert(2)>"
    '<style>*{display:none}</style><meta http-equiv="refresh" content="0;url=https://elsewhere.example">'
)
"""Somebody's words about the advisor, who tries to make more of them."""

VOID = {"meta", "img", "br"}


class Read(HTMLParser):
    """What a browser would find: tags that close in their order, pictures, words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.links += [str(given[name]) for name in ("src", "href", "action", "data") if name in given]
        assert not any(name.startswith("on") for name in given)
        if tag == "img":
            self.images.append(given)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data
