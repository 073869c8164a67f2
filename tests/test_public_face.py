"""What a user meets first: a light import, the exported names, the error tree as drawn."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import seemory
from seemory import errors
from seemory.demo_photographs import PHOTOGRAPHS

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


def test_help_loads_nothing_that_a_command_needs(tmp_path: Path) -> None:
    """What starts in a blink does so on any machine: by what it does not import."""
    loaded = modules_of_command(tmp_path, "--help")
    assert not loaded & (HEAVY | {"numpy", "pydantic", "pydantic_settings", "psutil", "asyncio"})


def test_the_runtime_of_models_reports_to_nobody(tmp_path: Path) -> None:
    """Where it would, it makes a number for the machine and a database of what it has yet to tell, at its import."""
    suppressed = ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "TF_BUILD", "JENKINS_URL")
    own = {name: value for name, value in os.environ.items() if name not in suppressed and not name.startswith("ORT_")}
    own |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    own |= {"PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", "import seemory, onnxruntime"], env=own, check=True)
    assert list(tmp_path.iterdir()) == []


def test_one_command_does_not_import_the_others(tmp_path: Path) -> None:
    loaded = modules_of_command(tmp_path, "search", "--help")
    assert {name for name in loaded if name.startswith("seemory.cli.")} == {
        f"seemory.cli.{name}" for name in ("on_demand", "library", "display", "options")
    }


def test_a_search_in_words_loads_what_it_needs_and_no_more(tmp_path: Path) -> None:
    with seemory.open(home=tmp_path, model="seemory-mini") as memory:  # keeps the server warm for the command
        memory.index(*(path for photograph in PHOTOGRAPHS[:3] if (path := photograph.find())))
        loaded = modules_of_command(tmp_path, "search", "a cat", "--json")
    assert {"onnxruntime", "tokenizers", "psycopg", "seemory.search.searcher"} <= loaded
    needless = HEAVY - {"onnxruntime", "tokenizers", "psycopg"} | {
        *("onnx", "openvino", "skimage", "sklearn", "scipy", "pyarrow", "psutil", "rich_pixels", "ray", "filelock"),
        *("requests", "httpx"),
    }
    assert not loaded & needless
    own = {name for name in loaded if name.startswith("seemory.")}
    rooms = ("media", "indexing", "embedding", "reembedding", "exchange", "demo", "evaluation", "models.export")
    assert not {name for name in own if name.startswith(tuple(f"seemory.{room}" for room in rooms))}


def modules_of_command(home: Path, *arguments: str) -> set[str]:
    """What a command has imported when it is done."""
    code = (
        "import sys\nfrom seemory.cli import main\ntry:\n    main(sys.argv[1:])\n"
        "finally:\n    sys.stderr.write('\\n'.join(sys.modules))"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"SEEMORY_HOME": str(home)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    return set(done.stderr.split())


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
