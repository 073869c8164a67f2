"""Copies of towers that are mapped: the same vectors, and nothing but time is lost with them."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_encoders import BUNDLED, turned

from seemory.errors import ModelCorrupt
from seemory.models import mapped
from seemory.models.encoder import Encoder
from seemory.models.fingerprint import Hashes
from seemory.models.loading import load_encoder
from seemory.models.mapped import MappedTowers
from seemory.models.session import OnnxSession

TEXTS = ["a dog on a beach", "kitchen", "two people ride bicycles past a red house", ""]
Opened = list[tuple[str, set[str]]]


@pytest.fixture(autouse=True)
def _small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "WORTH_IT", 0)


def noting(opened: Opened) -> Callable[..., OnnxSession]:
    def open_tower(path: Path, **how: Any) -> OnnxSession:
        opened.append((str(path), set(how)))
        return OnnxSession(path, **how)

    return open_tower


def encoder(home: Path, folder: Path = BUNDLED) -> Encoder:
    return load_encoder(str(folder), home=home)


def copies(home: Path) -> list[Path]:
    return sorted((home / "models" / "mapped").iterdir())


def test_the_copy_is_made_once_and_then_opened(tmp_path: Path) -> None:
    tower, opened = BUNDLED / "textual" / "model.onnx", Opened()
    towers = MappedTowers(tmp_path / "copies", Hashes())
    towers.session(tower, noting(opened))
    towers.session(tower, noting(opened))
    copy = towers.path(tower)
    assert opened == [(str(tower), {"save"}), (str(copy), {"optimised"})]
    assert {path.name for path in copy.parent.iterdir()} == {"model.onnx", "model.bin"}
    assert copy.with_name("model.bin").stat().st_size > 50 * copy.stat().st_size  # the weights are not in the file
    assert [path.name for path in (tmp_path / "copies").iterdir()] == [copy.parent.name]


def test_vectors_of_a_copy_are_the_same_to_the_last_bit(tmp_path: Path) -> None:
    plain = Encoder(encoder(tmp_path).folder).embed_texts(TEXTS)
    first, second = encoder(tmp_path).embed_texts(TEXTS), encoder(tmp_path).embed_texts(TEXTS)
    assert len(copies(tmp_path)) == 1
    assert np.array_equal(plain, first)
    assert np.array_equal(plain, second)


def test_towers_of_other_weights_have_other_copies(tmp_path: Path) -> None:
    other = turned(tmp_path / "turned")
    for _ in range(2):
        one, two = encoder(tmp_path).embed_texts(TEXTS), encoder(tmp_path, other).embed_texts(TEXTS)
        assert np.allclose(one[:, ::-1], two, atol=1e-6)  # norms are added up in another order
    assert len(copies(tmp_path)) == 2


@pytest.mark.parametrize("name", ["model.onnx", "model.bin"])
@pytest.mark.parametrize("damage", [lambda file: file.write_bytes(b"nonsense"), Path.unlink], ids=["nonsense", "gone"])
def test_a_damaged_copy_is_made_anew(tmp_path: Path, name: str, damage: Callable[[Path], object]) -> None:
    expected = encoder(tmp_path).embed_texts(TEXTS)
    damage(copies(tmp_path)[0] / name)
    assert np.array_equal(encoder(tmp_path).embed_texts(TEXTS), expected)
    assert {path.name for path in copies(tmp_path)[0].iterdir()} == {"model.onnx", "model.bin"}
    assert np.array_equal(encoder(tmp_path).embed_texts(TEXTS), expected)


def test_where_no_copy_can_be_kept_the_tower_itself_is_opened(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mapped").write_text("in the way")
    assert encoder(tmp_path).embed_texts(TEXTS).shape == (4, 256)


def test_without_room_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(mapped.shutil, "disk_usage", lambda _: full)
    assert encoder(tmp_path).embed_texts(TEXTS).shape == (4, 256)
    assert copies(tmp_path) == []


def test_a_damaged_tower_is_said_by_its_own_name(tmp_path: Path) -> None:
    folder = shutil.copytree(BUNDLED, tmp_path / "damaged")
    (folder / "textual" / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelCorrupt, match=r"damaged.textual.model\.onnx"):
        encoder(tmp_path, folder).embed_texts(TEXTS)
    assert copies(tmp_path) == []


def test_several_at_once_leave_one_whole_copy(tmp_path: Path) -> None:
    expected = encoder(tmp_path / "other").embed_texts(TEXTS)
    found: list[bool] = []
    threads = [
        threading.Thread(target=lambda: found.append(np.array_equal(encoder(tmp_path).embed_texts(TEXTS), expected)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 4
    assert {path.name for (copy,) in [copies(tmp_path)] for path in copy.iterdir()} == {"model.onnx", "model.bin"}


def test_small_towers_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "WORTH_IT", 32 << 20)
    encoder(tmp_path).embed_texts(TEXTS)
    assert not (tmp_path / "models" / "mapped").exists()
