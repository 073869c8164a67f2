"""An evaluation as tables for a terminal, and as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from html import escape
from pathlib import Path

from seemory.alignment.evaluating import Evaluation, Example
from seemory.errors import MediaError, UsageError
from seemory.evaluation.recall import Recall
from seemory.evaluation.report import Drawing, Page, Table, percent
from seemory.media.image import load_picture

_SIDE = 132


def recall_table(found: Evaluation) -> Table:
    """Recall at each width, both ways, with 95 % intervals, ranks, and chance."""
    rows = []
    for width, both in found.widths.items():
        rows += [
            (str(width), "words to pictures", *_cells(both.text_to_image)),
            (str(width), "pictures to words", *_cells(both.image_to_text)),
        ]
    heads = ("width", "direction", "R@1", "R@5", "R@10", "median rank", "mean rank", "chance R@10")
    return Table(f"{found.pictures:,} pictures, {found.captions:,} captions ({found.split})", heads, rows, names=2)


def example_tables(found: Evaluation) -> list[Table]:
    """Three captions and three pictures, with what came first for them; the right ones are marked."""
    return [
        Table(title, ("query", "rank of the right one", "first answers"), [_line(one) for one in examples], names=3)
        for title, examples in (
            ("Words to pictures", found.words_to_pictures),
            ("Pictures to words", found.pictures_to_words),
        )
    ]


def page(found: Evaluation, *, images: Path | None = None, umap: bool = False) -> Page:
    """The whole report, drawn; `images` is the folder of the pictures, shown with the examples.

    Raises:
        UsageError: matplotlib, scikit-learn or, where it is asked for, umap-learn is not installed.
    """
    notes = [
        f"{found.head} on {found.picture_encoder}, words by {found.text_encoder}",
        f"mean cosine of right pairs {found.matched.mean():.3f}, of others {found.unmatched.mean():.3f}; modality gap "
        f"{found.gap:.3f}",
        "Intervals: 95 %, by drawing the captions of a picture together, with replacement.",
    ]
    return Page(
        f"Alignment: {found.run.name}",
        [recall_table(found), *example_tables(found)],
        notes=notes,
        drawings=list(drawings(found, images=images, umap=umap)),
    )


def drawings(found: Evaluation, *, images: Path | None = None, umap: bool = False) -> Iterator[Drawing]:
    """Recall by width, the cosines of right and other pairs, a heat map, maps of the space, examples to look at.

    Raises:
        UsageError: as `page` does.
    """
    try:
        from seemory.alignment import plots
        from seemory.evaluation.geometry import maps
        from seemory.evaluation.plots import lines_svg

        widths = list(found.widths)
        if len(widths) > 1:
            words = [both.text_to_image for both in found.widths.values()]
            pictures = [both.image_to_text for both in found.widths.values()]
            lines = [
                (f"{way}, R@{k}", widths, [100 * one.at[k] for one in side])
                for way, side in (("words to pictures", words), ("pictures to words", pictures))
                for k in (1, 10)
            ]
            yield Drawing("Recall by width", lines_svg(lines, "width of the prefix", "percent"))
        groups = [("other pairs", found.unmatched), ("right pairs", found.matched)]
        yield Drawing("Cosines", plots.densities_svg(groups, "cosine of a caption and a picture"))
        yield Drawing(
            "Similarity",
            plots.heat_svg(found.heat, found.heat_pictures, found.heat_captions),
            "Captions by row, their pictures by column in the same order: the diagonal should be brightest.",
        )
        half = len(found.mapped) // 2
        made = maps(found.mapped)
        if made is not None:
            yield Drawing("The space, by t-SNE", plots.map_svg(made[0], half), "Lines join a picture and its caption.")
        if umap:
            yield Drawing("The space, by UMAP", plots.map_svg(plots.umap_points(found.mapped), half))
    except ImportError as error:
        extra = "umap" if "umap" in str(error) else "align"
        raise UsageError(f"the drawn report needs {error.name or error}: pip install 'seemory[{extra}]'") from error
    if images is not None:
        for example in found.words_to_pictures:
            yield Drawing(f"“{example.query}”", _strip(example, images), f"the right one has rank {example.rank}")


def _cells(recall: Recall) -> tuple[str, ...]:
    shares = [
        f"{percent(share)} [{percent(recall.intervals[k][0])}, {percent(recall.intervals[k][1])}]"
        for k, share in recall.at.items()
    ]
    return (*shares, f"{recall.median_rank:g}", f"{recall.mean_rank:.1f}", percent(recall.chance[10]))


def _line(example: Example) -> tuple[str, ...]:
    answers = "; ".join(f"{'✓ ' if one.right else ''}{one.what} ({one.cosine:.2f})" for one in example.answers)
    return example.query, str(example.rank), answers


def _strip(example: Example, images: Path) -> str:
    """The pictures that came first, side by side, the right one framed."""
    parts = []
    for place, answer in enumerate(example.answers):
        left = place * (_SIDE + 14) + 4
        colour, width = ("#009e73", 5) if answer.right else ("#9a9a9a", 1)
        parts.append(
            f'<rect x="{left}" y="4" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="{colour}" '
            f'stroke-width="{width}"/>'
        )
        if small := _thumbnail(images / answer.what):
            parts.append(
                f'<image x="{left}" y="4" width="{_SIDE}" height="{_SIDE}" href="data:image/jpeg;base64,{small}"/>'
            )
        parts.append(f'<text x="{left}" y="{_SIDE + 22}" font-size="12" fill="currentColor">{answer.cosine:.2f}</text>')
        parts.append(f"<title>{escape(answer.what)}</title>")
    wide = len(example.answers) * (_SIDE + 14)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {_SIDE + 28}">{"".join(parts)}</svg>'


def _thumbnail(path: Path) -> str | None:
    """The picture as JPEG in base64; None where it cannot be read."""
    try:
        picture = load_picture(path, target=_SIDE).image
    except (OSError, MediaError):
        return None
    picture.thumbnail((_SIDE, _SIDE))
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=82)
    return base64.b64encode(written.getvalue()).decode()
