"""Writes the tables and the figure of docs/perceiver-study.md from the results of its sweeps.

    python -m training.perceiver WORK

`WORK` is where `seemory align sweep` ran: it has scenes/results.json, rates/results.json and so on.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seemory.alignment import plots
from seemory.alignment.sweep import interval

STUDY = Path(__file__).resolve().parents[2] / "docs" / "perceiver-study.md"
FIGURE = STUDY.with_name("perceiver-rates.svg")
WORDS, BACK = "text_to_image_r1", "image_to_text_r1"


def spread(values: list[float], form: str = "{:.1f}") -> str:
    """The mean and half its 95 % interval; a dash for what is not trained."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return "-"
    mean, half = interval(finite)
    return form.format(mean) if math.isnan(half) else f"{form.format(mean)} ± {form.format(half)}"


def cells(document: dict[str, Any]) -> Iterator[str]:
    """A table of a sweep: a row a cell."""
    yield "| head | latents | rate | warm-up | R@1 | R@10 | pictures→words R@1 | loss | variance | given up |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for one in document["cells"]:
        cell, found = one["cell"], one["recall"][max(one["recall"], key=int)]
        told = (
            cell["head"],
            cell["latent_init"] or "-",
            f"{cell['rate']:g}",
            str(cell["warm_up"] or "none"),
            spread(found[WORDS]),
            spread(found["text_to_image_r10"]),
            spread(found[BACK]),
            spread(one["loss"], "{:.2f}"),
            spread(one["variance"], "{:.2f}"),
            f"{len(one['stopped'])} of {len(one['loss'])}" if one["stopped"] else "",
        )
        yield f"| {' | '.join(told)} |"


def widths(document: dict[str, Any]) -> Iterator[str]:
    """A table of recall by width of one head, and what of the whole width's is kept."""
    one = document["cells"][0]
    whole = interval(one["recall"][max(one["recall"], key=int)][WORDS])[0]
    yield "| width | words→pictures R@1 | R@10 | pictures→words R@1 | of the whole's R@1 |"
    yield "| --- | --- | --- | --- | --- |"
    for width in sorted(one["recall"], key=int, reverse=True):
        found = one["recall"][width]
        kept = 100 * interval(found[WORDS])[0] / whole
        yield (
            f"| {width} | {spread(found[WORDS])} | {spread(found['text_to_image_r10'])} | {spread(found[BACK])} "
            f"| {kept:.0f} % |"
        )


def main() -> None:
    """Write what there are results of; the other parts of the page stay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    work = parser.parse_args().work
    page = STUDY.read_text(encoding="utf-8")
    documents = {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in work.glob("*/results.json")}
    for name, document in documents.items():
        table = "\n".join(widths(document) if name == "widths" else cells(document))
        place = re.compile(rf"(<!-- {name} -->\n)(?:(?!<!--).*\n)*(<!-- end -->)")
        page, count = place.subn(lambda found, made=table: f"{found[1]}{made}\n{found[2]}", page)
        print(f"{name}: {'written' if count else 'has no place in the page'}")
    STUDY.write_text(page, encoding="utf-8")
    if "scenes" in documents and "rates" in documents:
        both = [one for name in ("scenes", "rates") for one in documents[name]["cells"]]
        both.sort(key=lambda one: (one["cell"]["head"], one["cell"]["latent_init"], one["cell"]["rate"]))
        heads = sorted({one["cell"]["head"] for one in both})
        rows = [(one["name"], one["recall"]["256"][WORDS], *interval(one["recall"]["256"][WORDS])) for one in both]
        groups = [heads.index(one["cell"]["head"]) for one in both]
        FIGURE.write_text(plots.cells_svg(rows, "words→pictures R@1, percent; a point a seed", groups), "utf-8")


if __name__ == "__main__":
    main()
