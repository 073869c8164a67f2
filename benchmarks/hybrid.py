"""What words add to sight: each picture gets one of its captions as its words, and is looked for by another one.

    python benchmarks/hybrid.py --data FOLDER [--model NAME] [--text-model NAME] [--json FILE]

FOLDER holds photographs and `captions.csv` with the columns image and caption, several captions a picture (Flickr8k as
it is distributed). The first caption becomes the picture's words; the second is the query. File names are taken away.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import tempfile
import time
from pathlib import Path

from seemory.memory import Memory
from seemory.search.routing import RouteName
from seemory.settings import read_settings
from seemory.store.connect import stop_embedded

# weights, fusion, route
WAYS: dict[str, tuple[dict[str, float], str, RouteName | None]] = {
    "visual alone": ({"visual": 1, "text": 0, "words": 0}, "rrf", None),
    "text alone": ({"visual": 0, "text": 1, "words": 0}, "rrf", None),
    "words alone": ({"visual": 0, "text": 0, "words": 1}, "rrf", None),
    "visual and words, rrf": ({"visual": 1, "text": 0, "words": 0.5}, "rrf", None),
    "all, rrf (the default)": ({"visual": 1, "text": 0.5, "words": 0.5}, "rrf", None),
    "all, min-max": ({"visual": 1, "text": 0.5, "words": 0.5}, "minmax", None),
    "words, re-ranked by sight": ({"visual": 1, "text": 0, "words": 0.5}, "rrf", "rerank"),
    "text and words, re-ranked by sight": ({"visual": 1, "text": 0.5, "words": 0.5}, "rrf", "rerank"),
    "all alike, rrf": ({"visual": 1, "text": 1, "words": 1}, "rrf", None),
    "all alike, min-max": ({"visual": 1, "text": 1, "words": 1}, "minmax", None),
}


def captions(data: Path) -> dict[str, list[str]]:
    """Each picture's captions, in their order."""
    found: dict[str, list[str]] = {}
    with (data / "captions.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            found.setdefault(row["image"], []).append(row["caption"].strip())
    return found


def lay_out(data: Path, names: list[str], folder: Path) -> None:
    """The pictures under numbers."""
    where = {path.name: path for path in data.rglob("*.jpg")}
    for number, name in enumerate(names):
        (folder / f"{number:05}.jpg").symlink_to(where[name])


def measure(memory: Memory, queries: list[str]) -> list[dict[str, float | str]]:
    rows: list[dict[str, float | str]] = []
    for way, (weights, fusion, route) in WAYS.items():
        places, taken = [], []
        for number, query in enumerate(queries):
            # Quotes and minus signs of a caption are no conditions.
            start = time.perf_counter()
            words = query.replace('"', " ").replace(" -", " ")
            hits = memory.search(words, limit=10, weights=weights, fusion=fusion, route=route)
            taken.append((time.perf_counter() - start) * 1000)
            found = [int(Path(hit.uri).stem) for hit in hits]
            places.append(found.index(number) + 1 if number in found else 0)
        rows.append(
            {
                "way": way,
                "r@1": 100 * sum(place == 1 for place in places) / len(places),
                "r@10": 100 * sum(place > 0 for place in places) / len(places),
                "ms": statistics.median(taken),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="seemory-mini")
    parser.add_argument("--text-model", default="seemory-mini")
    parser.add_argument("--every", type=int, default=1, help="Only every so-maniest picture, by name.")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    said = {name: texts for name, texts in captions(arguments.data).items() if len(texts) > 1}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "pictures"
        folder.mkdir()
        there = {path.name for path in arguments.data.rglob("*.jpg")}
        names = sorted(name for name in said if name in there)[:: arguments.every]
        lay_out(arguments.data, names, folder)
        table = folder / "words.jsonl"
        table.write_text(
            "\n".join(json.dumps({"path": f"{n:05}.jpg", "caption": said[name][0]}) for n, name in enumerate(names))
        )
        settings = read_settings(
            home=Path(place) / "home", model=arguments.model, models={"text": arguments.text_model, "offline": True}
        )
        with Memory(settings) as memory:
            memory.index(folder)
            report = memory.describe_from(table)
            assert report.described == report.embedded == len(names), report
            rows = measure(memory, [said[name][1] for name in names])
        stop_embedded(settings.home)
    print(f"{len(names)} pictures and as many queries; {arguments.model}, words by {arguments.text_model}")
    print(f"{'':34} {'R@1':>6} {'R@10':>6} {'ms':>6}")
    for row in rows:
        print(f"{row['way']:34} {row['r@1']:6.1f} {row['r@10']:6.1f} {row['ms']:6.1f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
