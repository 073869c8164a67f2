"""`python -m training.mini STAGE`: the stages that make seemory-mini, each of which can be run again by itself."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import sources

ROOT = Path(__file__).parents[2]
STAGES = (
    "targets",
    "vectors",
    "near",
    "fresh",
    "train",
    "text",
    "join",
    "choose",
    "export",
    "calibrate",
    "compare",
    "evaluate",
    "card",
)
"""In the order they need one another."""
ASIDE = ("unpack",)
"""Not part of `all`."""


def main() -> None:
    """Run the stages named, in the order given."""
    parser = argparse.ArgumentParser(prog="python -m training.mini", description=__doc__)
    parser.add_argument("stages", nargs="+", choices=[*STAGES, *ASIDE, "all"])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="the training data")
    parser.add_argument(
        "--work", type=Path, default=Path.home() / ".cache" / "seemory-mini", help="crops and checkpoints"
    )
    parser.add_argument(
        "--captioned", type=Path, action="append", default=[], help="more pictures: a folder with captions.csv"
    )
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "src/seemory/models/bundled/seemory-mini", help="the export"
    )
    parser.add_argument("--before", type=Path, help="an earlier version's folder, to compare with")
    parser.add_argument("--card", type=Path, default=ROOT / "docs/models/seemory-mini.md", help="the model card")
    parser.add_argument("--minutes", type=float, default=10.5, help="how long the picture tower trains, in all")
    parser.add_argument("--text-minutes", type=float, default=10, help="how long the text tower trains")
    parser.add_argument("--fresh", type=int, default=80_000, help="how many fresh pictures are made")
    parser.add_argument("--side", type=int, default=160, help="of the exported image tower's input")
    parser.add_argument("--resize-mode", choices=["shortest", "squash"], default="shortest")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    parts = sources.split(options.data, options.captioned)
    for stage in STAGES if "all" in options.stages else options.stages:
        run(stage, options, parts)


def run(stage: str, options: argparse.Namespace, parts: sources.Split) -> None:
    """One stage; what only that stage needs is imported here, so that `export` asks for no teacher."""
    data, work, folder = options.data, options.work, options.folder
    if stage == "targets":
        from . import targets

        targets.run(data, work, parts, options.threads)
    elif stage == "vectors":
        from . import vectors

        vectors.run(data, work, parts, options.threads)
    elif stage == "near":
        from . import near

        near.run(data, work, parts)
    elif stage == "fresh":
        from . import fresh

        fresh.run(data, work, options.fresh)
    elif stage == "train":
        from . import train

        train.run(data, work, options.minutes, options.threads)
    elif stage == "text":
        from . import measure, text

        text.run(work, options.text_minutes, options.threads, parts.forbidden() | measure.sts_sentences(data))
    elif stage == "join":
        from . import join

        join.run(data, work, parts, options.threads)
    elif stage == "unpack":
        from . import unpack

        unpack.run(folder, work)
    elif stage == "choose":
        from . import choose

        choose.run(work, parts)
    elif stage == "export":
        from . import export

        export.run(work, folder, options.side, options.resize_mode)
    elif stage == "calibrate":
        from . import calibrate

        calibrate.run(parts, folder)
    elif stage == "evaluate":
        from . import evaluate

        evaluate.run(data, work, parts, folder)
    elif stage == "compare":
        from . import compare

        before = {"before": options.before} if options.before else {}
        compare.columns(data, work, parts, before | {"shipped": folder})
    elif stage == "card":
        from . import card

        card.run(work, folder, options.card)


if __name__ == "__main__":
    main()
