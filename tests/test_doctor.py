"""The doctor says what works, what does not, and what to do; one failing look does not stop the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from seemory.doctor import examine
from seemory.memory import Memory


def test_a_healthy_memory_has_no_failure(memory: Memory, photos: Path) -> None:
    (photos / "empty.jpg").touch()
    memory.index(photos)
    findings = {finding.name: finding for finding in examine(memory)}
    assert not [finding for finding in findings.values() if finding.mark == "fails"]
    assert "pgvector" in findings["database"].says
    assert "seemory reembed start" in (findings["encoder"].do or "")
    assert "empty.jpg" in findings["files"].says


def test_without_a_database_the_other_looks_still_happen(new_memory: Callable[..., Memory]) -> None:
    memory = new_memory(database_url="postgresql://nobody@127.0.0.1:9/nothing?connect_timeout=2")
    marks = {finding.name: finding.mark for finding in examine(memory)}
    assert marks["database"] == "fails"
    assert marks["machine"] == marks["data folder"] == "ok"
    assert "formats" in marks
