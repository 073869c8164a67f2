"""What a user meets first: a light import, the exported names, the error tree as drawn."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

import seemory
from seemory import errors

HEAVY = {
    "torch",
    "onnxruntime",
    "psycopg",
    "PIL",
    "matplotlib",
    "transformers",
    "tokenizers",
    "huggingface_hub",
    "rich",
}


def modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("statement", ["import seemory", "from seemory.cli import cli", "from seemory import open"])
def test_importing_loads_nothing_heavy(statement: str) -> None:
    assert not modules_after(statement) & HEAVY


def test_import_takes_less_than_a_fifth_of_a_second() -> None:
    code = "import time; t = time.process_time(); import seemory; print(time.process_time() - t)"
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) for _ in range(3)
    ]
    assert min(runs) < 0.2


def test_every_exported_name_is_there_and_documented() -> None:
    for name in seemory.__all__:
        thing = getattr(seemory, name)
        assert isinstance(thing, str) or thing.__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = seemory.nothing


def test_the_error_tree_is_the_one_drawn() -> None:
    """Names, nesting and exit codes of the docstring's drawing are those of the classes."""
    classes = {name: cls for name, cls in vars(errors).items() if inspect.isclass(cls) and issubclass(cls, Exception)}
    drawn: list[str] = []
    line_of = re.compile(r"^ {4}(?P<branch>[ │├└─]*)(?P<name>[A-Z]\w+) +(?:exit code )?(?P<code>\d)?", re.MULTILINE)
    path: list[str] = []
    for match in line_of.finditer(errors.__doc__ or ""):
        depth = len(match["branch"]) // 4
        path[depth:] = [match["name"]]
        drawn.append(match["name"])
        parent = classes[path[depth - 1]] if depth else Exception
        assert classes[match["name"]].__bases__ == (parent,), match["name"]
        assert match["code"] is None or classes[match["name"]].exit_code == int(match["code"]), match["name"]
    assert sorted(drawn) == sorted(classes)
