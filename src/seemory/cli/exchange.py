"""Commands that bring ready vectors in and take them out: import, export."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from seemory.cli.display import print_json, progress
from seemory.cli.options import as_json, memory_for, where_it_is


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--fingerprint", metavar="F", help="Of the encoder that made them; `local`: the one of that name here.")
@click.option("--vectors", "column", metavar="NAME", help="The column or tensor with the vectors.")
@where_it_is
@as_json
def import_(
    files: tuple[Path, ...], fingerprint: str | None, column: str | None, json_: bool, model: str | None, **where: Any
) -> int:
    """Bring ready vectors in: .npy, .parquet, .safetensors, or folders of clip-retrieval. Needs --model."""
    if model is None:
        raise click.UsageError("--model NAME is needed: which encoder made these vectors?")
    with memory_for(**where) as memory, progress("Importing") as listen:
        report = memory.import_vectors(*files, model=model, fingerprint=fingerprint, column=column, listen=listen)
    if json_:
        print_json(asdict(report) | {"written": report.written})
    else:
        for word, counts in (("refused", report.refused), ("mended", report.mended)):
            for reason, count in sorted((+counts).items()):
                click.echo(f"  {word}: {count:,} {reason.replace('_', ' ')}", err=True)
        click.echo(f"{report.new:,} new, {report.known:,} known in {report.seconds:.1f} s")
    return 1 if report.refused.total() else 0


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@where_it_is
@as_json
def export(file: Path, json_: bool, **where: Any) -> None:
    """Write item ids, paths, metadata and vectors of the collection to FILE.parquet."""
    with memory_for(**where) as memory, progress("Exporting") as listen:
        count = memory.export_vectors(file, listen=listen)
    if json_:
        print_json({"file": str(file), "vectors": count})
    else:
        click.echo(f"{count:,} vectors written")
