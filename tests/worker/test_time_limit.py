"""The time limit, with a model that really hangs: native code that counts to 2^62 and cannot be interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from seemory import VisualEmbedder
from seemory.framing import packed, read_frame
from seemory.worker.environment import Asked

from .conftest import MakeEmbedder

# What the program promises is 50 ms (benchmarks/time_limit.py, on a quiet machine); beside other tests on the same
# cores a thread may have to wait for its turn.
BUSY_S = 0.5


@pytest.fixture
def made(embedder: MakeEmbedder, slow_model: Path, package_photographs: dict[str, Path]) -> VisualEmbedder:
    """An embedder whose model hangs on white pictures, loaded."""
    made = embedder(model_name=str(slow_model))
    vector, record = made.embed(package_photographs["cat"])
    assert vector is not None, record.error
    return made


def test_it_returns_at_its_limit_while_the_model_hangs_twenty_times(made: VisualEmbedder, white: Path) -> None:
    over = []
    for _ in range(20):
        made.is_available()  # loaded again
        start = time.monotonic()
        vector, record = made.embed(white, {"quality_score": 1}, timeout_s=0.2)
        over.append(time.monotonic() - start - 0.2)
        assert vector is None
        assert record.error == "Timeout after 0.2s"
        assert (record.frame_quality, record.inference_time_ms, record.embed_dim) == (None, None, 256)
    assert min(over) >= 0
    assert float(np.median(over)) < 0.05
    assert sorted(over)[-3] < BUSY_S
    assert max(over) < 4 * BUSY_S
    assert made.figures().timeouts == 20


def test_the_limit_of_the_environment_holds(embedder: MakeEmbedder, slow_model: Path, white: Path) -> None:
    made = embedder(model_name=str(slow_model), timeout_s="0.5")
    assert made.is_available()
    start = time.monotonic()
    assert made.embed(white)[1].error == "Timeout after 0.5s"
    assert 0.5 <= time.monotonic() - start < 0.5 + BUSY_S


def test_after_a_hang_the_next_picture_is_embedded_by_another_process(
    made: VisualEmbedder, white: Path, package_photographs: dict[str, Path]
) -> None:
    before, _ = made.embed(package_photographs["cat"])
    first = psutil.Process(made.model_information()["process"])
    made.embed(white, timeout_s=0.2)
    first.wait(5)  # it was killed, not left to count
    after, record = made.embed(package_photographs["cat"])
    assert record.error is None
    assert np.array_equal(before, after)  # type: ignore[arg-type]
    assert made.model_information()["process"] != first.pid


def test_the_replacement_is_loaded_before_it_is_needed(
    made: VisualEmbedder, white: Path, package_photographs: dict[str, Path]
) -> None:
    made.embed(white, timeout_s=0.2)
    deadline = time.monotonic() + 30
    while made.model_information()["loads"] < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert made.model_information()["process"] is not None
    assert made.embed(package_photographs["cat"])[0] is not None
    assert made.model_information()["loads"] == 2


def test_hangs_leave_neither_threads_nor_processes(
    made: VisualEmbedder, white: Path, package_photographs: dict[str, Path]
) -> None:
    def settled() -> tuple[int, int]:
        assert made.embed(package_photographs["cat"])[0] is not None
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            children = psutil.Process().children()
            names = [thread.name for thread in threading.enumerate() if thread.name.startswith("seemory-")]
            counts = len(names), sum(made.model_information()["process"] == child.pid for child in children)
            if counts == (1, 1):
                break
            time.sleep(0.05)
        return counts

    assert settled() == (1, 1)
    gone = []
    for _ in range(5):
        made.is_available()
        gone.append(made.model_information()["process"])
        assert made.embed(white, timeout_s=0.1)[0] is None
    assert settled() == (1, 1)
    assert len(set(gone)) == 5
    assert not {process.pid for process in psutil.Process().children()} & set(gone)


def test_those_who_wait_behind_a_hang_keep_their_own_limits(
    made: VisualEmbedder, white: Path, package_photographs: dict[str, Path]
) -> None:
    """The one in front may hang for a second: the impatient are told at their limit, the patient get their vectors."""
    cat = package_photographs["cat"]

    def call(path: Path, limit: float) -> tuple[float, str | None]:
        start = time.monotonic()
        _, record = made.embed(path, timeout_s=limit)
        return time.monotonic() - start, record.error

    with ThreadPoolExecutor(7) as pool:
        hanging = pool.submit(call, white, 1.0)
        time.sleep(0.1)
        impatient = [pool.submit(call, cat, 0.3) for _ in range(3)]
        patient = [pool.submit(call, cat, 30.0) for _ in range(3)]
    took, error = hanging.result()
    assert error == "Timeout after 1.0s"
    assert 1.0 <= took < 1.0 + BUSY_S
    for future in impatient:
        took, error = future.result()
        assert error == "Timeout after 0.3s"
        assert 0.3 <= took < 0.3 + BUSY_S
    assert [future.result()[1] for future in patient] == [None] * 3


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no signals here")
def test_a_process_that_dies_over_a_picture_is_a_failure_and_is_replaced(
    made: VisualEmbedder, white: Path, package_photographs: dict[str, Path]
) -> None:
    """As a crash in native code, or the kernel short of memory, ends it."""
    process = made.model_information()["process"]
    threading.Timer(0.3, os.kill, (process, signal.SIGSEGV)).start()
    start = time.monotonic()
    _, record = made.embed(white, timeout_s=30)
    assert record.error == "ModelError: the model's process ended over this picture (SIGSEGV)"
    assert time.monotonic() - start < 10
    assert made.embed(package_photographs["cat"])[0] is not None


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no signals here")
def test_a_process_that_dies_between_pictures_is_replaced_unseen(
    made: VisualEmbedder, package_photographs: dict[str, Path]
) -> None:
    process = psutil.Process(made.model_information()["process"])
    process.kill()
    process.wait(5) if process.pid not in {c.pid for c in psutil.Process().children()} else time.sleep(0.2)
    assert made.embed(package_photographs["cat"])[1].error is None


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no signals here")
def test_a_stopped_process_is_killed_at_the_limit(made: VisualEmbedder, package_photographs: dict[str, Path]) -> None:
    os.kill(made.model_information()["process"], signal.SIGSTOP)
    start = time.monotonic()
    assert made.embed(package_photographs["cat"], timeout_s=0.3)[1].error == "Timeout after 0.3s"
    assert time.monotonic() - start < 0.3 + BUSY_S
    assert made.embed(package_photographs["cat"])[0] is not None


PROGRAM = """
import sys, threading, time
from seemory import VisualEmbedder
made = VisualEmbedder({"CLIP_MODEL_NAME": sys.argv[1], "CLIP_TIMEOUT_S": "60"})
assert made.is_available()
print(made.model_information()["process"], flush=True)
if sys.argv[3] == "hang":
    threading.Thread(target=made.embed, args=(sys.argv[2],), daemon=True).start()
    time.sleep(0.5)
if sys.argv[4] == "wait":
    time.sleep(60)
"""


def gone(pid: int, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("state", ["idle", "hang"])
def test_a_program_ends_at_once_and_its_model_with_it(
    state: str, slow_model: Path, white: Path, tmp_path: Path
) -> None:
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(slow_model), str(white), state, "end"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"SEEMORY_HOME": str(tmp_path)},
    )
    assert started.stdout is not None
    model = int(started.stdout.readline())
    start = time.monotonic()
    assert started.wait(30) == 0
    assert time.monotonic() - start < 0.5 + 5
    assert gone(model, 5)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no signals here")
@pytest.mark.parametrize("state", ["idle", "hang"])
def test_a_killed_program_leaves_no_model_behind(state: str, slow_model: Path, white: Path, tmp_path: Path) -> None:
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(slow_model), str(white), state, "wait"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"SEEMORY_HOME": str(tmp_path)},
    )
    assert started.stdout is not None
    model = int(started.stdout.readline())
    time.sleep(1.0)
    assert psutil.pid_exists(model)
    started.kill()
    started.wait(5)
    assert gone(model, 5)


GIL_HELD = """
import re, sys
from seemory.worker import child
child.load_picture = lambda *_, **__: re.match("(a+)+$", "a" * 60 + "b")  # centuries, in C, with the lock held
child.main()
"""


def test_a_pass_that_keeps_pythons_lock_ends_without_its_worker(tmp_path: Path) -> None:
    """Nothing in Python can run in such a process, so a watchdog in C ends it, five seconds after its limit."""
    started = subprocess.Popen([sys.executable, "-c", GIL_HELD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.stdin is not None
    assert started.stdout is not None
    asked = Asked("seemory-mini", None, home=str(tmp_path))
    started.stdin.write(packed(asked.as_json()) + packed({"job": 1, "limit_s": 0.1}, b"a.png"))
    started.stdin.flush()
    document = read_frame(started.stdout)
    assert document is not None
    assert "ready" in document[0]
    time.sleep(1)  # the pass has the lock by now: an idle process would end with its worker at once
    started.stdin.close()
    time.sleep(1)
    assert started.poll() is None, "it was to hang"
    assert started.wait(20) != 0
    started.stdout.close()
