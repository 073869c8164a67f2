"""The `CLIP_*` names that workers already use: each does what it says, and a wrong value is named, not raised."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import toys
from PIL import Image

from seemory import VisualEmbedder
from seemory.errors import UsageError
from seemory.models.catalog import find_spec
from seemory.models.encoder import Encoder
from seemory.models.folder import read_folder
from seemory.worker.child import name_of
from seemory.worker.environment import Asked, read_environment

from .conftest import MakeEmbedder


def test_nothing_set_is_openais_vit_b_32_on_the_processor_with_two_seconds() -> None:
    settings = read_environment({})
    asked = settings.asked
    assert (asked.model, asked.pretrained, asked.device, asked.normalised) == ("ViT-B-32", "openai", "cpu", True)
    assert (settings.enabled, settings.timeout_s, settings.debug_log) == (True, 2.0, False)
    assert (asked.longest_side, asked.threads) == (None, None)


@pytest.mark.parametrize(
    ("model", "pretrained", "entry"),
    [
        ("ViT-B-32", "openai", "vit-b-32-openai"),
        ("ViT-B-32", None, "vit-b-32-openai"),
        (None, None, "vit-b-32-openai"),
        (None, "laion2b_s34b_b79k", "vit-b-32-laion2b"),
        ("ViT-B/32", "openai", "vit-b-32-openai"),
        ("ViT-B-32-quickgelu", "openai", "vit-b-32-openai"),
        ("ViT-B-32", "laion2b_s34b_b79k", "vit-b-32-laion2b"),
        ("ViT-B-16", "openai", "vit-b-16-openai"),
        ("ViT-L-14", "openai", "vit-l-14-openai"),
        ("ViT-B-16-SigLIP", "webli", "vit-b-16-siglip"),
        ("ViT-B-16-SigLIP2", "webli", "vit-b-16-siglip2"),
        ("xlm-roberta-base-ViT-B-32", "laion5b_s13b_b90k", "vit-b-32-multilingual"),
        ("vit-b-32-laion2b", None, "vit-b-32-laion2b"),
        ("vit-b-16-siglip", None, "vit-b-16-siglip"),
        ("seemory-mini", None, "seemory-mini"),
        ("seemory-mini", "", "seemory-mini"),
    ],
)
def test_open_clips_names_are_the_catalogues(model: str | None, pretrained: str | None, entry: str) -> None:
    names = {"CLIP_MODEL_NAME": model, "CLIP_PRETRAINED": pretrained}
    asked = read_environment({name: value for name, value in names.items() if value is not None}).asked
    assert find_spec(name_of(asked)).name == entry


def test_a_folder_of_weights_may_stand_in_the_tags_place(
    embedder: MakeEmbedder, package_photographs: dict[str, Path], tmp_path: Path
) -> None:
    """As a file of weights may in open_clip; the record keeps the names that were given."""
    folder = toys.folder(tmp_path / "weights")
    vector, record = embedder(model_name="ViT-B-32", pretrained=str(folder)).embed(package_photographs["cat"])
    assert vector is not None, record.error
    assert (vector.shape, record.embed_dim) == ((4,), 4)
    assert (record.model_name, record.pretrained) == ("ViT-B-32", str(folder))


@pytest.mark.parametrize("value", ["0", "false", "No", "OFF", " off "])
def test_enabled_switches_it_off(value: str) -> None:
    assert not read_environment({"CLIP_ENABLED": value}).enabled


@pytest.mark.parametrize("value", ["1", "true", "Yes", "ON", "", "  "])
def test_enabled_switches_it_on(value: str) -> None:
    assert read_environment({"CLIP_ENABLED": value}).enabled


def test_normalize_off_gives_the_vector_as_the_tower_does(
    embedder: MakeEmbedder, package_photographs: dict[str, Path], tmp_path: Path
) -> None:
    folder = toys.folder(tmp_path / "toy", text=False)
    unit, _ = embedder(model_name=str(folder)).embed(package_photographs["cat"])
    raw, record = embedder(normalize="false").embed(package_photographs["cat"])
    assert unit is not None
    assert raw is not None
    assert not record.normalized
    assert abs(np.linalg.norm(raw) - 1) > 0.01
    np.testing.assert_allclose(raw / np.linalg.norm(raw), unit, atol=1e-6)


def test_max_image_size_scales_the_picture_down_first(embedder: MakeEmbedder, tmp_path: Path) -> None:
    """A picture of fine stripes, scaled to 32 pixels before the encoder sees it, is grey to it."""
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    Image.new("RGB", (256, 256), (128, 128, 128)).save(tmp_path / "grey.png")

    def alike(made: VisualEmbedder) -> float:
        one, two = (made.embed(tmp_path / name)[0] for name in ("stripes.png", "grey.png"))
        assert one is not None
        assert two is not None
        return float(one @ two)

    assert alike(embedder()) < 0.9
    assert alike(embedder(max_image_size="32")) > 0.999


def test_timeout_s_is_the_limit_where_a_call_gives_none() -> None:
    assert read_environment({"CLIP_TIMEOUT_S": "0.75"}).timeout_s == 0.75
    assert VisualEmbedder({"CLIP_TIMEOUT_S": "0.75"}).model_information()["timeout_s"] == 0.75


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads by /proc")
def test_cpu_threads_are_those_of_one_pass(embedder: MakeEmbedder, package_photographs: dict[str, Path]) -> None:
    """Libraries start threads of their own a little later than the first answer, so the two counts are awaited."""
    processes = []
    for threads in ("1", "5"):
        made = embedder(cpu_threads=threads)
        assert made.embed(package_photographs["cat"])[0] is not None
        processes.append(psutil.Process(made.model_information()["process"]))
    one, five = processes
    deadline = time.monotonic() + 10
    while five.num_threads() - one.num_threads() != 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert five.num_threads() - one.num_threads() == 4


def test_cache_dir_is_where_models_lie(
    embedder: MakeEmbedder, package_photographs: dict[str, Path], tmp_path: Path
) -> None:
    """A catalogue name's folder, put there by hand, is used without a network."""
    toys.folder(tmp_path / "cache/models/vit-b-32-openai", dim=512, size=224)
    made = embedder(model_name="ViT-B-32", pretrained="openai", cache_dir=str(tmp_path / "cache"))
    vector, record = made.embed(package_photographs["cat"])
    assert vector is not None, record.error
    assert (vector.shape, record.model_name, record.pretrained) == ((512,), "ViT-B-32", "openai")


def test_device_cuda_without_cuda_is_a_failure_that_names_it(
    embedder: MakeEmbedder, package_photographs: dict[str, Path]
) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime knows CUDA")
    vector, record = embedder(device="cuda").embed(package_photographs["cat"])
    assert vector is None
    assert record.error is not None
    assert record.error.startswith("ModelError: CLIP_DEVICE: ")
    vector, record = embedder(device="auto").embed(package_photographs["cat"])
    assert vector is not None
    assert record.device == "cpu"


def test_debug_log_tells_each_record(
    embedder: MakeEmbedder, package_photographs: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    embedder().embed(package_photographs["cat"])
    assert not caplog.records
    embedder(debug_log="1").embed(package_photographs["cat"])
    assert json.loads(caplog.messages[-1])["frame_path"] == "chelsea.png"

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("the log's disk is full")

    broken = Broken()
    logging.getLogger("seemory.worker").addHandler(broken)
    try:
        assert embedder(debug_log="1").embed(package_photographs["cat"])[0] is not None
    finally:
        logging.getLogger("seemory.worker").removeHandler(broken)


WRONG = {
    "CLIP_ENABLED": "maybe",
    "CLIP_MODEL_NAME": "a\0b",
    "CLIP_DEVICE": "toaster",
    "CLIP_NORMALIZE": "2",
    "CLIP_TIMEOUT_S": "soon",
    "CLIP_MAX_IMAGE_SIZE": "-5",
    "CLIP_CPU_THREADS": "1.5",
    "CLIP_CACHE_DIR": __file__,
    "CLIP_DEBUG_LOG": "loud",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_a_failure_that_names_its_variable(name: str, package_photographs: dict[str, Path]) -> None:
    made = VisualEmbedder({"CLIP_MODEL_NAME": "seemory-mini", name: WRONG[name]})
    vector, record = made.embed(package_photographs["cat"])
    assert vector is None
    assert record.error is not None
    assert record.error.startswith(f"UsageError: {name}: ")
    assert made.model_information()["loads"] == 0
    assert made.model_information()["problem"] == record.error


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e9", "2s"])
def test_a_time_limit_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="CLIP_TIMEOUT_S"):
        read_environment({"CLIP_TIMEOUT_S": value})


def test_a_model_nobody_knows_is_a_failure_that_names_the_variables(
    embedder: MakeEmbedder, package_photographs: dict[str, Path]
) -> None:
    _, record = embedder(model_name="ViT-Z-99", pretrained="openai").embed(package_photographs["cat"])
    assert record.error is not None
    assert record.error.startswith("ModelNotFound: CLIP_MODEL_NAME, CLIP_PRETRAINED: no model is called")
    assert (record.model_name, record.pretrained, record.embed_dim) == ("ViT-Z-99", "openai", 0)


def test_an_environment_that_is_none_is_a_failure(package_photographs: dict[str, Path]) -> None:
    vector, record = VisualEmbedder(5).embed(package_photographs["cat"])  # type: ignore[arg-type]
    assert vector is None
    assert record.error is not None


def test_what_is_asked_travels_as_json() -> None:
    asked = Asked("ViT-B-16", None, "auto", False, 512, 2, "/data", True, 5)
    assert Asked(**json.loads(json.dumps(asked.as_json()))) == asked


def test_loading_the_picture_tower_leaves_the_text_tower_alone(tmp_path: Path) -> None:
    opened = []

    def opening(path: Path, threads: int | None) -> object:
        opened.append(path.parent.name)
        from seemory.models.session import OnnxSession

        return OnnxSession(path, threads)

    Encoder(read_folder(toys.folder(tmp_path / "toy")), open_session=opening).load(texts=False)  # type: ignore[arg-type]
    assert opened == ["visual"]
