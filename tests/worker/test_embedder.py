"""The worker's embedder with the bundled encoder: what it gives, and that nothing makes it raise."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from seemory import VisualEmbedder
from seemory.media.image import load_picture
from seemory.memory import Memory
from seemory.types import EmbeddingRecord, error_text

from .conftest import MakeEmbedder

KEYS = [
    "model_name",
    "pretrained",
    "embed_dim",
    "normalized",
    "device",
    "frame_path",
    "frame_quality",
    "inference_time_ms",
    "created_at",
    "error",
]


def failing(embedder: VisualEmbedder, path: object, *more: object) -> str:
    """The error of a picture that has no vector; its record must be a failure's in every other respect."""
    vector, record = embedder.embed(path, *more)  # type: ignore[arg-type]
    document = record.as_json()
    assert vector is None
    assert list(document) == KEYS
    assert document["frame_quality"] is None
    assert document["inference_time_ms"] is None
    assert json.loads(json.dumps(document)) == document
    assert isinstance(record.error, str)
    assert 0 < len(record.error) <= 200
    return record.error


# -- what it gives ---------------------------------------------------------------------------------------------------


def test_a_picture_has_a_vector_of_norm_1(embedder: MakeEmbedder, package_photographs: dict[str, Path]) -> None:
    vector, record = embedder().embed(package_photographs["cat"])
    assert vector is not None
    assert (vector.shape, vector.dtype) == ((256,), np.float32)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert record.error is None
    vector += 1  # the caller's own


def test_the_record_of_a_vector_has_the_keys_and_values_that_workers_store(
    embedder: MakeEmbedder, package_photographs: dict[str, Path]
) -> None:
    quality = {"quality_score": 0.82}
    before = datetime.now(UTC)
    _, record = embedder().embed(package_photographs["cat"], quality)
    document = record.as_json()
    assert list(document) == KEYS
    assert document["inference_time_ms"] > 0
    made = datetime.fromisoformat(document["created_at"])
    assert document["created_at"].endswith("Z")
    assert before <= made <= datetime.now(UTC)
    assert document | {"created_at": "", "inference_time_ms": 0} == {
        "model_name": "seemory-mini",
        "pretrained": "",
        "embed_dim": 256,
        "normalized": True,
        "device": "cpu",
        "frame_path": "chelsea.png",
        "frame_quality": {"quality_score": 0.82},
        "inference_time_ms": 0,
        "created_at": "",
        "error": None,
    }
    quality["quality_score"] = 0.1
    assert document["frame_quality"] == {"quality_score": 0.82}


def test_vectors_are_those_of_a_memory(
    embedder: MakeEmbedder, memory: Memory, package_photographs: dict[str, Path]
) -> None:
    memory.index(*package_photographs.values())
    made = embedder()
    for path in package_photographs.values():
        vector, record = made.embed(path)
        assert vector is not None, record.error
        best = memory.search(image=path, limit=1)[0]
        assert best.uri == str(path)
        encoder = memory.encoder
        own = encoder.embed_images([load_picture(path, target=encoder.image_size).image])[0]
        assert float(vector @ own) > 0.999999
    assert made.model_information()["fingerprint"] == memory.encoder.fingerprint


def test_different_pictures_differ_and_one_picture_is_the_same_twice(
    embedder: MakeEmbedder, package_photographs: dict[str, Path]
) -> None:
    made = embedder()
    cat, again, rocket = (made.embed(package_photographs[name])[0] for name in ("cat", "cat", "rocket"))
    assert cat is not None
    assert again is not None
    assert rocket is not None
    assert np.array_equal(cat, again)
    assert float(cat @ rocket) < 0.9


def test_paths_may_be_texts_bytes_and_relative(
    embedder: MakeEmbedder, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = embedder()
    whole, _ = made.embed(photos / "cat.png")
    monkeypatch.chdir(photos)  # after its process was started in another folder
    for path in (str(photos / "cat.png"), os.fsencode(photos / "cat.png"), "cat.png", Path("../photos/cat.png")):
        vector, record = made.embed(path)  # type: ignore[arg-type]
        assert vector is not None, record.error
        assert np.array_equal(vector, whole)
        assert record.frame_path == "cat.png"


def test_a_name_that_is_no_utf8_is_read(embedder: MakeEmbedder, photos: Path) -> None:
    odd = os.fsencode(photos) + b"/\xff\xfe.png"
    try:
        Path(os.fsdecode(odd)).write_bytes((photos / "cat.png").read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    vector, record = embedder().embed(os.fsdecode(odd))
    assert vector is not None, record.error
    assert record.frame_path == "\ufffd\ufffd.png"
    json.dumps(record.as_json(), ensure_ascii=False).encode()


def test_many_are_embedded_in_their_order_and_a_bad_one_has_its_place(
    embedder: MakeEmbedder, package_photographs: dict[str, Path]
) -> None:
    paths = [package_photographs["cat"], Path("nowhere.jpg"), package_photographs["coffee"]]
    results = embedder().embed_many(paths)
    assert [record.frame_path for _, record in results] == ["chelsea.png", "nowhere.jpg", "coffee.png"]
    assert [vector is None for vector, _ in results] == [False, True, False]

    def breaking() -> object:
        yield paths[0]
        raise RuntimeError("the disk went away")

    *good, (last, record) = embedder().embed_many(breaking())  # type: ignore[arg-type]
    assert len(good) == 1
    assert last is None
    assert record.error == "RuntimeError: the disk went away"
    assert embedder().embed_many(5)[0][1].error == "TypeError: 'int' object is not iterable"  # type: ignore[arg-type]


# -- one model, loaded once ------------------------------------------------------------------------------------------


def test_nothing_is_loaded_before_the_first_picture(
    embedder: MakeEmbedder, package_photographs: dict[str, Path]
) -> None:
    made = embedder()
    information = made.model_information()
    assert (information["process"], information["loads"], information["fingerprint"]) == (None, 0, None)
    made.embed(package_photographs["cat"])
    information = made.model_information()
    assert information["loads"] == 1
    assert psutil.Process(information["process"]).is_running()


def test_embedders_that_are_told_the_same_share_one_model(
    embedder: MakeEmbedder, package_photographs: dict[str, Path]
) -> None:
    one, two = embedder(), embedder()
    one.embed(package_photographs["cat"])
    two.embed(package_photographs["cat"])
    assert one.model_information()["process"] == two.model_information()["process"]
    assert two.model_information()["loads"] == 1
    assert one.figures().done == two.figures().done == 2


def test_sixteen_threads_at_first_use_load_one_model(
    embedder: MakeEmbedder, package_photographs: dict[str, Path]
) -> None:
    made, barrier = embedder(), threading.Barrier(16)
    paths = list(package_photographs.values())

    def work(n: int) -> tuple[np.ndarray | None, EmbeddingRecord]:
        barrier.wait()
        return made.embed(paths[n % len(paths)])

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(work, range(16)))
    assert [record.error for _, record in results] == [None] * 16
    assert made.model_information()["loads"] == 1
    for n in range(8):  # each thread has its own picture's vector
        assert results[n][1].frame_path == paths[n].name
        assert np.array_equal(results[n][0], results[n + 8][0])
        assert np.array_equal(results[n][0], made.embed(paths[n])[0])
    assert len([p for p in psutil.Process().children() if p.pid == made.model_information()["process"]]) == 1


def test_loading_is_no_part_of_the_time_limit(embedder: MakeEmbedder, tmp_path: Path) -> None:
    """Starting Python and reading a model takes longer than this limit, for all who wait for it; all have vectors."""
    import toys

    Image.new("RGB", (20, 20), "red").save(tmp_path / "red.png")
    made, limit = embedder(model_name=str(toys.folder(tmp_path / "toy"))), 0.15
    start = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: made.embed(tmp_path / "red.png", None, limit), range(3)))
    assert time.monotonic() - start > limit
    assert [record.error for _, record in results] == [None] * 3
    assert made.model_information()["loads"] == 1


def test_it_is_available_when_its_model_can_be_loaded(embedder: MakeEmbedder, tmp_path: Path) -> None:
    assert embedder().is_available()
    assert not embedder(enabled="0").is_available()
    assert not embedder(enabled="1", timeout_s="never").is_available()
    (tmp_path / "empty").mkdir()
    assert not embedder(timeout_s="2", model_name=str(tmp_path / "empty")).is_available()


def test_reset_ends_the_process_and_the_next_picture_loads_anew(
    embedder: MakeEmbedder, package_photographs: dict[str, Path]
) -> None:
    made = embedder()
    made.embed(package_photographs["cat"])
    first = psutil.Process(made.model_information()["process"])
    VisualEmbedder.reset()
    first.wait(5)
    assert made.figures().done == 0
    assert made.embed(package_photographs["cat"])[0] is not None
    assert made.model_information()["process"] != first.pid


def test_a_forked_process_loads_a_model_of_its_own(
    embedder: MakeEmbedder, package_photographs: dict[str, Path], tmp_path: Path
) -> None:
    """As the workers of a pre-forking server do; the parent's model goes on serving the parent."""
    if not hasattr(os, "fork"):
        pytest.skip("there is no fork here")
    embedder()  # sets the environment
    code = """
import os, sys
from seemory import VisualEmbedder
made = VisualEmbedder()
assert made.embed(sys.argv[1])[0] is not None
mine = made.model_information()["process"]
if os.fork() == 0:
    ok = made.embed(sys.argv[1])[0] is not None
    other = made.model_information()["process"]
    made.reset()
    os._exit(0 if ok and other not in (None, mine) else 1)
_, status = os.wait()
assert status == 0, status
assert made.embed(sys.argv[1])[0] is not None
assert made.model_information() | {"process": mine, "loads": 1} == made.model_information()
"""
    run = subprocess.run(
        [sys.executable, "-c", code, str(package_photographs["cat"])], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr


# -- failures --------------------------------------------------------------------------------------------------------


def test_off_it_answers_at_once_and_loads_nothing(embedder: MakeEmbedder, package_photographs: dict[str, Path]) -> None:
    made = embedder(enabled="false", timeout_s="nonsense")
    assert failing(made, package_photographs["cat"], {"quality_score": 1}) == "Disabled: CLIP_ENABLED is off"
    record = made.embed(package_photographs["cat"])[1]
    assert (record.embed_dim, record.device, record.model_name) == (0, "none", "seemory-mini")
    assert made.model_information()["loads"] == 0
    assert made.figures().as_json()["failed"] == 0


def bomb(path: Path) -> None:
    """A PNG of 50,000 x 50,000 in a few bytes: a header that is true, and nothing behind it."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)))


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda p: None, r"Image not found: .*/missing"),
    "empty": (lambda p: p.write_bytes(b""), r"UnreadableMedia: an empty file"),
    "a text": (lambda p: p.write_text("no picture"), r"UnsupportedMedia: no picture format"),
    "a folder": (lambda p: p.mkdir(), r"UnreadableMedia: a folder"),
    "a pipe": (lambda p: os.mkfifo(p), r"UnsupportedMedia: a pipe"),
    "a bomb": (bomb, r"MediaTooLarge: 50000 x 50000 pixels"),
    "a ring of links": (lambda p: p.symlink_to(p), r"UnreadableMedia: "),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_a_failure_and_the_next_picture_is_embedded(
    kind: str, embedder: MakeEmbedder, tmp_path: Path, package_photographs: dict[str, Path]
) -> None:
    make, pattern = BAD[kind]
    path = tmp_path / kind
    make(path)
    made = embedder()
    assert re.match(pattern, failing(made, path))
    assert made.embed(package_photographs["cat"])[0] is not None
    assert made.model_information()["loads"] == 1


def test_a_cut_picture_a_device_and_a_forbidden_file_are_failures(embedder: MakeEmbedder, photos: Path) -> None:
    made = embedder()
    whole = (photos / "temple.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    assert failing(made, photos / "cut.jpg").startswith("UnreadableMedia: the file is cut short")
    assert failing(made, "/dev/zero").startswith("UnsupportedMedia: a pipe, socket or device")
    if os.geteuid():
        (photos / "temple.jpg").chmod(0)
        assert failing(made, photos / "temple.jpg").startswith("UnreadableMedia: permission denied")


class Hostile:
    """A path whose every method raises."""

    def __fspath__(self) -> str:
        raise Cruel

    def __repr__(self) -> str:
        raise Cruel

    __str__ = __repr__


class Cruel(Exception):
    def __str__(self) -> str:
        raise ValueError("not even this")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        (None, "TypeError: "),
        (5, "TypeError: "),
        (object(), "TypeError: "),
        (["a.jpg"], "TypeError: "),
        (Hostile(), "Cruel: "),
        ("", "UnreadableMedia: "),
        ("a\0b.jpg", "UnreadableMedia: "),
        ("x" * 300 + ".jpg", "UnreadableMedia: "),
        ("x" * 100_000, "OSError: a path of "),
        ("\ud800.jpg", "UnicodeEncodeError: "),
    ],
    ids=lambda value: ascii(value)[:20] if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_path_is_a_failure(embedder: MakeEmbedder, path: object, error: str) -> None:
    assert failing(embedder(), path).startswith(error)


@pytest.mark.parametrize(
    "timeout_s",
    ["soon", "2", -1, 0, float("nan"), float("inf"), True, [], Hostile(), 10**400],
    ids=lambda v: type(v).__name__,
)
def test_what_is_no_time_limit_is_a_failure_that_names_it(
    embedder: MakeEmbedder, package_photographs: dict[str, Path], timeout_s: object
) -> None:
    vector, record = embedder().embed(package_photographs["cat"], timeout_s=timeout_s)  # type: ignore[arg-type]
    if timeout_s == "2":  # a number, though written as a text
        assert vector is not None
    else:
        assert vector is None
        assert record.error is not None
        assert "timeout_s" in record.error


def test_what_is_no_quality_is_a_failure_that_names_it(
    embedder: MakeEmbedder, package_photographs: dict[str, Path]
) -> None:
    made, cat = embedder(), package_photographs["cat"]
    ring: dict[str, object] = {}
    ring["ring"] = ring
    assert failing(made, cat, 0.82) == "TypeError: quality: a mapping or None, not float"
    assert failing(made, cat, ["quality_score"]) == "TypeError: quality: a mapping or None, not list"
    assert failing(made, cat, ring).startswith("RecursionError: ")
    assert failing(made, cat, {"n": 10**5000}).startswith("ValueError: quality: ")
    assert failing(made, cat, {"x": Hostile()}).startswith("Cruel: ")


def test_quality_is_kept_as_json_can_hold_it(embedder: MakeEmbedder, package_photographs: dict[str, Path]) -> None:
    quality = {"blur": np.float32(0.5), "frames": np.int64(3), "nan": float("nan"), "tags": ("a", "b"), 7: Path("x")}
    _, record = embedder().embed(package_photographs["cat"], quality)
    assert record.frame_quality == {"blur": 0.5, "frames": 3, "nan": None, "tags": ["a", "b"], "7": "x"}


def test_a_model_that_cannot_be_loaded_is_a_failure_and_is_not_tried_for_every_picture(
    embedder: MakeEmbedder, package_photographs: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    (broken / "visual").mkdir(parents=True)
    (broken / "config.json").write_text('{"embed_dim": 4}')
    (broken / "visual/preprocess_cfg.json").write_text(
        '{"size": [8, 8], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "resize_mode": "shortest"}'
    )
    (broken / "visual/model.onnx").write_bytes(b"no model")
    made = embedder(model_name=str(broken))
    for _ in range(5):
        assert failing(made, package_photographs["cat"]).startswith("ModelCorrupt: ")
    assert made.model_information()["loads"] == 1


def test_a_model_of_words_alone_is_a_failure(
    embedder: MakeEmbedder, package_photographs: dict[str, Path], tmp_path: Path
) -> None:
    import toys

    made = embedder(model_name=str(toys.folder(tmp_path / "words", picture=False)))
    assert failing(made, package_photographs["cat"]).startswith("TowerMissing: ")


def test_a_model_that_gives_no_direction_fails_its_pictures_and_stays_loaded(
    embedder: MakeEmbedder, package_photographs: dict[str, Path], tmp_path: Path
) -> None:
    import toys

    folder = toys.folder(tmp_path / "zero", text=False)
    toys.picture_tower(folder / "visual/model.onnx", weights=0.0)
    made = embedder(model_name=str(folder))
    for _ in range(3):
        assert failing(made, package_photographs["cat"]).startswith("ModelError: ")
    assert made.model_information()["loads"] == 1


def test_a_model_that_is_not_here_and_cannot_be_fetched_is_a_failure(
    embedder: MakeEmbedder, package_photographs: dict[str, Path]
) -> None:
    made = embedder(model_name="ViT-B-32", pretrained="openai")
    assert failing(made, package_photographs["cat"]).startswith("ModelUnavailable: vit-b-32-openai is not on disk")
    record = made.embed(package_photographs["cat"])[1]
    assert (record.model_name, record.pretrained, record.embed_dim) == ("ViT-B-32", "openai", 512)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_data_folder_that_cannot_be_written_does_not_matter(
    embedder: MakeEmbedder, package_photographs: dict[str, Path]
) -> None:
    made = embedder(cache_dir="/proc/seemory")  # nothing can be made there, also by root
    vector, record = made.embed(package_photographs["cat"])
    assert vector is not None, record.error


def test_no_more_open_files_is_a_failure_and_it_recovers(package_photographs: dict[str, Path], tmp_path: Path) -> None:
    """Where the operating system refuses to start a process, the record says so."""
    code = """
import resource, sys
from seemory import VisualEmbedder
import seemory.settings, seemory.models.catalog
made = VisualEmbedder({"CLIP_MODEL_NAME": "seemory-mini", "CLIP_TIMEOUT_S": "30"})
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
vector, record = made.embed(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard > 0 else 1024, hard))
assert vector is None
assert record.error.startswith("OSError: "), record.error
made.reset()
assert made.embed(sys.argv[1])[0] is not None
"""
    pytest.importorskip("resource")
    run = subprocess.run(
        [sys.executable, "-c", code, str(package_photographs["cat"])],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"SEEMORY_HOME": str(tmp_path)},
    )
    assert run.returncode == 0, run.stderr


# -- figures ---------------------------------------------------------------------------------------------------------


def test_figures_count_what_was_done_and_what_failed_by_reason(
    embedder: MakeEmbedder, package_photographs: dict[str, Path], tmp_path: Path
) -> None:
    made = embedder()
    (tmp_path / "empty.jpg").touch()
    times = [made.embed(path)[1].inference_time_ms for path in package_photographs.values()]
    for path in ("nowhere.jpg", "neither.jpg", tmp_path / "empty.jpg", 5):
        made.embed(path)  # type: ignore[arg-type]
    figures = made.figures()
    assert (figures.done, figures.timeouts) == (8, 0)
    assert figures.failed == {"Image not found": 2, "UnreadableMedia": 1, "TypeError": 1}
    assert figures.mean_ms == pytest.approx(np.mean(times), abs=0.01)  # type: ignore[arg-type]
    assert figures.p95_ms == max(times)  # type: ignore[type-var]
    assert json.loads(json.dumps(figures.as_json()))["failed"] == 4


def test_an_errors_text_is_its_type_and_message_in_200_characters() -> None:
    assert error_text(ValueError("no")) == "ValueError: no"
    assert error_text(Cruel()) == "Cruel: "
    assert len(error_text(ValueError("x" * 1000))) == 200


# -- a fuzz ----------------------------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.sets(st.integers()),
    max_leaves=20,
)
paths = (
    st.text()
    | st.binary()
    | values
    | st.builds(Path, st.text(st.characters(exclude_characters="\0"), max_size=20))
    | st.sampled_from(["cat.png", Path("cat.png"), "./cat.png", b"cat.png"])
)


@pytest.fixture(scope="module")
def folder_with_a_cat(tmp_path_factory: pytest.TempPathFactory, package_photographs: dict[str, Path]) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    with Image.open(package_photographs["cat"]) as image:
        image.resize((90, 60)).save(folder / "cat.png")
    return folder


def test_whatever_it_is_given_it_gives_a_record(
    folder_with_a_cat: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    made = VisualEmbedder({"CLIP_MODEL_NAME": "seemory-mini", "CLIP_TIMEOUT_S": "30", "CLIP_CACHE_DIR": str(home)})
    seen = {"done": 0, "failed": 0}

    @settings(max_examples=300)
    @given(path=paths, quality=st.none() | st.dictionaries(st.text(), values) | values)
    def every(path: object, quality: object) -> None:
        vector, record = made.embed(path, quality)  # type: ignore[arg-type]
        document = record.as_json()
        assert list(document) == KEYS
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
        assert (vector is None) == (record.error is not None)
        seen["failed" if vector is None else "done"] += 1

    before = Path.cwd()
    os.chdir(folder_with_a_cat)
    try:
        every()
    finally:
        os.chdir(before)
    assert seen["done"] > 0
    assert seen["failed"] > 0
    assert made.model_information()["loads"] == 1
