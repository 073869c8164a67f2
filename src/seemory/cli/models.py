"""Commands about encoders: list, pull, check, export."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from seemory.cli.display import print_json, progress, progress_if_any
from seemory.cli.options import as_json, encoder_of
from seemory.errors import UsageError

_home = click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="The data folder.")


@click.group()
def models() -> None:
    """The encoders: what there is, fetching, checking, exporting."""


@models.command("list")
@_home
@as_json
def list_(home: Path | None, json_: bool) -> None:
    """List the catalogue, and which encoders are on disk."""
    from seemory.models.catalog import load_catalog
    from seemory.models.loading import on_disk
    from seemory.settings import read_settings

    folder = read_settings(home=home).home
    rows = [
        {
            "name": spec.name,
            "dim": spec.dim,
            "towers": list(spec.towers),
            "licence": spec.licence,
            "source": spec.repo or "bundled",
            "on_disk": on_disk(spec.name, home=folder),
        }
        for spec in load_catalog(folder).values()
    ]
    if json_:
        print_json({"models": rows})
        return
    for row in rows:
        mark = "on disk" if row["on_disk"] else "-"
        click.echo(f"{row['name']:28} {row['dim']:5}  {mark:8} {row['licence']:22} {row['source']}")


@models.command()
@click.argument("name")
@_home
def pull(name: str, home: Path | None) -> None:
    """Fetch an encoder from its hub; a cut connection is taken up where it broke."""
    from seemory.models.catalog import find_spec
    from seemory.models.hub import pull as fetch
    from seemory.models.precision import split_name
    from seemory.settings import read_settings

    settings = read_settings(home=home)
    with progress(f"Fetching {name}") as listen:
        spec = find_spec(split_name(name)[0], settings.home)
        folder = fetch(spec, home=settings.home, offline=settings.models.offline, listen=listen)
    click.echo(str(folder))


@models.command()
@click.argument("name")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path),
    help="Real pictures to measure with; by default the demo's photographs.",
)
@click.option(
    "--captions",
    type=click.Path(path_type=Path),
    help="A CSV file with the columns image and caption, for the change of recall.",
)
@_home
@as_json
def check(name: str, pictures: Path | None, captions: Path | None, home: Path | None, json_: bool) -> int:
    """Say what of an encoder (a catalogue name or a folder) is right, and measure it in every precision."""
    from seemory.cli.precisions import as_document, print_table
    from seemory.models.check import check as examine
    from seemory.precision_check import measure_ways
    from seemory.settings import read_settings

    settings = read_settings(home=home)
    options = settings.models
    with progress_if_any(f"Fetching {name}") as listen:
        encoder = encoder_of(name, settings, listen)
    findings, report = examine(encoder), None
    sound = all(finding.ok for finding in findings)
    if not json_:
        for finding in findings:
            click.echo(f"{'ok ' if finding.ok else 'BAD'}  {finding.name:24} {finding.says}")
    if sound:
        try:
            with progress("Measuring") as listen:
                report = measure_ways(
                    encoder.folder,
                    home=settings.home,
                    pictures=pictures,
                    captions=captions,
                    threads=options.threads,
                    listen=listen,
                )
        except UsageError as error:
            if pictures is not None or captions is not None:
                raise
            click.echo(f"not measured: {error}", err=True)
    precisions = as_document(report, options) if report else None
    if json_:
        found = [asdict(finding) for finding in findings]
        print_json({"model": encoder.name, "findings": found, "precisions": precisions})
    elif report:
        print_table(report, options)
    return 0 if sound else 1


@models.command()
@click.argument("checkpoint")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@as_json
def export(checkpoint: str, out: Path, json_: bool) -> None:
    """Turn a transformers or OpenCLIP CHECKPOINT into an ONNX folder OUT; refused if its vectors differ."""
    from seemory.models.export import export as convert

    with progress("Exporting") as listen:
        report = convert(checkpoint, out, listen=listen)
    if json_:
        print_json(asdict(report))
    else:
        click.echo(f"{out}: {report}")
