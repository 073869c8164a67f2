"""How a search is explained to whoever asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from seemory.cli import cli
from seemory.memory import Memory


def test_memory_says_how_it_searched(new_memory: Callable[..., Memory], photos: Path) -> None:
    memory = new_memory()
    memory.index(photos)
    explained = memory.explain("a cat", where=["width>=1"], limit=3)
    assert explained.choice.way == "all"
    assert explained.choice.owner_rows == 8
    assert [step.way for step in explained.steps] == ["all"]
    assert any("actual time" in line for line in explained.steps[0].plan)
    assert f"'{memory.owner}'" in explained.as_text()
    item = next(iter(memory.items()))
    assert "a vector of" in memory.explain(like=item.item_id).as_text()


def test_command_prints_the_plan_and_no_hits(memory: Memory, photos: Path) -> None:
    memory.index(photos)
    where = ["--home", str(memory.home), "--owner", memory.owner, "--collection", memory.collection]
    run = CliRunner().invoke(cli, ["search", "a cat", "--explain", *where])
    assert run.exit_code == 0, run.output
    assert "actual time" in run.stdout
    assert "chelsea" not in run.stdout
    run = CliRunner().invoke(cli, ["search", "a cat", "--explain", "--json", *where])
    assert json.loads(run.stdout)["choice"]["way"] == "all"
