"""Writes the tables and the figure of docs/perceiver-study.md from the results of its sweeps.

    python -m training.perceiver WORK [--time]

`WORK` is where `seemory align sweep` ran: it has scenes/results.json, rates/results.json and so on, and
widths/prefixes.json of benchmarks/prefix_search.py. `--time` measures a step of each head anew.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from seemory.alignment import plots
from seemory.alignment.sweep import interval
from training.perceiver.step_times import step_times
from training.perceiver.tables import WORDS, beginnings, cells, prefixes, results, widths

STUDY = Path(__file__).resolve().parents[2] / "docs" / "perceiver-study.md"
FIGURE = STUDY.with_name("perceiver-rates.svg")

TABLES: dict[str, tuple[str, Callable[[Path], Iterator[str]]]] = {
    "scenes": ("scenes/results.json", lambda work: cells(results(work / "scenes"))),
    "rates": ("rates/results.json", lambda work: cells(results(work / "rates"))),
    "photographs": ("photographs/results.json", lambda work: cells(results(work / "photographs"))),
    "widths": ("widths/results.json", lambda work: widths(results(work / "widths"))),
    "beginnings": ("rates/results.json", lambda work: beginnings(work / "rates", [5, 10, 15, 25, 40], 2e-2)),
    "wide": ("wide/results.json", lambda work: beginnings(work / "wide", [2, 4, 6, 8, 20])),
    "prefixes": ("widths/prefixes.json", lambda work: prefixes(work / "widths" / "prefixes.json")),
}
"""By their places in the page: the file that must be there, and how its table is made."""


def placed(page: str, name: str, rows: Iterator[str]) -> str:
    """The page with the table between its two marks."""
    place = re.compile(rf"(<!-- {name} -->\n)(?:(?!<!--).*\n)*(<!-- end -->)")
    table = "\n".join(rows)
    page, count = place.subn(lambda found: f"{found[1]}{table}\n{found[2]}", page)
    print(f"{name}: {'written' if count else 'has no place in the page'}")
    return page


def main() -> None:
    """Write what there are results of; the other parts of the page stay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--time", action="store_true")
    told = parser.parse_args()
    made = {name: table(told.work) for name, (file, table) in TABLES.items() if (told.work / file).is_file()}
    if told.time:
        made["steps"] = step_times(Path(__file__).with_name("scenes.toml"))
    page = STUDY.read_text(encoding="utf-8")
    for name, rows in made.items():
        page = placed(page, name, rows)
    STUDY.write_text(page, encoding="utf-8")
    if {"scenes", "rates"} <= made.keys():
        both = [one for name in ("scenes", "rates") for one in results(told.work / name)["cells"]]
        both.sort(key=lambda one: (one["cell"]["head"], one["cell"]["latent_init"], one["cell"]["rate"]))
        heads = sorted({one["cell"]["head"] for one in both})
        rows_of = [(one["name"], one["recall"]["256"][WORDS], *interval(one["recall"]["256"][WORDS])) for one in both]
        groups = [heads.index(one["cell"]["head"]) for one in both]
        FIGURE.write_text(plots.cells_svg(rows_of, "words→pictures R@1, percent; a point a seed", groups), "utf-8")


if __name__ == "__main__":
    main()
