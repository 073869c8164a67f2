"""Makes a notebook that measures a trained head, and runs it.

    python scripts/create_alignment_eval_notebook.py RUN OUT.ipynb [--features DIR ...] [--split test] [--images DIR]

The notebook has the same tables and drawings as `seemory align evaluate --html`, and its cells can be changed and run
again. Needs `pip install 'seemory[notebook]'`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

TITLE = """# Alignment: {name}

Recall is over the whole gallery of the split, both ways; of a picture any of its captions is right. Every width is a
prefix that is normalised after the cut. Intervals are 95 %, by drawing the captions of a picture together."""

CELLS = (
    """from pathlib import Path

from IPython.display import HTML, SVG, display

from seemory.alignment.evaluating import evaluate
from seemory.alignment.report import drawings, example_tables, recall_table
from seemory.evaluation.report import Page, as_html

RUN = Path({run!r})
FEATURES = [Path(folder) for folder in {features!r}]  # none: those the run was trained on
IMAGES = {images}
found = evaluate(RUN, FEATURES, split={split!r})
print(found.head, "on", found.picture_encoder, "with words by", found.text_encoder)""",
    """display(HTML(as_html(Page("Recall", [recall_table(found)]))))""",
    """drawn = list(drawings(found, images=IMAGES))
for one in drawn:
    print(one.title, one.says)
    display(SVG(one.svg))""",
    """for table in example_tables(found):
    display(HTML(as_html(Page(table.title, [table]))))""",
    """print("mean cosine of right pairs", found.matched.mean().round(3), "of others", found.unmatched.mean().round(3))
print("modality gap", round(found.gap, 3))""",
)


def main(arguments: list[str] | None = None) -> int:
    """Write the notebook, run; 2 where something is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder that `seemory align train` wrote")
    parser.add_argument("out", type=Path, help="the notebook")
    parser.add_argument("--features", type=Path, action="append", default=[])
    parser.add_argument("--split", default="test", choices=("train", "val", "test"))
    parser.add_argument("--images", type=Path)
    told = parser.parse_args(arguments)
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
    except ImportError as error:
        print(f"{error}: pip install 'seemory[notebook]'", file=sys.stderr)
        return 2
    images = f"Path({str(told.images.absolute())!r})" if told.images else "None"
    first = CELLS[0].format(
        run=str(told.run.absolute()),
        features=[str(folder.absolute()) for folder in told.features],
        images=images,
        split=told.split,
    )
    book = nbformat.v4.new_notebook()
    book.cells = [
        nbformat.v4.new_markdown_cell(TITLE.format(name=told.run.name)),
        *(nbformat.v4.new_code_cell(source) for source in (first, *CELLS[1:])),
    ]
    try:
        NotebookClient(book, timeout=600, kernel_name="python3").execute()
    except CellExecutionError as error:
        print(f"the notebook did not run to its end: {error}", file=sys.stderr)
        return 1
    finally:
        nbformat.write(book, told.out)
    print(told.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
