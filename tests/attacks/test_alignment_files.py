"""The alignment lab reads files that others may have made: none of them runs anything, and each is refused by name."""

from __future__ import annotations

import json
import os
import pickle
import struct
from pathlib import Path

import pytest
from alignment.made_features import made_features

from seemory.cli import main

pytest.importorskip("torch")


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.mark), 0o700)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What is made if a pickle is loaded."""
    return tmp_path / "a-pickle-was-loaded"


def hostile(mark: Path) -> dict[str, bytes]:
    """Contents that are no safetensors file, or one that lies."""

    def header(document: object, rest: bytes = b"") -> bytes:
        told = json.dumps(document).encode()
        return struct.pack("<Q", len(told)) + told + rest

    tensor = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    beyond = {"dtype": "F32", "shape": [1 << 40, 1 << 20], "data_offsets": [0, 1 << 62]}
    return {
        "a pickle": pickle.dumps(Bomb(mark)),
        "a torch checkpoint": b"PK\x03\x04" + pickle.dumps(Bomb(mark)),
        "empty": b"",
        "a header of 2^63 bytes": struct.pack("<Q", 1 << 63),
        "a tensor beyond the file": header({"pooled": beyond}),
        "an overlap": header({"pooled": tensor, "tokens": tensor}, bytes(16)),
        "no metadata": header({"pooled": tensor}, bytes(16)),
        "metadata that is no list": header(
            {"pooled": tensor, "__metadata__": {"contents": "{}", "failed": "{}"}}, bytes(16)
        ),
        "contents of no text": header(
            {"pooled": tensor, "__metadata__": {"contents": "[1, 2]", "failed": "{}"}}, bytes(16)
        ),
        "deep metadata": header(
            {"pooled": tensor, "__metadata__": {"contents": "[" * 90_000, "failed": "{}"}}, bytes(16)
        ),
    }


def refused(capfd: pytest.CaptureFixture[str], named: Path, *arguments: str) -> str:
    """What a command says that refuses a file: one line with its name."""
    with pytest.raises(SystemExit) as left:
        main([*arguments])
    _, said = capfd.readouterr()
    assert left.value.code in (1, 2), said
    assert "Traceback" not in said
    assert str(named) in said, said
    return said


def test_hostile_features(tmp_path, mark, capfd):
    folder = made_features(tmp_path / "features", count=40)
    run = tmp_path / "run.toml"
    run.write_text(f'features = ["{folder}"]\nout = 8\noptimiser = {{ batch = 8, steps = 1 }}\n')
    index = folder / "features.json"
    for shard in sorted(folder.glob("*.safetensors")):
        whole = shard.read_bytes()
        for name, content in hostile(mark).items():
            shard.write_bytes(content)
            refused(capfd, shard, "align", "train", str(run))
            assert not mark.exists(), name
        shard.write_bytes(whole)
    document = json.loads(index.read_text())
    entry = document["entries"][0]
    changes = [
        {"format": 2},
        {"pictures": []},
        {"entries": []},
        {"entries": [entry | {"split": "all"}]},
        {"entries": [entry | {"captions": 7}]},
        {"entries": [entry | {"sha256": "0" * 64}]},
        {"entries": [{}]},
        {"texts": document["texts"] | {"shards": ["/etc/passwd"]}},
    ]
    for change in changes:
        index.write_text(json.dumps(document | change))
        refused(capfd, folder, "align", "train", str(run))
    for content in (pickle.dumps(Bomb(mark)), b"[" * 100_000, b"[]", b"null"):
        index.write_bytes(content)
        refused(capfd, index, "align", "train", str(run))
    assert not mark.exists()


def test_hostile_configurations(tmp_path, mark, capfd):
    run = tmp_path / "run.toml"
    for content in (
        pickle.dumps(Bomb(mark)),
        b"\xff\xfe",
        b"features = 7",
        b'features = ["a"]\nimage = "perceiver"',
        b'features = ["a"]\nrun = { seed = 99999999999999999999 }',
        b'features = ["a"]\nimage = { inner = 1000000000 }',
        b"features = [" * 5_000,
        b'__import__ = "os"',
    ):
        run.write_bytes(content)
        refused(capfd, run, "align", "train", str(run))
        refused(capfd, run, "align", "sweep", str(run))
    refused(capfd, tmp_path / "absent.toml", "align", "train", str(tmp_path / "absent.toml"))
    assert not mark.exists()


def test_a_hostile_checkpoint(tmp_path, mark, capfd):
    folder = made_features(tmp_path / "features", count=40)
    run = tmp_path / "run.toml"
    run.write_text(f'features = ["{folder}"]\nout = 8\noptimiser = {{ batch = 8, steps = 1 }}\n')
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    checkpoint.parent.mkdir()
    for name, content in hostile(mark).items():
        checkpoint.write_bytes(content)
        refused(capfd, checkpoint, "align", "train", str(run))
        assert not mark.exists(), name


def test_a_hostile_head(tmp_path, mark, capfd):
    run = tmp_path / "run"
    run.mkdir()
    head = run / "head.safetensors"
    for name, content in hostile(mark).items():
        head.write_bytes(content)
        refused(capfd, head, "align", "evaluate", str(run))
        refused(capfd, head, "align", "export", str(run), "mine", "--home", str(tmp_path / "home"))
        assert not mark.exists(), name
    weights = b"\0" * 16
    config = json.dumps({"features": ["a"], "out": 8})
    for told in (
        {"config": "{}", "pictures": "{}", "texts": "{}"},
        {"config": config, "pictures": "[]", "texts": "{}"},
        {
            "config": config,
            "pictures": json.dumps({"width": {"tokens": -7}}),
            "texts": json.dumps({"width": {"pooled": 8}}),
        },
        {
            "config": config,
            "pictures": json.dumps({"width": {"tokens": "x"}}),
            "texts": json.dumps({"width": {"pooled": 8}}),
        },
    ):
        document = {"pooled": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}, "__metadata__": told}
        header = json.dumps(document).encode()
        head.write_bytes(struct.pack("<Q", len(header)) + header + weights)
        refused(capfd, head, "align", "evaluate", str(run))
    refused(capfd, tmp_path / "absent", "align", "evaluate", str(tmp_path / "absent"))


def test_hostile_captions_and_networks(tmp_path, mark, capfd, photos):
    captions = tmp_path / "captions.csv"
    options = ["--images", str(photos), "--text-encoder", "seemory-mini", "--home", str(tmp_path / "home")]
    options += ["--out", str(tmp_path / "out"), "--captions", str(captions)]
    for content in (
        pickle.dumps(Bomb(mark)),
        b"image,caption\n../../etc/passwd,x\n",
        b"image,caption\n/etc/passwd,x\n",
    ):
        captions.write_bytes(content)
        refused(capfd, captions, "align", "features", *options, "--image-encoder", "seemory-mini")
    captions.write_text("image,caption\nnone-of-them.jpg,a cat\n")
    refused(capfd, captions, "align", "features", *options, "--image-encoder", "seemory-mini")
    net = tmp_path / "net.tflite"
    for content in (pickle.dumps(Bomb(mark)), b"", os.urandom(4096), b"\x1c\0\0\0TFL3" + os.urandom(256)):
        net.write_bytes(content)
        refused(capfd, net, "align", "features", *options, "--image-encoder", str(net))
    assert not mark.exists()
    assert not (tmp_path / "out" / "features.json").exists()


def test_folders_that_cannot_be_written(tmp_path, capfd, photos):
    taken = tmp_path / "taken"
    taken.write_text("a file")
    refused(capfd, taken, "align", "scenes", str(taken / "scenes"))
    captions = tmp_path / "captions.csv"
    captions.write_text("image,caption\ncat.png,a cat\n")
    folder = made_features(tmp_path / "features", count=40)
    run = tmp_path / "run.toml"
    run.write_text(f'features = ["{folder}"]\nout = 8\noptimiser = {{ batch = 8, steps = 1 }}\n')
    refused(capfd, taken, "align", "train", str(run), "--out", str(taken / "run"))
    refused(
        capfd, taken, "align", "features", "--images", str(photos), "--captions", str(captions), "--image-encoder",
        "seemory-mini", "--text-encoder", "seemory-mini", "--home", str(tmp_path / "home"), "--out", str(taken / "out"),
    )  # fmt: skip
