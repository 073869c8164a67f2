"""The script that changes an encoder from a scheduler: its steps, its refusals and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from made_encoders import narrowed

from seemory.memory import Memory
from seemory.store.generations import Generations

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "migrate_embeddings.py"


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(narrowed(tmp_path_factory.mktemp("encoders") / "narrowed"))


@pytest.fixture
def owners(new_memory: Callable[..., Memory], photos: Path) -> tuple[Memory, Memory]:
    anna = new_memory()
    ben = new_memory(owner=f"{anna.owner}-ben")
    anna.index(photos)
    ben.index(photos / "cat.png", photos / "coffee.png")
    return anna, ben


def migrate(memory: Memory, *arguments: str) -> tuple[int, list[dict], str]:
    """(exit code, the lines on stdout, stderr)."""
    place = ["--home", str(memory.home), "--collection", memory.collection]
    run = subprocess.run([sys.executable, str(SCRIPT), *arguments, *place], capture_output=True, text=True, check=False)
    return run.returncode, [json.loads(line) for line in run.stdout.splitlines()], run.stderr


def states(memory: Memory) -> list[str]:
    return [known.state for known in Generations(memory.database).all(memory.collection)]


def test_from_start_to_drop(owners: tuple[Memory, Memory], narrow: str, tmp_path: Path) -> None:
    anna, ben = owners
    code, lines, said = migrate(anna, narrow, "--report", str(tmp_path / "report.json"))
    assert code == 0, said
    assert [line["step"] for line in lines] == ["built", "reported", "done"]
    assert states(anna) == ["live", "ready"], "nobody is switched unless it is asked for"
    assert json.loads((tmp_path / "report.json").read_text())["items"] == 10

    code, lines, said = migrate(
        anna,
        *(narrow, "--report", str(tmp_path / "report.html"), "--owners-first", ben.owner, "--shares-first", "100"),
        *("--pause", "0.1", "--least-overlap", "0.05", "--most-ms", "60000", "--switch", "--drop-after", "0.1"),
    )
    assert code == 0, said
    steps = [line["step"] for line in lines]
    assert steps == ["built", "reported", *["health", "switched"] * 3, "dropped", "done"]
    switched = [line["owners"] for line in lines if line["step"] == "switched"]
    assert switched == [[ben.owner], sorted([anna.owner, ben.owner]), None]
    assert lines[0]["embedded"] == 0, "it goes on from where the first run ended"
    assert "<svg" in (tmp_path / "report.html").read_text()
    assert states(anna) == ["live"]
    assert anna.stats()["dim"] == ben.stats()["dim"] == 96


def test_bad_health_takes_back_whom_it_had_switched(owners: tuple[Memory, Memory], narrow: str) -> None:
    anna, ben = owners
    code, lines, _ = migrate(anna, narrow, "--owners-first", ben.owner, "--least-overlap", "1.01", "--switch")
    assert code == 1
    assert [line["step"] for line in lines] == ["built", "health", "not passed"]
    assert "1.01 is asked" in lines[-1]["problems"][0]
    assert migrate(anna, narrow, "--owners-first", ben.owner)[0] == 0
    assert ben.stats()["dim"] == 96
    code, lines, _ = migrate(anna, narrow, "--most-ms", "0", "--switch")
    assert code == 1
    assert "0 are allowed" in lines[-1]["problems"][0]
    assert states(anna) == ["live", "ready"]


def test_a_later_run_only_drops(owners: tuple[Memory, Memory], narrow: str) -> None:
    anna, _ = owners
    assert migrate(anna, narrow, "--switch")[0] == 0
    assert states(anna) == ["live", "retired"]
    code, lines, _ = migrate(anna, narrow, "--switch", "--drop-after", "0")
    assert code == 0
    assert [line["step"] for line in lines] == ["dropped", "done"]
    assert states(anna) == ["live"]


def test_a_picture_that_is_gone_is_a_problem(owners: tuple[Memory, Memory], photos: Path, narrow: str) -> None:
    (photos / "cat.png").unlink()
    code, lines, _ = migrate(owners[0], narrow, "--switch")
    assert code == 1
    assert "could not be embedded" in lines[-1]["problems"][0]
    assert states(owners[0]) == ["live", "building"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-such-model"], "no-such-model"),
        (["{narrow}", "--owners-first", "nobody"], "nobody"),
        (["{narrow}", "--shares-first", "5,many"], "--shares-first"),
        (["{narrow}", "--drop-after", "1"], "needs --switch"),
    ],
)
def test_wrong_use(owners: tuple[Memory, Memory], narrow: str, arguments: list[str], said: str) -> None:
    code, _, stderr = migrate(owners[0], *(argument.replace("{narrow}", narrow) for argument in arguments))
    assert code == 2
    assert said in stderr
    assert "Traceback" not in stderr
