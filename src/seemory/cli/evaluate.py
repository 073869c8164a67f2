"""Commands that measure: evaluate geometry, similarity, ann, retrieval."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from seemory.cli.display import print_json, print_path, progress, progress_if_any
from seemory.cli.options import as_json, encoder_of, memory_for

if TYPE_CHECKING:
    from seemory.evaluation.report import Table
    from seemory.measuring.geometry import Pairing
    from seemory.measuring.spaces import Space
    from seemory.measuring.text_ways import Asked
    from seemory.models.encoder import Encoder

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path, dir_okay=False)
_VECTORS = click.Path(path_type=Path)
_REMEDIES = ("none", "centred", "all-but-the-top", "whitened")
_POOLINGS = ("mean", "cls", "max", "last", "eot")

_home = click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="The data folder.")
_collection = click.option("--collection", help="The named set of items.")
_owner = click.option("--owner", help="Whose memory it is.")
_html = click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Draw it, into this file.")
_remedy = click.option(
    "--remedy", "remedies", multiple=True, type=click.Choice(_REMEDIES), help="Only these; repeatable. All by default."
)


def _ways(command: F) -> F:
    """Adds what turns texts into vectors."""
    for option in (
        click.option("--untrained", is_flag=True, help="Each encoder's network before training, too (package onnx)."),
        click.option("--words", multiple=True, type=_FILE, help="Word vectors like GloVe's; their mean; repeatable."),
        click.option(
            "--pooling",
            "poolings",
            multiple=True,
            type=click.Choice(_POOLINGS),
            help="Beside an encoder's own; repeatable.",
        ),
        click.option("--encoder", "encoders", multiple=True, metavar="MODEL", help="A text encoder; repeatable."),
    ):
        command = option(command)
    return command


@click.group()
def evaluate() -> None:
    """Measure a space, an encoder or an index."""


@evaluate.command()
@click.argument("file", required=False, type=_VECTORS)
@click.option("--captions", type=_VECTORS, help="The vectors of texts that belong to FILE's, row by row.")
@click.option("--vectors", "column", metavar="NAME", help="The column or tensor of the files, if it is not told.")
@click.option("--texts", type=_FILE, help="Texts, one a line, to be embedded by --encoder or --words.")
@_ways
@click.option("--by", metavar="WHAT", help="Group by folder (the default), tag, or a key of the metadata.")
@click.option("--labels", type=_FILE, help="Group by a CSV file: path, id or row, and label.")
@click.option("--fit", type=_VECTORS, help="Fit the remedies of pictures and captions to these pictures' vectors …")
@click.option("--fit-captions", type=_VECTORS, help="… and to these texts', in place of those that are measured.")
@click.option("--sample", type=click.IntRange(2), default=5000, show_default=True, help="At most so many vectors.")
@_remedy
@_html
@_home
@_collection
@_owner
@as_json
def geometry(
    file: Path | None,
    captions: Path | None,
    column: str | None,
    texts: Path | None,
    encoders: tuple[str, ...],
    poolings: tuple[Any, ...],
    words: tuple[Path, ...],
    untrained: bool,
    by: str | None,
    labels: Path | None,
    fit: Path | None,
    fit_captions: Path | None,
    sample: int,
    remedies: tuple[str, ...],
    html: Path | None,
    json_: bool,
    home: Path | None,
    collection: str | None,
    owner: str | None,
) -> None:
    """Say how a space is shaped: of vectors in FILE, of texts, or, without either, of the collection."""
    from seemory.evaluation.remedies import REMEDIES, all_of
    from seemory.measuring import geometry as rooms

    if by is not None and labels is not None:
        raise click.UsageError("vectors are grouped by --by or by --labels, not by both")
    if captions is not None and file is None:
        raise click.UsageError("--captions belong to the vectors of a FILE: name it first")
    if (fit is None) != (fit_captions is None) or (fit is not None and captions is None):
        raise click.UsageError("--fit and --fit-captions go together, and with --captions")
    chosen = all_of(remedies) if remedies else REMEDIES
    with progress("Measuring") as listen:
        if file is None and texts is None:
            with memory_for(home, collection, owner) as memory:
                report = memory.geometry(
                    by=by or "folder", labels=labels, sample=sample, remedies=chosen, listen=listen
                )
        else:
            spaces, pairing, notes = _spaces(file, captions, column, by, labels, sample)
            if texts is not None:
                asked = _asked(encoders, poolings, words, untrained)
                more, said = _of_texts(texts, asked, sample, home)
                spaces, notes = [*spaces, *more], [*notes, *said]
            fitted = [_only(one, column, sample).vectors for one in (fit, fit_captions) if one is not None]
            report = rooms.measure(
                spaces, pairing=pairing, fitted_to=fitted, remedies=chosen, notes=notes, listen=listen
            )
    if html is not None:
        rooms.write_report(report, html)
    _say(report.as_json(), rooms.tables(report), report.notes, html, json_)


@evaluate.command()
@click.argument("file", type=_FILE)
@_ways
@click.option("--fit", type=_FILE, help="Fit remedies to the sentences of this file, of the same form, in their place.")
@_remedy
@_html
@_home
@as_json
def similarity(
    file: Path,
    encoders: tuple[str, ...],
    poolings: tuple[Any, ...],
    words: tuple[Path, ...],
    untrained: bool,
    fit: Path | None,
    remedies: tuple[str, ...],
    html: Path | None,
    json_: bool,
    home: Path | None,
) -> int:
    """Say how well encoders' cosines follow what people said of pairs of sentences (FILE is like STS-B's)."""
    from seemory.evaluation.remedies import REMEDIES, all_of
    from seemory.measuring import similarity as rooms
    from seemory.measuring.text_ways import text_ways
    from seemory.settings import read_settings

    settings = read_settings(home=home)
    judged, fitted = rooms.read_judged(file), rooms.read_judged(fit).sentences if fit is not None else None
    asked, chosen = _asked(encoders, poolings, words, untrained), all_of(remedies) if remedies else REMEDIES
    with tempfile.TemporaryDirectory() as scratch, progress_if_any("Embedding") as listen:
        ways = text_ways(
            asked,
            [*judged.sentences, *(fitted or ())],
            Path(scratch),
            home=settings.home,
            threads=settings.models.threads,
            offline=settings.models.offline,
            listen=listen,
        )
        found, notes = rooms.compare(ways, judged, fitted, remedies=chosen, listen=listen)
    document = {"pairs": len(judged.scores), "ways": [one.as_json() for one in found], "notes": notes}
    if html is not None:
        rooms.write_report(judged, found, chosen, notes, html)
    _say(document, [rooms.table(judged, found, chosen)], notes, html, json_)
    return 0 if found else 1


def _numbers(_: click.Context, option: click.Parameter, given: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in (given or "").split(",") if number.strip())
    except ValueError:
        raise click.BadParameter(f"{given!r}: write numbers with commas between them", param=option) from None


@evaluate.command()
@click.argument("file", required=False, type=_VECTORS)
@click.option(
    "--queries", "texts", type=_VECTORS, help="Vectors of texts of the same space, which ask as well as FILE's."
)
@click.option("--vectors", "column", metavar="NAME", help="The column or tensor of the files, if it is not told.")
@click.option("--precision", "precisions", multiple=True, type=click.Choice(["float32", "halfvec", "binary"]))
@click.option("--m", "ms", default="16", show_default=True, metavar="N,N", callback=_numbers, help="Of the index.")
@click.option("--ef", "efs", default="10,20,40,80,160,320", show_default=True, metavar="N,N", callback=_numbers)
@click.option(
    "--prefix", "prefixes", metavar="N,N", callback=_numbers, help="First dimensions that are indexed, of halves."
)
@click.option("--ef-construction", type=int, default=128, show_default=True, help="Of the index.")
@click.option("-k", "k", type=click.IntRange(1), default=10, show_default=True, help="So many nearest are to be found.")
@click.option(
    "--ask", type=click.IntRange(1), default=200, show_default=True, help="So many vectors are set aside and ask."
)
@click.option(
    "--sample", type=click.IntRange(2), default=20_000, show_default=True, help="At most so many of FILE's vectors."
)
@_remedy
@_html
@_home
@_collection
@_owner
@as_json
def ann(
    file: Path | None,
    texts: Path | None,
    column: str | None,
    precisions: tuple[Any, ...],
    ms: tuple[int, ...],
    efs: tuple[int, ...],
    prefixes: tuple[int, ...],
    ef_construction: int,
    k: int,
    ask: int,
    sample: int,
    remedies: tuple[str, ...],
    html: Path | None,
    json_: bool,
    home: Path | None,
    collection: str | None,
    owner: str | None,
) -> None:
    """Say how much of what is really nearest each kind of index finds: in FILE, or, without it, in the collection."""
    from seemory.evaluation.remedies import all_of
    from seemory.measuring import index_quality as rooms

    if texts is not None and file is None:
        raise click.UsageError(
            "--queries are of the space of a FILE: name it; of the collection, words ask by themselves"
        )
    plan = rooms.Plan(
        precisions=precisions or rooms.Plan().precisions,
        ms=ms,
        efs=efs,
        prefixes=prefixes,
        remedies=all_of(remedies) if remedies else rooms.Plan().remedies,
        k=k,
        queries=ask,
        ef_construction=ef_construction,
    )
    with memory_for(home, collection, owner) as memory, progress("Measuring") as listen:
        if file is None:
            report = memory.index_quality(plan=plan, listen=listen)
        else:
            gallery = _only(file, column, sample)
            words = None if texts is None else _only(texts, column, sample).vectors
            report = rooms.measure_index(
                memory.database, memory.owner, gallery.vectors, words, plan=plan, notes=gallery.notes, listen=listen
            )
    if html is not None:
        rooms.write_report(report, html)
    _say(report.as_json(), rooms.tables(report), report.notes, html, json_)


@evaluate.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--captions", type=_FILE, help="Whose captions: COCO's or another JSON, CSV, or Flickr's token file.")
@click.option("--labels", type=_FILE, help="Whose labels: a CSV file, name and label.")
@click.option("--label-pattern", "pattern", metavar="REGEX", help="Labels out of file names: the first group.")
@click.option(
    "--encoder",
    "encoders",
    multiple=True,
    metavar="MODEL",
    help="By default the one that indexing would take; repeatable.",
)
@click.option("--template", "templates", multiple=True, help="A prompt for labels, with {} in it; repeatable.")
@click.option("--width", "widths", metavar="N,N", callback=_numbers, help="So many first dimensions, as well.")
@click.option("--every", type=click.IntRange(1), default=1, help="Only each so-manieth picture in the order of names.")
@_html
@_home
@as_json
def retrieval(
    folder: Path,
    captions: Path | None,
    labels: Path | None,
    pattern: str | None,
    encoders: tuple[str, ...],
    templates: tuple[str, ...],
    widths: tuple[int, ...],
    every: int,
    html: Path | None,
    json_: bool,
    home: Path | None,
) -> None:
    """Say how well encoders find FOLDER's captioned pictures, or tell its labelled ones (by its subfolders)."""
    from seemory.measuring import folders
    from seemory.measuring import retrieval as rooms
    from seemory.models.loading import resolve_auto
    from seemory.settings import AUTO, read_settings
    from seemory.zero_shot import PHOTO_TEMPLATES

    if captions is not None and (labels is not None or pattern is not None or templates):
        raise click.UsageError("pictures are found by --captions, or told apart by labels, not both at once")
    if captions is None and widths:
        raise click.UsageError("--width is of recall: give --captions")
    settings = read_settings(home=home)
    options = settings.models
    names = encoders or (settings.model,)
    if names == (AUTO,):
        name, notice = resolve_auto(home=settings.home, timeout_s=options.auto_wait_s, offline=options.offline)
        names = (name,)
        if notice:
            click.echo(notice, err=True)
    with progress_if_any("Fetching the model") as fetching, progress("Embedding") as listen:

        def load(name: str) -> Encoder:
            return encoder_of(name, settings, fetching)

        most = settings.media.max_pixels
        if captions is not None:
            found = folders.captioned_folder(folder, captions, every=every)
            report = rooms.measure_captioned(found, names, load, widths=widths, max_pixels=most, listen=listen)
        else:
            told = folders.labelled_folder(folder, labels=labels, pattern=pattern, every=every)
            report = rooms.measure_labelled(
                told, names, load, templates=templates or PHOTO_TEMPLATES, max_pixels=most, listen=listen
            )
    if html is not None:
        rooms.write_report(report, html)
    _say(report.as_json(), rooms.tables(report), report.notes, html, json_)


def _asked(encoders: Sequence[str], poolings: Sequence[Any], words: Sequence[Path], untrained: bool) -> Asked:
    from seemory.measuring.text_ways import Asked

    return Asked(encoders, poolings, words, untrained)


def _spaces(
    file: Path | None, captions: Path | None, column: str | None, by: str | None, labels: Path | None, sample: int
) -> tuple[list[Space], Pairing | None, list[str]]:
    """The vectors of the files: pictures and captions that belong together, or one kind."""
    from seemory.measuring.geometry import by_column, by_name, pair_up
    from seemory.measuring.spaces import of_file
    from seemory.reembedding.space_report import read_labels

    if file is None:
        return [], None, []
    label = by_name(read_labels(labels)) if labels is not None else by_column(by or "folder")
    first = of_file(file, column=column, label=label, sample=sample)
    if captions is None:
        return [first], None, []
    pairing = pair_up(first, of_file(captions, column=column, label=label, sample=sample))
    return [pairing.pictures, pairing.captions], pairing, []


def _only(path: Path, column: str | None, sample: int) -> Space:
    from seemory.measuring.spaces import of_file, without_repeats

    return without_repeats(of_file(path, column=column, sample=sample))[0]


def _of_texts(file: Path, asked: Asked, sample: int, home: Path | None) -> tuple[list[Space], list[str]]:
    """The lines of a file, each once, embedded in each way that was asked for."""
    from seemory.measuring.spaces import read_texts, spaces_of_texts
    from seemory.settings import read_settings

    settings = read_settings(home=home)
    with tempfile.TemporaryDirectory() as scratch, progress_if_any("Embedding") as listen:
        return spaces_of_texts(
            read_texts(file, sample),
            asked,
            Path(scratch),
            home=settings.home,
            threads=settings.models.threads,
            offline=settings.models.offline,
            listen=listen,
        )


def _say(document: Any, tables: Sequence[Table], notes: Sequence[str], html: Path | None, json_: bool) -> None:
    """One document, or the tables on stdout and the remarks on stderr."""
    from seemory.evaluation.report import as_lines

    if json_:
        print_json(document)
        return
    for number, table in enumerate(tables):
        if number:
            click.echo()
        for line in as_lines(table):
            click.echo(line)
    for note in (*notes, *([f"drawn in {html}"] if html else [])):
        click.echo(print_path(note), err=True)
