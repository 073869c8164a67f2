"""How many cores there are to use: a container's share counts, not the machine it runs on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seemory.models.session import available_cores, quota


@pytest.mark.parametrize(
    ("told", "cores"),
    [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("max 100000", None), ("", None), ("x y", None)],
)
def test_the_share_of_a_control_group(told: str, cores: int | None, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(told + "\n")
    assert quota(tmp_path) == cores


@pytest.mark.parametrize(("allowed", "cores"), [("300000", 3), ("-1", None)])
def test_the_share_of_an_older_control_group(allowed: str, cores: int | None, tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(allowed + "\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert quota(tmp_path) == cores


def test_without_a_control_group_there_is_no_share(tmp_path: Path) -> None:
    assert quota(tmp_path) is None


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to cores")
def test_cores_that_are_taken_away_are_not_counted() -> None:
    usual = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(usual)})
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, usual)
