"""A contact sheet: searches and what they found, as one HTML file that needs nothing else.

Pictures travel inside as `data:` addresses; there is no script, no font and no address outside the file. Everything
that comes from a file name or a query is escaped.
"""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass
from importlib.resources import files
from string import Template


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of the sheet."""

    picture: bytes | None
    """JPEG, or None where there is none to show."""
    size: tuple[int, int]
    """Width and height, of which only the proportion matters."""
    alt: str
    label: str
    score: float | None = None
    """Calibrated, 0 to 1."""
    cosine: float | None = None
    right: bool | None = None
    """Whether this is the expected one; None where nothing is expected."""


@dataclass(frozen=True, slots=True)
class Strip:
    """One search and its first hits."""

    words: str
    frames: tuple[Frame, ...]
    verdict: str | None = None
    right: bool | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """The whole page."""

    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    strips: tuple[Strip, ...]
    overview: tuple[Frame, ...] = ()
    credits: tuple[str, ...] = ()


def render(sheet: Sheet) -> str:
    """The page as HTML, self-contained."""
    style = (files("seemory") / "contact_sheet.css").read_text(encoding="utf-8")
    return _PAGE.substitute(
        title=_text(sheet.title),
        lead=_text(sheet.lead),
        style=style,
        tally=_tally(sheet.strips),
        facts="".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in sheet.facts),
        strips="\n".join(_strip(number, strip) for number, strip in enumerate(sheet.strips, 1)),
        overview=_overview(sheet.overview),
        credits=f"<p>Photographs: {_text('; '.join(sheet.credits))}.</p>" if sheet.credits else "",
    )


def _strip(number: int, strip: Strip) -> str:
    state = {True: "is-right", False: "is-wrong", None: ""}[strip.right]
    frames = "".join(_frame(place, frame) for place, frame in enumerate(strip.frames, 1))
    film = f'<ol class="film">{frames}</ol>' if frames else '<p class="none">Nothing was found.</p>'
    verdict = f'<p class="verdict">{_text(strip.verdict)}</p>' if strip.verdict else ""
    return _STRIP.substitute(number=number, state=state, words=_text(strip.words), verdict=verdict, film=film)


def _frame(place: int, frame: Frame) -> str:
    mark, said = "", ""
    if frame.right:
        mark, said = _RING, '<span class="unseen">, the expected one</span>'
    elif frame.right is False and place == 1:
        mark, said = _CROSS, '<span class="unseen">, not the expected one</span>'
    cosine = "" if frame.cosine is None else f' title="cosine {frame.cosine:.3f}"'
    score = "" if frame.score is None else f'<span class="score"{cosine}>{frame.score:.2f}</span>'
    bar = "" if frame.score is None else f'<span class="bar" style="--score:{_share(frame.score):.3f}"></span>'
    return _FRAME.substitute(
        ratio=f"{_ratio(frame.size):.3f}",
        picture=_image(frame),
        mark=mark,
        bar=bar,
        place=place,
        label=_text(frame.label),
        said=said,
        score=score,
    )


def _tally(strips: tuple[Strip, ...]) -> str:
    """One mark a judged search, each a link to it."""
    marks = [
        f'<li class="{"is-right" if strip.right else "is-wrong"}"><a href="#search-{number}">'
        f'<span class="unseen">{_text(strip.words)}: {"right" if strip.right else "wrong"}</span></a></li>'
        for number, strip in enumerate(strips, 1)
        if strip.right is not None
    ]
    return f'<ul class="tally">{"".join(marks)}</ul>' if marks else ""


def _overview(frames: tuple[Frame, ...]) -> str:
    if not frames:
        return ""
    items = "".join(f"<li>{_image(frame)}</li>" for frame in frames)
    return f'<section class="overview"><h2>Everything it looked through</h2><ul>{items}</ul></section>'


def _image(frame: Frame) -> str:
    if frame.picture is None:
        return f'<span class="blank" role="img" aria-label="{_text(frame.alt)}"></span>'
    width, height = frame.size
    code = base64.b64encode(frame.picture).decode("ascii")
    return f'<img src="data:image/jpeg;base64,{code}" width="{width:d}" height="{height:d}" alt="{_text(frame.alt)}">'


def _ratio(size: tuple[int, int]) -> float:
    # Held within what a row can show: a 50,000 x 1 picture must not push the others out of it.
    return min(max(size[0] / max(size[1], 1), 0.4), 3.0)


def _share(score: float) -> float:
    return min(max(score, 0.0), 1.0) if score == score else 0.0  # NaN is not equal to itself


def _text(value: str) -> str:
    # A name that is not valid UTF-8 comes with halves of surrogate pairs, which no file can hold.
    return html.escape(value.encode("utf-8", "replace").decode("utf-8"))


# Drawn as with a grease pencil on film: one stroke that overshoots its own beginning.
_RING = (
    '<svg class="ring" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">'
    '<path d="M13 3.5C38 .6 70 .8 93 3c5 1 5.6 6 6 16 .8 22 .6 48-.8 70-.5 7-3 8.6-9 9.3C65 100.2 34 100 9 98.4'
    'c-6-.6-7.3-3-7.8-9C-.2 66-.1 36 1.8 12 2.5 4.8 5 3.4 12 2.6 30 .7 52 0 74 1.6"/></svg>'
)
_CROSS = (
    '<svg class="cross" viewBox="0 0 40 40" aria-hidden="true">'
    '<path d="M7 6c9 9 17 18 27 28M34 7C25 15 15 24 6 34"/><path d="M7 6c9 9 17 18 27 28M34 7C25 15 15 24 6 34"/></svg>'
)

_FRAME = Template(
    '<li style="--ratio:$ratio"><figure><div class="picture">$picture$mark</div>'
    '<figcaption>$bar<span class="place">$place</span>'
    '<span class="label">$label$said</span>$score</figcaption></figure></li>'
)

_STRIP = Template(
    '<article id="search-$number" class="strip $state"><header><h2>$words</h2>$verdict</header>$film</article>'
)

_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title · Seemory</title>
<style>
$style</style>
</head>
<body>
<header class="top">
<div>
<p class="name">Seemory</p>
<h1>$title</h1>
$tally
<p class="lead">$lead</p>
<dl>$facts</dl>
</div>
$overview
</header>
<main>
$strips
</main>
<footer>
<p>A score lies between 0 and 1: how far the picture's cosine is above that of unrelated words and pictures.</p>
$credits
</footer>
</body>
</html>
"""
)
