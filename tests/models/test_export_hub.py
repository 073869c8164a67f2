"""A checkpoint named by its hub id, served by a hub on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from hub_server import Hub
from test_export import clip_checkpoint


def run(checkpoint: str, out: Path, endpoint: str, **environment: str) -> str:
    """What an export in a process of its own says: the settings of the hub's client are read once a process."""
    code = f"""
from pathlib import Path
from seemory.models.export import export
try:
    print(export({checkpoint!r}, Path({str(out)!r})).kind)
except Exception as error:
    print(type(error).__name__, error)
"""
    settings = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(out.parent / "hf"),
        "NO_PROXY": "127.0.0.1",
        "HF_HUB_DISABLE_XET": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **settings, **environment}, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_a_hub_id(tmp_path: Path) -> None:
    clip_checkpoint(tmp_path / "checkpoint", "gelu")
    files = {path.name: path.read_bytes() for path in (tmp_path / "checkpoint").iterdir()}
    unwanted = {"tf_model.h5": b"h" * 5000, "pytorch_model.bin": b"b" * 5000, "onnx/model.onnx": b"o" * 5000}
    with Hub(files | unwanted, repo="anna/checkpoint") as hub:
        assert run("anna/checkpoint", tmp_path / "out", hub.url) == "clip"
        assert (tmp_path / "out" / "visual" / "model.onnx").is_file()
        assert run("anna/checkpoint", tmp_path / "again", "http://127.0.0.1:9", HF_HUB_OFFLINE="1") == "clip"
        for name in unwanted:
            assert hub.bodies(name) == []
        assert run("anna/nothing", tmp_path / "no", hub.url).startswith("ModelNotFound anna/nothing")


def test_without_a_network(tmp_path: Path) -> None:
    begin = time.monotonic()
    assert run("anna/checkpoint", tmp_path / "out", "http://127.0.0.1:9").startswith("ModelUnavailable anna/checkpoint")
    assert time.monotonic() - begin < 60
    offline = run("anna/checkpoint", tmp_path / "out", "http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert offline.startswith("ModelUnavailable anna/checkpoint")
