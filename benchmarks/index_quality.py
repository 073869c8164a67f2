"""How much indexes find of CLIP-like vectors, by index, effort and kind of query, before and after centring.

    python -m benchmarks.index_quality [--rows 4000] [--data ../shared/data]

The gallery is blown up from real ViT-B/32 vectors of photographs (`benchmarks.clip_like`); the texts that ask are real:
names of things and captions. Recall is the same on any machine, but for what an index's own dice do; milliseconds are
not.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import clip_like
from seemory.evaluation.report import as_lines
from seemory.measuring.index_quality import Plan, measure_index, tables
from seemory.store.connect import open_database, stop_embedded

PLANS = (
    Plan(precisions=("float32", "halfvec"), ms=(16,), efs=(10, 20, 40, 80, 160, 320)),
    Plan(precisions=("halfvec",), ms=(8, 32), efs=(40, 160), prefixes=()),
    Plan(precisions=("binary",), ms=(16,), efs=(40, 160, 640), prefixes=(64, 128, 256)),
)


def draw(documents: list[dict[str, Any]], file: Path) -> None:
    """Recall over `ef_search` of an index of halves, by kind of query, as it is and centred."""
    from seemory.evaluation.plots import lines_svg

    lines = [line for document in documents for line in document["lines"]]
    curves = []
    for kind in ("pictures", "words"):
        for remedy in ("none", "centred"):
            held = [one for one in lines if (one["index"], one["m"], one["remedy"]) == ("halfvec", 16, remedy)]
            name = f"{kind}, {'as it is' if remedy == 'none' else remedy}"
            curves.append((name, [one["ef_search"] for one in held], [one[kind]["recall"] for one in held]))
    drawn = lines_svg(curves, "ef_search", "recall@10")
    file.write_text(drawn.replace("currentColor", "#7d7d7d"), encoding="utf-8")  # an image knows no page's colours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4_000)
    parser.add_argument("--data", type=Path, default=clip_like.DATA)
    parser.add_argument("--plan", type=int, choices=range(len(PLANS)), help="Only this part.")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path, help="Recall over ef_search, as SVG.")
    given = parser.parse_args()
    found = clip_like.real(given.data)
    vectors = clip_like.blow_up(found.images, given.rows + PLANS[0].queries)
    documents = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with open_database(None, home=home) as database:
            for number, plan in enumerate(PLANS):
                if given.plan in (None, number):
                    report = measure_index(database, "benchmark", vectors, found.text_queries, plan=plan)
                    documents.append(report.as_json())
                    for table in tables(report):
                        print("\n".join(as_lines(table)), flush=True)
        stop_embedded(home)
    if given.figure is not None:
        draw(documents, given.figure)
    if given.json is not None:
        given.json.write_text(json.dumps(documents, indent=2))


if __name__ == "__main__":
    main()
