"""From a hub to an answer: an encoder that is not on disk is fetched by the command that needs it, and by `auto`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import seemory.models
from tests.models.hub_server import COMMIT, Hub

SEEMORY = str(Path(sys.executable).with_name("seemory"))
ENTRY = """
[model.small]
summary = "The bundled encoder's files, as if published."
family = "mini"
repo = "anna/small"
revision = "{commit}"
licence = "Apache-2.0"
dim = 256
preprocess = {{ size = {size}, resize_mode = "{mode}" }}
text = {{ tokenizer = "bert", context_length = 128, padding = "longest", pooling = "mean", pad_id = 0 }}
files = [
  "config.json",
  "visual/model.onnx", "visual/preprocess_cfg.json",
  "textual/model.onnx", "textual/tokenizer.json",
]
"""


@pytest.fixture
def published() -> Iterator[Hub]:
    folder = Path(seemory.models.__file__).parent / "bundled" / "seemory-mini"
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with Hub(files, repo="anna/small") as hub:
        yield hub


@pytest.fixture
def own_home(tmp_path: Path) -> Path:
    rule = json.loads(
        (Path(seemory.models.__file__).parent / "bundled/seemory-mini/visual/preprocess_cfg.json").read_text()
    )
    home = tmp_path / "home"
    home.mkdir()
    entry = ENTRY.format(commit=COMMIT, size=rule["size"][0], mode=rule["resize_mode"])
    (home / "models.toml").write_text(entry)
    return home


def run(home: Path, hub: Hub | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SEEMORY_", "HF_"))}
    environment |= {"SEEMORY_HOME": str(home), "HF_ENDPOINT": hub.url if hub else "http://127.0.0.1:9"}
    return subprocess.run([SEEMORY, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_the_first_index_fetches_and_later_ones_need_no_hub(published: Hub, own_home: Path, photos: Path) -> None:
    first = run(own_home, published, "index", str(photos), "--model", "small")
    assert first.returncode == 0, first.stderr
    assert "8 indexed" in first.stdout
    assert "small" in first.stdout
    later = run(own_home, None, "search", "a cat", "-n", "1")
    assert later.returncode == 0, later.stderr
    assert "cat.png" in later.stdout


def test_a_pulled_model_is_listed_and_checked(published: Hub, own_home: Path) -> None:
    pulled = run(own_home, published, "models", "pull", "small")
    assert pulled.returncode == 0, pulled.stderr
    assert (Path(pulled.stdout.strip()) / "visual" / "model.onnx").is_file()
    listed = json.loads(run(own_home, None, "models", "list", "--json").stdout)["models"]
    assert next(row for row in listed if row["name"] == "small")["on_disk"]
    assert run(own_home, None, "models", "check", "small").returncode == 0


def test_without_the_hub_the_command_says_what_to_do(own_home: Path, photos: Path) -> None:
    refused = run(own_home, None, "index", str(photos), "--model", "small")
    assert refused.returncode == 3
    assert "HF_ENDPOINT" in refused.stderr
    assert "Traceback" not in refused.stderr
