"""Eight scores as a drawing: a radar in SVG, of a photograph and of a library's middle and best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from seemory.advisors.profile import HIGHEST

_SIZE: Final = 484
_HEIGHT: Final = 390
_RADIUS: Final = 138
_RINGS: Final = (2.5, 5.0, 7.5, 10.0)


def radar(names: Sequence[str], own: Sequence[float], usual: Sequence[float], best: Sequence[float]) -> str:
    """An `<svg>` element of its own, with a title and a description for those who cannot see it."""
    told = "; ".join(
        f"{name} {mine:.1f}, middle {middle:.1f}, best {top:.1f}"
        for name, mine, middle, top in zip(names, own, usual, best, strict=True)
    )
    parts = [
        f'<svg class="radar" viewBox="0 0 {_SIZE} {_HEIGHT}" role="img" aria-labelledby="radar-t radar-d">',
        '<title id="radar-t">The eight scores of the photograph and of the library</title>',
        f'<desc id="radar-d">{escape(told)}</desc>',
    ]
    parts += [f'<polygon class="ring" points="{_points([ring] * len(names))}"/>' for ring in _RINGS]
    for n, name in enumerate(names):
        x, y = _point(n, len(names), HIGHEST)
        parts.append(f'<line class="spoke" x1="{_SIZE / 2}" y1="{_CENTRE_Y}" x2="{x:.1f}" y2="{y:.1f}"/>')
        parts.append(_label(n, len(names), name, own[n]))
    parts.append(f'<polygon class="best" points="{_points(best)}"/>')
    parts.append(f'<polygon class="usual" points="{_points(usual)}"/>')
    parts.append(f'<polygon class="own" points="{_points(own)}"/>')
    for n, score in enumerate(own):
        x, y = _point(n, len(own), score)
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>')
    return "".join([*parts, "</svg>"])


_CENTRE_Y: Final = _HEIGHT / 2


def _point(n: int, count: int, score: float, beyond: float = 0.0) -> tuple[float, float]:
    """Where a score lies on the n-th spoke; the first points up, the others follow the clock."""
    angle = 2 * math.pi * n / count
    reach = _RADIUS * score / HIGHEST + beyond
    return _SIZE / 2 + reach * math.sin(angle), _CENTRE_Y - reach * math.cos(angle)


def _points(scores: Sequence[float]) -> str:
    return " ".join("{:.1f},{:.1f}".format(*_point(n, len(scores), score)) for n, score in enumerate(scores))


def _label(n: int, count: int, name: str, score: float) -> str:
    """A spoke's name, in two lines where it is long, and the score under it."""
    x, y = _point(n, count, HIGHEST, beyond=14)
    side = math.sin(2 * math.pi * n / count)
    anchor = "middle" if abs(side) < 0.2 else "start" if side > 0 else "end"
    head, _, tail = name.rpartition(" ") if len(name) > 14 else ("", "", name)
    lines = [line for line in (head, tail) if line]
    up = math.cos(2 * math.pi * n / count)
    # above a spoke that points up, beside one that lies, below one that points down
    top = y - (13 * len(lines) - 2 if up > 0.8 else 6.5 * len(lines) - 4 if up > -0.8 else -9)
    spans = "".join(f'<tspan x="{x:.1f}" y="{top + 13 * k:.1f}">{escape(line)}</tspan>' for k, line in enumerate(lines))
    number = f'<tspan class="number" x="{x:.1f}" y="{top + 13 * len(lines) + 1:.1f}">{score:.1f}</tspan>'
    return f'<text class="label" text-anchor="{anchor}">{spans}{number}</text>'
