"""Prints the tables of docs/advisors.md out of what benchmarks.dimensions has measured.

python -m benchmarks.dimensions --photos DIR --json FILE && python -m benchmarks.dimension_tables FILE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.dimension_changes import STRENGTHS
from seemory.advisors.profile import DIMENSIONS

HEADS = ("change", "dimension", "pictures", "Spearman of the mean", "each, median", "at least 0.9", "moves",
         "largest unrelated", "typical picture")  # fmt: skip


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def heads(*names: str) -> list[str]:
    return [row(*names), row(*["---"] * len(names))]


def related(answers: list[dict[str, Any]]) -> list[str]:
    """What each change must move besides its own dimension."""
    lines = heads("change", "related, and why", "unrelated")
    for one in answers:
        why = "; ".join(f"`{name}`: {reason}" for name, reason in one["related"].items()) or "none"
        lines.append(row(one["change"], why, len(DIMENSIONS) - 1 - len(one["related"])))
    return lines


def answered(answers: list[dict[str, Any]]) -> list[str]:
    """How each own dimension follows, and what else moves."""
    lines = heads(*HEADS)
    for one in answers:
        aside = []
        for way in ("", ", typical"):
            far = one[f"unrelated movement{way}"]
            aside.append(f"{far:.1f} (`{one[f'unrelated{way}']}`){'' if far < one['movement'] / 3 else ' ✗'}")
        ranks = (f"{one['spearman of the mean']:.2f}", f"{one['spearman']:.2f}", f"{100 * one['share']:.0f} %")
        moves = f"{one['movement']:.1f}"
        lines.append(row(one["change"], f"`{one['dimension']}`", one["pictures"], *ranks, moves, *aside))
    return lines


def curves(answers: list[dict[str, Any]]) -> list[str]:
    """The mean score at each strength."""
    return heads("change", *(f"{one:g}" for one in STRENGTHS)) + [
        row(one["change"], *(f"{score:.1f}" for score in one["curve"])) for one in answers
    ]


def steady(found: dict[str, Any]) -> list[str]:
    """How far scores move when a picture is saved again or halved."""
    lines = heads("", "JPEG: nine of ten within", "all within", "half the size: nine of ten within", "all within")
    for name in DIMENSIONS:
        (_, jpeg, most), (_, half, far) = found[name]["jpeg"], found[name]["half"]
        lines.append(row(f"`{name}`", *(f"{one:.2f}" for one in (jpeg, most, half, far))))
    return lines


def scale(found: dict[str, list[float]]) -> list[str]:
    """Where the scores of photographs lie."""
    return heads("", "5 %", "25 %", "50 %", "75 %", "95 %") + [
        row(f"`{name}`", *(f"{one:.1f}" for one in found[name])) for name in DIMENSIONS
    ]


def main() -> None:
    report = json.loads(Path(sys.argv[1]).read_text())
    answers = report["answers"]
    parts = related(answers), answered(answers), curves(answers), steady(report["steady"]), scale(report["scale"])
    print("\n\n".join("\n".join(lines) for lines in parts))


if __name__ == "__main__":
    main()
