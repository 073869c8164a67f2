"""Commands of the alignment lab: scenes, features, train, evaluate, sweep, export."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seemory.cli.display import print_json, progress
from seemory.cli.options import as_json, encoder_of
from seemory.errors import UsageError

if TYPE_CHECKING:
    from seemory.alignment.nets import PictureNet
    from seemory.alignment.splits import Split
    from seemory.models.encoder import Encoder

_file = click.Path(path_type=Path, dir_okay=False)
_folder = click.Path(path_type=Path, file_okay=False)
_home = click.option("--home", type=_folder, help="The data folder.")
_share = click.FloatRange(0, 1, max_open=True)


@click.group()
def align() -> None:
    """Train heads on frozen encoders, measure them, and put the best into use."""


@align.command()
@click.option("--images", type=_folder, required=True, help="The folder that the captions' names are below.")
@click.option("--captions", type=_file, required=True, help="COCO's or Flickr's captions, a JSON list, or a CSV file.")
@click.option("--image-encoder", required=True, help="A catalogue name, a model folder, or a .tflite network.")
@click.option("--text-encoder", required=True, help="A catalogue name or a model folder.")
@click.option("--out", type=_folder, required=True, help="The folder of features; what is in it already is kept.")
@click.option("--level", type=click.Choice(["tokens", "pooled"]), default="tokens", show_default=True)
@click.option("--image-layer", help="The tensor with a vector for each position; by default the last there is.")
@click.option("--text-tokens", is_flag=True, help="Keep a vector for each token of the captions as well.")
@click.option("--val", type=_share, default=0.1, show_default=True, help="The share of pictures to choose by.")
@click.option("--test", type=_share, default=0.1, show_default=True, help="The share of pictures to measure with.")
@click.option("--reserve-every", type=click.IntRange(0), default=0, help="Each N-th picture by name is for the test.")
@_home
@as_json
def features(
    images: Path,
    captions: Path,
    image_encoder: str,
    text_encoder: str,
    out: Path,
    level: str,
    image_layer: str | None,
    text_tokens: bool,
    val: float,
    test: float,
    reserve_every: int,
    home: Path | None,
    json_: bool,
) -> int:
    """Make the features of captioned pictures by frozen encoders; run again, only what is new is made."""
    from seemory.alignment.features import SplitRule, make_features
    from seemory.alignment.nets import EncoderTexts

    pictures = _picture_net(image_encoder, home, tokens=level == "tokens", layer=image_layer)
    texts = EncoderTexts(_encoder(text_encoder, home), tokens=text_tokens, name=_remembered(text_encoder, home))
    rule = SplitRule(val, test, reserve_every)
    with progress("Features") as listen:
        report = make_features(images, captions, out, pictures, texts, rule=rule, listen=listen)
    for name, reason in report.failed.items():
        click.echo(f"{name}: {reason}", err=True)
    if json_:
        print_json(asdict(report))
    else:
        splits = ", ".join(f"{count:,} {split}" for split, count in sorted(report.splits.items()))
        said = f"{report.pictures:,} pictures ({splits}) with {report.captions:,} captions, {report.made:,} made now"
        click.echo(f"{out}: {said}" + (f", {len(report.failed):,} failed" if report.failed else ""))
    return 1 if report.failed else 0


@align.command()
@click.argument("config", type=_file)
@click.option("--out", type=_folder, help="The run's folder; by default the file's name without its suffix.")
@click.option("--fresh", is_flag=True, help="Begin anew rather than where the run was stopped.")
@as_json
def train(config: Path, out: Path | None, fresh: bool, json_: bool) -> int:
    """Train the heads that the TOML file CONFIG describes; a run that was stopped goes on."""
    from seemory.alignment.config import read_config

    told = read_config(config)
    folder = _folder_of(config, out)
    _require_torch()
    from seemory.alignment.training import train as run

    with progress("Training") as listen:
        outcome = run(told, folder, fresh=fresh, listen=listen)
    if json_:
        print_json(asdict(outcome) | {"folder": folder})
    else:
        loss = (
            "computed, not trained"
            if outcome.loss is None
            else f"loss {outcome.loss:.4f} (ln batch {outcome.ln_batch:.4f})"
        )
        click.echo(f"{folder}: {outcome.steps:,} steps, {loss}, variance {outcome.variance:.3f}")
        for name, value in outcome.validation.items():
            click.echo(f"  {name:24} {value:5.1f} %")
    if outcome.stopped:
        click.echo(f"stopped: {outcome.stopped}", err=True)
    return 1 if outcome.stopped else 0


@align.command()
@click.argument("run", type=_folder)
@click.option("--features", "folders", type=_folder, multiple=True, help="By default those the run was trained on.")
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="test", show_default=True)
@click.option("--width", "widths", type=click.IntRange(1), multiple=True, help="A prefix to measure at; repeatable.")
@click.option("--html", type=_file, help="Write the drawn report as a page.")
@click.option("--images", type=_folder, help="The folder of the pictures, to be shown with the examples.")
@click.option("--umap", is_flag=True, help="Draw UMAP's map beside t-SNE's; needs the extra umap.")
@as_json
def evaluate(
    run: Path,
    folders: tuple[Path, ...],
    split: Split,
    widths: tuple[int, ...],
    html: Path | None,
    images: Path | None,
    umap: bool,
    json_: bool,
) -> None:
    """Measure the heads of RUN over a whole gallery: recall both ways at every width, and what the space looks like."""
    _require_torch()
    from seemory.alignment.evaluating import evaluate as measure
    from seemory.alignment.report import example_tables, page, recall_table
    from seemory.evaluation.report import as_lines, write_page

    found = measure(run, folders, split=split, widths=widths)
    if html is not None:
        write_page(page(found, images=images, umap=umap), html)
    if json_:
        print_json(found.as_json() | {"html": html})
        return
    for table in (recall_table(found), *example_tables(found)):
        click.echo("\n".join([*as_lines(table), ""]))
    if html is not None:
        click.echo(f"the drawn report is in {html}", err=True)


@align.command()
@click.argument("config", type=_file)
@click.option("--out", type=_folder, help="The folder of the runs; by default the file's name without its suffix.")
@click.option("--html", type=_file, help="Write the drawn report as a page.")
@as_json
def sweep(config: Path, out: Path | None, html: Path | None, json_: bool) -> int:
    """Compare heads over the grid that the TOML file CONFIG describes; what is done already is kept."""
    _require_torch()
    import json

    from seemory.alignment.sweep import RESULTS, run_sweep
    from seemory.alignment.sweep_report import sweep_page, sweep_table
    from seemory.evaluation.report import as_lines, write_page

    folder = _folder_of(config, out)
    with progress("Comparing") as listen:
        results = run_sweep(config, folder, listen=listen)
    document = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    if html is not None:
        write_page(sweep_page(results, folder, document["ln_batch"]), html)
    if json_:
        print_json(document | {"folder": folder, "html": html})
    else:
        click.echo("\n".join(as_lines(sweep_table(results))))
    for one in results:
        for reason in one.stopped:
            click.echo(f"{one.cell.name}: {reason}", err=True)
    return 1 if any(one.stopped for one in results) else 0


@align.command()
@click.argument("run", type=_folder)
@click.argument("name")
@_home
@as_json
def export(run: Path, name: str, home: Path | None, json_: bool) -> None:
    """Make an encoder called NAME of the heads of RUN: into the catalogue, to index, search and re-embed with."""
    _require_torch()
    from seemory.alignment.aligner import load_aligner
    from seemory.alignment.export import export as write
    from seemory.alignment.training import HEAD
    from seemory.settings import read_settings

    _, pictures, texts = load_aligner(run / HEAD)
    if str(pictures["encoder"]).endswith(".tflite"):
        raise UsageError(f"{run / HEAD} is for {pictures['encoder']}: only heads on ONNX encoders can be exported")
    made = write(
        run,
        name,
        home=read_settings(home=home).home,
        pictures=_encoder(str(pictures["encoder"]), home),
        texts=_encoder(str(texts["encoder"]), home),
    )
    if json_:
        print_json(asdict(made))
        return
    click.echo(f"{made.folder}: {made.dim} wide, {made.bytes:,} bytes, cosine to the heads at least {made.worst:.5f}")
    click.echo(f"now: seemory index … --model {name}, or seemory reembed start --to {name}")


@align.command()
@click.argument("out", type=_folder)
@click.option("--count", type=click.IntRange(1, 1_000_000), default=20_000, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another one draws others.")
@as_json
def scenes(out: Path, count: int, seed: int, json_: bool) -> None:
    """Draw scenes of things with captions into the folder OUT: data of known content, as much as is wanted."""
    from seemory.alignment.scenes import CAPTIONS, IMAGES, write_scenes

    with progress("Drawing") as listen:
        made = write_scenes(out, count, seed=seed, listen=listen)
    if json_:
        print_json({"images": out / IMAGES, "captions": out / CAPTIONS, "pictures": count, "made": made})
    else:
        click.echo(f"{out / IMAGES}: {count:,} pictures, {made:,} drawn now; their captions are in {out / CAPTIONS}")


def _folder_of(config: Path, out: Path | None) -> Path:
    folder = out or config.with_suffix("")
    if folder == config:
        raise UsageError(f"{config} has no suffix to take away: say where its runs go (--out)")
    return folder


def _picture_net(name: str, home: Path | None, *, tokens: bool, layer: str | None) -> PictureNet:
    from seemory.alignment.nets import EncoderPictures

    if name.endswith(".tflite"):
        from seemory.alignment.tflite import TfliteNet

        if layer is not None:
            raise UsageError("of a .tflite network the map before its pooling is taken: leave --image-layer away")
        return TfliteNet(Path(name), tokens=tokens)
    return EncoderPictures(_encoder(name, home), tokens=tokens, layer=layer, name=_remembered(name, home))


def _remembered(name: str, home: Path | None) -> str:
    from seemory.models.loading import remembered_name
    from seemory.settings import read_settings

    return remembered_name(name, home=read_settings(home=home).home)


def _encoder(name: str, home: Path | None) -> Encoder:
    from seemory.settings import read_settings

    settings = read_settings(home=home)
    with progress(f"Fetching {name}") as listen:
        return encoder_of(name, settings, listen)


def _require_torch() -> None:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise UsageError("heads are made with torch: pip install 'seemory[align]'")
