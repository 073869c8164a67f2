"""A contact sheet as a picture: each query with its first three, framed green where right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageOps

from .gallery import Gallery

SIDE, EDGE, HEAD, ACROSS = 110, 4, 16, 5
RIGHT, WRONG = "#1a7f37", "#cf222e"


def draw(parts: list[tuple[Gallery, list[dict[str, Any]]]], path: Path) -> None:
    """Write the sheet of all queries, `ACROSS` of them beside each other."""
    asked = [(gallery, found) for gallery, part in parts for found in part]
    wide, high = 3 * SIDE + 12, SIDE + HEAD + 8
    sheet = Image.new("RGB", (ACROSS * wide, -(-len(asked) // ACROSS) * high), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (gallery, found) in enumerate(asked):
        left, top = number % ACROSS * wide, number // ACROSS * high
        words = f"{number + 1}. {found['query']}" + ("" if found["rank"] == 1 else f"  ({found['rank']})")
        pen.text((left + 2, top + 2), words, fill="black")
        for place, (name, row) in enumerate(zip(found["first"], gallery.rows(found["first"]), strict=True)):
            small = ImageOps.fit(gallery.pictures[row], (SIDE - 2 * EDGE, SIDE - 2 * EDGE))
            framed = ImageOps.expand(small, EDGE, RIGHT if name in found["right"] else WRONG)
            sheet.paste(framed, (left + place * SIDE + 2, top + HEAD))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
