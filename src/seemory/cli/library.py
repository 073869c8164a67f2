"""Commands about pictures: index, search, similar, classify, duplicates, show, forget."""

from __future__ import annotations

import sys
import time
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from seemory.cli.display import print_hits, print_json, print_path, progress, say_larger, say_route
from seemory.cli.options import as_json, memory_for, on_ray, say_notice, weight_option, where_it_is


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--recursive/--no-recursive", default=True, help="Look into folders inside folders.")
@click.option("--prune", is_flag=True, help="Mark files that are gone from disk; searches leave them out.")
@click.option("--retry-failed", is_flag=True, help="Try again what failed before and has not changed since.")
@click.option("--reprocess", is_flag=True, help="Read known and unchanged files again as well.")
@click.option("--workers", type=click.IntRange(1, 256), help="Decode threads.")
@click.option("--transcribe", metavar="MODEL", help="Listen to films without subtitles: a Whisper size or a folder.")
@on_ray
@where_it_is
@as_json
def index(
    paths: tuple[Path, ...],
    recursive: bool,
    prune: bool,
    retry_failed: bool,
    reprocess: bool,
    workers: int | None,
    transcribe: str | None,
    ray: str | None,
    json_: bool,
    **where: Any,
) -> int:
    """Bring files and folders into the memory. Run it again any time: only what is new costs work."""
    with memory_for(**where) as memory:
        name = memory.encoder_name
        say_notice(memory)
        told = memory.notice
        # Ray remarks on stdout that a node has gone; that place is the answer's.
        with redirect_stdout(sys.stderr), progress("Indexing") as listen:
            report = memory.index(
                *paths,
                recursive=recursive,
                prune=prune,
                workers=workers,
                retry_failed=retry_failed,
                reprocess=reprocess,
                transcribe=transcribe,
                ray=ray,
                listen=listen,
            )
        if memory.notice != told:
            say_notice(memory)
    for uri, reason in report.errors:
        click.echo(f"  {print_path(uri)}: {reason}", err=True)
    if report.waiting:
        click.echo(f"The words of films have no sentence vectors yet: {report.waiting}", err=True)
    if report.interrupted:
        click.echo("Stopped; what was finished is kept, and the next run goes on from there.", err=True)
    if json_:
        print_json({"model": name, "counts": dict(report.counts), **_without(asdict(report), "counts")})
    else:
        said = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in sorted(report.counts.items()))
        rate = report.found / max(report.seconds, 1e-9)
        missing = f", {report.missing:,} marked missing" if prune else ""
        click.echo(f"{said or 'nothing found'}{missing} in {report.seconds:.1f} s ({rate:,.0f} files/s, {name})")
    return 1 if report.failed or report.partial or report.interrupted else 0


@click.command()
@click.argument("words", nargs=-1)
@click.option("--image", type=click.Path(path_type=Path, dir_okay=False), help="Find what looks like this picture.")
@click.option("--like", metavar="ITEM", help="Find what looks like an item: its id, the beginning of it, or its path.")
@click.option("--plus", multiple=True, metavar="TERM", help="Add words, a picture file or an item id; repeatable.")
@click.option("--minus", multiple=True, metavar="TERM", help="Take away words, a picture file or an item id.")
@click.option("--limit", "-n", default=10, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--offset", default=0, type=click.IntRange(0), help="Skip so many of the best.")
@click.option("--min-score", type=click.FloatRange(0, 1), help="The least calibrated score, 0 to 1.")
@click.option("--kind", type=click.Choice(["image", "scene", "text"]), help="Only items of this kind.")
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="CONDITION",
    help="For example width>=1000, taken=2021-05, camera~canon, path~holiday, iso<400; all must hold.",
)
@weight_option
@click.option("--fusion", type=click.Choice(["rrf", "minmax"]), help="How the channels become one ranking.")
@click.option("--language", help="To read the words in; by default all that were used in describing.")
@click.option("--film", metavar="FILM", help="Only scenes of this film: its path, or the id of its asset.")
@click.option(
    "--route",
    type=click.Choice(["auto", "visual", "rerank", "words"]),
    help="Whether sight leads, re-ranks what words found, or is left out; among scenes auto by default.",
)
@click.option("--group/--no-group", default=None, help="Neighbouring scenes of a film are one hit, or each its own.")
@click.option("--explain", is_flag=True, help="Print how the vectors were searched, and Postgres's plan, not hits.")
@where_it_is
@as_json
def search(
    words: tuple[str, ...],
    image: Path | None,
    like: str | None,
    plus: tuple[str, ...],
    minus: tuple[str, ...],
    limit: int,
    offset: int,
    min_score: float | None,
    kind: Any,
    conditions: tuple[str, ...],
    weights: dict[str, float],
    fusion: str | None,
    language: str | None,
    film: str | None,
    route: Any,
    group: bool | None,
    explain: bool,
    json_: bool,
    **where: Any,
) -> None:
    """Find pictures by words, by a picture, by an item, or by a sum of several.

    'a "golden gate" -night' (in single quotes): the item's words must have the one and must not have the other.
    """
    text = " ".join(words)
    with memory_for(**where) as memory:
        if explain:
            asked: dict[str, Any] = {"image": image, "like": like, "plus": plus, "minus": minus}
            part: dict[str, Any] = {"limit": limit, "offset": offset, "kind": kind, "where": conditions, "film": film}
            explained = memory.explain(text, **asked, **part)
            if json_:
                print_json(explained.as_json())
            else:
                click.echo(explained.as_text())
            return
        start = time.perf_counter()
        hits = memory.search(
            text,
            image=image,
            like=like,
            plus=plus,
            minus=minus,
            limit=limit,
            offset=offset,
            min_score=min_score,
            kind=kind,
            where=conditions,
            weights=weights,
            fusion=fusion,
            language=language,
            film=film,
            route=route,
            group=group,
        )
        if json_:
            query = {"words": text or None, "image": image and str(image), "like": like, "plus": plus, "minus": minus}
            print_json(
                {
                    "query": {name: value for name, value in query.items() if value},
                    **hits.as_json(),
                    "collection": memory.collection,
                    "model": memory.encoder_name,
                    "milliseconds": round((time.perf_counter() - start) * 1000, 1),
                }
            )
        else:
            say_route(hits.route)
            print_hits(hits, memory.thumbnail)
            if hits:
                say_larger(memory.home, memory.encoder_name)
            else:
                click.echo("nothing found", err=True)


@click.command()
@click.argument("item")
@click.option("--limit", "-n", default=10, show_default=True, type=click.IntRange(1, 10_000))
@where_it_is
@as_json
def similar(item: str, limit: int, json_: bool, **where: Any) -> None:
    """Find what looks like ITEM: an id, the beginning of one, a known path, or any picture file."""
    with memory_for(**where) as memory:
        hits = memory.similar(item, limit=limit)
        if json_:
            print_json({"query": {"like": item}, "hits": [hit.as_json() for hit in hits]})
        else:
            print_hits(hits, memory.thumbnail)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--labels", required=True, help="What it may be, separated by commas: cat,dog,car")
@click.option("--template", "templates", multiple=True, help="A prompt with {} where the label goes; repeatable.")
@where_it_is
@as_json
def classify(file: Path, labels: str, templates: tuple[str, ...], json_: bool, **where: Any) -> None:
    """Tell which of a few labels a picture is, without training."""
    with memory_for(**where) as memory:
        answers = memory.classify(file, labels.split(","), templates=templates or None)
    if json_:
        print_json({"file": str(file), "labels": [asdict(answer) for answer in answers]})
    else:
        for answer in answers:
            click.echo(f"{answer.probability:7.1%}  cosine {answer.cosine:+.3f}  {answer.label}")


@click.command()
@click.option(
    "--threshold", default=0.95, show_default=True, type=click.FloatRange(0, 1), help="Least cosine of a near pair."
)
@where_it_is
@as_json
def duplicates(threshold: float, json_: bool, **where: Any) -> None:
    """List files with the same bytes, and pictures that look nearly the same, as two tiers."""
    with memory_for(**where) as memory:
        found = memory.duplicates(threshold=threshold)
    if json_:
        print_json(asdict(found))
        return
    for group in found.exact:
        click.echo("same bytes:")
        for item in group:
            click.echo(f"  {str(item.item_id)[:8]}  {print_path(item.uri)}")
    for near in found.near:
        click.echo(f"nearly the same (cosine {near.cosine:.3f} and more):")
        for item in near.items:
            click.echo(f"  {str(item.item_id)[:8]}  {print_path(item.uri)}")
    click.echo(f"{len(found.exact)} groups of equal files, {len(found.near)} groups of near duplicates", err=True)


@click.command()
@click.argument("item")
@where_it_is
@as_json
def show(item: str, json_: bool, **where: Any) -> None:
    """Show all that is known of ITEM (an id, the beginning of one, or a path)."""
    with memory_for(**where) as memory:
        found = asdict(memory.get(item))
    if json_:
        print_json(found)
    else:
        for name, value in found.items():
            if value not in (None, (), {}):
                click.echo(f"{name:10} {print_path(str(value))}")


@click.command()
@click.argument("items", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@where_it_is
def forget(items: tuple[str, ...], yes: bool, **where: Any) -> None:
    """Remove ITEMS from the memory. Files on disk are never touched."""
    if not yes and sys.stdin.isatty():
        click.confirm(f"Forget {len(items)} items? The files stay on disk.", abort=True)
    with memory_for(**where) as memory:
        click.echo(f"{memory.forget(items)} forgotten")


def _without(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != name}
