"""The tables of docs/perceiver-study.md, each from what a sweep or a benchmark left in a folder."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seemory.alignment.sweep import interval

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


def beginnings(sweep: Path, steps: list[int], lowest_rate: float = 0.0) -> Iterator[str]:
    """A table of the first steps of a sweep's first seeds: variance of the pictures' vectors / loss, a row a cell."""
    yield f"| head | latents | rate | warm-up | {' | '.join(f'step {step}' for step in steps)} |"
    yield "| --- | --- | --- | --- |" + " --- |" * len(steps)
    for one in results(sweep)["cells"]:
        cell = one["cell"]
        if cell["rate"] < lowest_rate:
            continue
        lines = (sweep / one["name"] / "seed0" / "log.jsonl").read_text(encoding="utf-8").splitlines()
        logged = {entry["step"]: entry for entry in map(json.loads, lines)}
        told = [f"{logged[step]['variance']:.4f} / {logged[step]['loss']:.2f}" for step in steps]
        named = [cell["head"], cell["latent_init"] or "-", f"{cell['rate']:g}", str(cell["warm_up"] or "none")]
        yield f"| {' | '.join(named + told)} |"


def prefixes(measured: Path) -> Iterator[str]:
    """A table of searching by a prefix, as benchmarks/prefix_search.py has written it."""
    yield "| way | recall@10 of the exact ten | ms (median) | index MB |"
    yield "| --- | --- | --- | --- |"
    for way in json.loads(measured.read_text(encoding="utf-8"))["ways"]:
        size = f"{way['index_mb']:.1f}" if way["index_mb"] else "-"
        yield f"| {way['way']} | {way['recall']:.3f} | {way['ms']:.1f} | {size} |"


def results(sweep: Path) -> dict[str, Any]:
    """What a sweep has found."""
    document: dict[str, Any] = json.loads((sweep / "results.json").read_text(encoding="utf-8"))
    return document
