"""How many cores there are to use (a container's share counts, not the machine's), and what idle threads do."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
import toys

from seemory.models.session import OnnxSession, _spinning, available_cores, quota


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


def test_threads_spin_only_where_they_can_be_told_how_long() -> None:
    assert _spinning("1.20.1") == {"allow_spinning": "0"}
    assert _spinning("1.31.1")["allow_spinning"] == "1"
    assert 0 < int(_spinning("2.0.0rc1")["spin_duration_us"]) < 1_000


def test_idle_threads_take_no_processor_time(tmp_path: Path) -> None:
    tower = OnnxSession(toys.folder(tmp_path / "toy") / "visual/model.onnx", threads=4)
    port = tower.inputs[0]
    picture = np.zeros([size or 1 for size in port.shape], port.dtype)
    spent = []
    for _ in range(5):  # the least of them: another test's thread may be at work in one
        tower.run({port.name: picture})
        before = time.process_time()
        time.sleep(0.05)
        spent.append(time.process_time() - before)
    assert min(spent) < 0.01
