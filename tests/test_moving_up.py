"""The first search on a terminal says how to move up from the bundled encoder, and no later one does."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from seemory.cli.display import say_larger
from seemory.doctor import LARGER

pty = pytest.importorskip("pty", reason="pseudo-terminals are POSIX's")


@contextmanager
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The reading end of a terminal that stderr writes to: in the test itself, since pytest puts its own between."""
    reads, writes = pty.openpty()
    with os.fdopen(writes, "w", buffering=1) as file, monkeypatch.context() as changed:
        changed.setattr("sys.stderr", file)
        yield reads
    os.close(reads)


def said(terminal: int, within: float = 0.05) -> str:
    """What arrived at the terminal's other end, which takes the system a moment."""
    return os.read(terminal, 10_000).decode() if select.select([terminal], [], [], within)[0] else ""


def test_it_is_said_once_in_a_data_folder_and_only_of_the_bundled_encoder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with on_a_terminal(monkeypatch) as terminal:
        say_larger(tmp_path / "a", "vit-b-32-laion2b")
        other = said(terminal)
        say_larger(tmp_path / "a", "seemory-mini")
        first = said(terminal, 10)
        say_larger(tmp_path / "a", "seemory-mini")
        again = said(terminal)
        say_larger(tmp_path / "b", "seemory-mini")
        elsewhere = said(terminal, 10)
    assert (other, again) == ("", "")
    assert LARGER in first
    assert first.count("\n") == 1
    assert "seemory reembed start --to " in first
    assert elsewhere == first


def test_nothing_is_said_where_a_program_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    say_larger(tmp_path, "seemory-mini")
    assert capsys.readouterr().err == ""
    assert not list(tmp_path.iterdir())
