"""Change a collection's encoder from start to end, for schedulers: build, report, some owners first, everyone, drop.

    python scripts/migrate_embeddings.py vit-b-32-laion2b --collection photos --report report.html
    python scripts/migrate_embeddings.py vit-b-32-laion2b --collection photos --owners-first anna,ben --switch

Without --owners-first, --shares-first or --switch nobody is switched: the new generation is built and verified only.
The steps are those of `seemory reembed`, in this order; each step that was done is a line of JSON on stdout, and the
last line is the outcome. Before each step that gives more owners the new generation, its health is asked: how many of
the ten nearest both generations name, and how long the same searches take in the new one. Where that is worse than
allowed, owners who were switched by this run are taken back, and nothing more is done.

Stopped at any point, run it again: it goes on from there. Exit codes: 0 done; 1 not passed (verification or health;
the problems are in the last line); 2 wrong use; 3 cannot reach what it needs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import seemory
from seemory.reembedding.blue_green import Reembedding


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit code."""
    options = _options(arguments)
    with seemory.open(options.url, home=options.home, collection=options.collection) as memory:
        reembedding = memory.reembedding()
        if reembedding.is_live(options.model):  # an earlier run switched to it: what may be left is to drop
            return _finish(reembedding, options)
        report = reembedding.start(options.model)
        _say("built", **report.as_json())
        if report.generation.state != "ready":
            return _end(False, list(report.verification.problems))
        if options.report:
            _write_report(reembedding, options.report)
        first: list[str] = []
        for step in _steps(reembedding, options):
            if problems := _problems(reembedding, options):
                return _take_back(reembedding, first, problems)
            swap = reembedding.switch(step)
            first = list(dict.fromkeys([*first, *(swap.owners or ())]))
            _say("switched", live=swap.live.table, owners=swap.owners)
            time.sleep(options.pause)
        if not options.switch:
            return _end(True, [])
        if problems := _problems(reembedding, options):
            return _take_back(reembedding, first, problems)
        _say("switched", live=reembedding.switch().live.table, owners=None)
        return _finish(reembedding, options)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the encoder to change to")
    parser.add_argument("--url", help="the database; by default the embedded one")
    parser.add_argument("--home", help="the data folder")
    parser.add_argument("--collection", help="the named set of items")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report: .html is drawn, else JSON")
    parser.add_argument("--owners-first", default="", metavar="A,B", help="switch these owners before all others")
    parser.add_argument(
        "--shares-first", default="", metavar="5,25", help="then so many percent of all owners, in turn"
    )
    parser.add_argument("--pause", type=float, default=0.0, metavar="S", help="seconds to wait after each such step")
    parser.add_argument("--least-overlap", type=float, default=0.0, metavar="X", help="of the ten nearest, 0 to 1")
    parser.add_argument(
        "--most-ms", type=float, default=float("inf"), metavar="MS", help="of a search, 95 of a hundred"
    )
    parser.add_argument("--switch", action="store_true", help="switch everyone in the end")
    parser.add_argument("--drop-after", type=float, metavar="S", help="drop the old one so many seconds after that")
    options = parser.parse_args(arguments)
    if options.drop_after is not None and not options.switch:
        parser.error("--drop-after needs --switch: what still answers cannot be dropped")
    try:
        options.shares = [float(share) for share in options.shares_first.split(",") if share.strip()]
    except ValueError:
        parser.error(f"--shares-first takes percentages such as 5,25, not {options.shares_first!r}")
    return options


def _steps(reembedding: Reembedding, options: argparse.Namespace) -> list[list[str]]:
    """Who is switched before all others, step by step."""
    named = [owner.strip() for owner in options.owners_first.split(",") if owner.strip()]
    return [*([named] if named else []), *(reembedding.owners_in(share) for share in options.shares)]


def _problems(reembedding: Reembedding, options: argparse.Namespace) -> list[str]:
    """What is worse than allowed, as of now."""
    status = reembedding.status()
    new = next(known for known in status["generations"] if known["state"] != "live")
    overlap, times = status["overlap"]["items"], new["milliseconds"]
    _say("health", overlap=status["overlap"], milliseconds=times)
    found = []
    if overlap is not None and overlap < options.least_overlap:
        found.append(f"both name {overlap:.2f} of the ten nearest, and {options.least_overlap:.2f} is asked")
    if times is not None and times["p95"] > options.most_ms:
        found.append(f"95 of a hundred searches take up to {times['p95']} ms, and {options.most_ms:g} are allowed")
    return found


def _take_back(reembedding: Reembedding, owners: list[str], problems: list[str]) -> int:
    if owners:
        _say("taken back", owners=reembedding.rollback(owners).owners)
    return _end(False, problems)


def _finish(reembedding: Reembedding, options: argparse.Namespace) -> int:
    if options.drop_after is not None and reembedding.beside() is not None:
        time.sleep(options.drop_after)
        _say("dropped", table=reembedding.drop().table)
    return _end(True, [])


def _write_report(reembedding: Reembedding, file: Path) -> None:
    report = reembedding.report()
    if file.suffix.lower() in (".html", ".htm"):
        from seemory.reembedding.space_page import write_page

        write_page(report, file)
    else:
        file.write_text(json.dumps(report.as_json(), indent=2, default=str), encoding="utf-8")
    _say("reported", file=str(file))


def _end(passed: bool, problems: list[str]) -> int:
    _say("done" if passed else "not passed", problems=problems)
    return 0 if passed else 1


def _say(step: str, **figures: Any) -> None:
    print(json.dumps({"step": step, **figures}, default=str), flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except seemory.SeemoryError as error:
        print(f"migrate_embeddings: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
