"""Names with a precision, the fingerprint of each, and every way that runs here against fp32."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import toys
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, load, numpy_helper, save
from references import clip

from seemory.errors import ModelError, ModelNotFound
from seemory.media.image import load_picture
from seemory.models.encoder import Encoder
from seemory.models.fidelity import QUERIES, agreement, recall
from seemory.models.fingerprint import Hashes, fingerprint
from seemory.models.folder import read_folder
from seemory.models.loading import encoder_in, load_encoder, on_disk, read_name, remembered_name
from seemory.models.precision import PRECISIONS, REFERENCE, WAYS, Way, full_name, split_name, ways_of
from seemory.models.quantised import QuantisedTowers
from seemory.models.running import ways_here
from seemory.models.session import OnnxSession

HERE = [way for way, missing in ways_here().items() if missing is None]
BF16, INT8 = Way("openvino", "bf16"), Way("onnxruntime", "int8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CLIP as it is exported: real attention, real layer norms, random weights."""
    return clip(tmp_path_factory.mktemp("clip"), "quick_gelu").folder


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def squares(folder: Path, package_photographs: dict[str, Path]) -> np.ndarray:
    encoder = Encoder(read_folder(folder))
    pictures = [load_picture(path, target=encoder.image_size).image for path in package_photographs.values()]
    return np.stack([encoder.preprocess(picture) for picture in pictures])


def test_the_test_machine_runs_more_than_fp32() -> None:
    """The extras are part of the test requirements; bfloat16 and CUDA are the machine's matter."""
    assert {REFERENCE, Way("openvino", "fp32"), INT8} <= set(HERE)


@pytest.mark.parametrize("way", HERE, ids=str)
def test_each_way_stays_near_fp32(way: Way, folder: Path, kept: Path, squares: np.ndarray) -> None:
    truth = Encoder(read_folder(folder))
    made = encoder_in(read_folder(folder), way, home=kept)
    least = {"fp32": 0.999999, "bf16": 0.999, "int8": 0.99}[way.precision]
    pairs = [
        (made.embed_pixels(squares), truth.embed_pixels(squares)),
        (made.embed_texts(QUERIES), truth.embed_texts(QUERIES)),
    ]
    for ours, theirs in pairs:
        found = agreement(ours, theirs)
        print(f"{way}: mean {found.mean:.6f}, 5th percentile {found.p5:.6f}")
        assert found.p5 >= least
        # A precision that changed nothing would not have been taken at all.
        assert np.array_equal(ours, theirs) == (way == REFERENCE)
        assert np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("way", HERE, ids=str)
def test_batches_threads_and_lengths_do_not_show(way: Way, folder: Path, kept: Path, squares: np.ndarray) -> None:
    made = encoder_in(read_folder(folder), way, home=kept)
    together, texts = made.embed_pixels(squares), made.embed_texts(QUERIES)
    wrong: list[str] = []
    # A scale for a whole batch, instead of one a row, would show here: 0.9989 with ViT-B/32's text tower.
    least = {"fp32": 0.99999, "bf16": 0.999, "int8": 0.9999}[way.precision]

    def work(first: int) -> None:
        for index in range(first, len(squares), 4):
            if float(made.embed_pixels(squares[index : index + 1])[0] @ together[index]) < least:
                wrong.append(f"picture {index}")
            if float(made.embed_texts(QUERIES[index : index + 1])[0] @ texts[index]) < least:
                wrong.append(f"text {index}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_fingerprint_of_fp32_is_what_it_always_was(tmp_path: Path) -> None:
    """Collections were made with it before there was another precision: spelt out here, so that it cannot drift."""
    folder = read_folder(toys.folder(tmp_path))

    def checksum(path: Path | None) -> str:
        assert path is not None
        return hashlib.sha256(path.read_bytes()).hexdigest()

    preprocess = {"size": 8, "resize_mode": "shortest", "interpolation": "bicubic"}
    rule = {"context_length": 16, "padding": "longest", "pooling": "mean", "lower_case": False, "canonicalise": False}
    parts = {
        "format": 1,
        "dim": 4,
        "precision": "fp32",
        "normalised": True,
        "image": {
            "weights": [checksum(folder.image_model)],
            "preprocess": preprocess | {"mean": [0.5] * 3, "std": [0.5] * 3},
        },
        "text": {
            "weights": [checksum(folder.text_model)],
            "tokenizer": checksum(folder.tokenizer),
            "rule": rule | {"pad_id": 0, "end_token": None},
        },
    }
    expected = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    assert fingerprint(folder, Hashes()) == Encoder(folder).fingerprint == expected


def test_precisions_have_fingerprints_of_their_own_and_runtimes_do_not(folder: Path, kept: Path) -> None:
    found = {way: encoder_in(read_folder(folder), way, home=kept).fingerprint for way in WAYS}
    assert len(set(found.values())) == len(PRECISIONS)
    assert {found[way] for way in ways_of("fp32")} == {Encoder(read_folder(folder)).fingerprint}


def test_the_record_says_what_the_vector_was_made_on(folder: Path, kept: Path) -> None:
    for way in WAYS:  # no tower is opened for it
        record = encoder_in(read_folder(folder), way, home=kept).record()
        assert record.device == ("cuda" if way.runtime == "cuda" else "cpu")
        assert "@" not in record.model_name


@given(st.text(max_size=20), st.sampled_from(PRECISIONS))
def test_a_name_with_its_precision_comes_apart_again(name: str, precision: str) -> None:
    written = full_name(name or "x", precision)  # type: ignore[arg-type]
    model, found = split_name(written)
    assert (model, found or "fp32") == (name or "x", precision)


def test_a_precision_behind_a_name_or_a_folder(tmp_path: Path) -> None:
    toys.folder(tmp_path / "mine")
    assert load_encoder(f"{tmp_path / 'mine'}@int8", home=tmp_path).name == "mine@int8"
    assert remembered_name("ViT-B-32__openai@int8", home=tmp_path) == "vit-b-32-openai@int8"
    assert remembered_name("vit-b-32-openai@fp32", home=tmp_path) == "vit-b-32-openai"
    assert (on_disk("mini@bf16", home=tmp_path), on_disk("vit-b-32-openai@bf16", home=tmp_path)) == (True, False)
    with pytest.raises(ModelNotFound, match="'int4' is no precision; there are fp32, bf16, int8"):
        read_name("vit-b-32-openai@int4", home=tmp_path)
    with pytest.raises(ModelNotFound, match="no model is called"):
        read_name("nonsense-of-some-length@int8", home=tmp_path)


def test_a_folder_whose_own_name_ends_like_a_precision(tmp_path: Path) -> None:
    strange = toys.folder(tmp_path / "exported@int8")
    assert read_name(str(strange), home=tmp_path) == (str(strange), None)
    remembered = remembered_name(str(strange), home=tmp_path)
    toys.folder(tmp_path / "exported", dim=5)  # even when the other one appears later
    found = load_encoder(remembered, home=tmp_path)
    assert (found.dim, found.way) == (4, REFERENCE)


def test_openvino_s_telemetry_is_never_loaded(tmp_path: Path, folder: Path) -> None:
    """`import openvino` would report itself and leave a client id in the home folder."""
    code = (
        "import sys; from pathlib import Path; from seemory.models.openvino_session import OpenVinoSession\n"
        f"OpenVinoSession(Path({str(folder / 'textual/model.onnx')!r}))\n"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry')])"
    )
    environment = {"HOME": str(tmp_path), "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == []


def test_a_missing_openvino_names_the_extra(folder: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    made = encoder_in(read_folder(folder), BF16, home=kept)
    assert made.fingerprint, "whose collection it is can be said without it"
    with pytest.raises(ModelError, match=r"pip install 'seemory\[openvino\]'"):
        made.embed_texts(["a cat"])


def test_a_missing_onnx_names_the_extra(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = encoder_in(read_folder(folder), INT8, home=tmp_path)
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "onnx", None)
        with pytest.raises(ModelError, match=r"pip install 'seemory\[int8\]'"):
            made.embed_texts(["a cat"])
    assert list((tmp_path / "models/int8").iterdir()) == []
    made.embed_texts(["a cat"])  # what failed is tried again
    monkeypatch.setitem(sys.modules, "onnx", None)
    encoder_in(read_folder(folder), INT8, home=tmp_path).embed_texts(["a cat"])  # the copy is there: nothing is made


@pytest.mark.skipif(any(way.runtime == "cuda" for way in HERE), reason="there is a CUDA device")
def test_a_missing_cuda_device_says_what_it_needs(folder: Path, kept: Path) -> None:
    with pytest.raises(ModelError, match="onnxruntime-gpu"):
        encoder_in(read_folder(folder), Way("cuda", "fp32"), home=kept).embed_texts(["a cat"])


@pytest.mark.parametrize("way", [way for way in HERE if way.runtime == "openvino"] + [INT8], ids=str)
def test_a_damaged_tower_is_said_with_its_name(way: Way, tmp_path: Path) -> None:
    folder = toys.folder(tmp_path / "toy")
    (folder / "textual/model.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"textual.model\.onnx"):
        encoder_in(read_folder(folder), way, home=tmp_path).embed_texts(["a dog"])
    assert not list(tmp_path.glob("models/int8/*"))


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_openvino_takes_what_an_export_declares(dtype: str, tmp_path: Path) -> None:
    folder = toys.folder(tmp_path)
    toys.picture_tower(folder / "visual/model.onnx", dtype=dtype)
    toys.text_tower(folder / "textual/model.onnx", dtype="int32", extra=("attention_mask",))
    truth, made = (encoder_in(read_folder(folder), way, home=tmp_path) for way in ways_of("fp32")[:2])
    squares = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    assert agreement(made.embed_pixels(squares), truth.embed_pixels(squares)).p5 > 0.9999
    assert agreement(made.embed_texts(QUERIES), truth.embed_texts(QUERIES)).p5 > 0.9999


def test_the_ways_of_int8_are_nearer_to_one_another_than_to_fp32(folder: Path, kept: Path, squares: np.ndarray) -> None:
    """They share a fingerprint: a picture embedded by one may be searched with words embedded by the other."""
    ways = (REFERENCE, *ways_of("int8"))
    truth, one, other = (encoder_in(read_folder(folder), way, home=kept).embed_pixels(squares) for way in ways)
    between = agreement(one, other)
    assert between.mean > max(agreement(one, truth).mean, agreement(other, truth).mean)
    assert between.p5 > 0.999


def test_openvino_gets_the_weights_alone_in_8_bits(folder: Path, tmp_path: Path) -> None:
    tower = folder / "visual/model.onnx"
    forms = [QuantisedTowers(tmp_path, Hashes(), form) for form in ("products", "weights")]
    assert forms[0].made(tower) != forms[1].made(tower)
    graph = load(str(forms[1].made(tower))).graph
    kinds = [node.op_type for node in graph.node]
    assert "MatMulIntegerToFloat" not in kinds
    assert kinds.count("DequantizeLinear") == sum(weight.data_type == TensorProto.INT8 for weight in graph.initializer)
    # Told to widen its weights, ONNX Runtime gives the vectors of fp32 but for the rounding of the weights.
    square = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    found, truth = (OnnxSession(one).run({"image": square})[0] for one in (forms[1].made(tower), tower))
    assert float((found * truth).sum() / np.linalg.norm(found) / np.linalg.norm(truth)) > 0.999


def test_8_bit_copies_are_made_once_and_follow_the_weights(folder: Path, tmp_path: Path) -> None:
    towers = QuantisedTowers(tmp_path / "int8", Hashes())
    tower = folder / "visual/model.onnx"
    first = towers.made(tower)
    made_at = first.stat().st_mtime_ns
    assert towers.made(tower).stat().st_mtime_ns == made_at
    assert first.stat().st_size < tower.stat().st_size
    kinds = [node.op_type for node in load(str(first)).graph.node]
    assert kinds.count("MatMulIntegerToFloat") >= 3 * 6
    assert kinds.count("QuantizeLinear") < kinds.count("MatMulIntegerToFloat"), (
        "queries, keys and values share their input"
    )
    other = load(str(tower))
    weight = next(one for one in other.graph.initializer if len(one.dims) == 2)
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 1.01, weight.name))
    save(other, str(tmp_path / "model.onnx"))
    assert towers.made(tmp_path / "model.onnx") != first


def test_weights_in_a_file_of_their_own_are_found(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    save(load(str(folder / "visual/model.onnx")), str(path), save_as_external_data=True, location="weights.bin")
    made = QuantisedTowers(tmp_path / "int8", Hashes()).made(path)
    square = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    found, truth = (OnnxSession(one).run({"image": square})[0] for one in (made, path))
    assert float((found * truth).sum() / np.linalg.norm(found) / np.linalg.norm(truth)) > 0.99


def test_an_export_in_16_bits_has_no_8_bit_copy(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = load(str(folder / "visual/model.onnx"))
    for weight in model.graph.initializer:
        if weight.data_type == TensorProto.FLOAT:
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), weight.name))
    save(model, str(path))
    with pytest.raises(ModelError, match="16 bits"):
        QuantisedTowers(tmp_path / "int8", Hashes()).made(path)


def test_two_who_make_the_same_copy_get_a_whole_one(folder: Path, tmp_path: Path) -> None:
    found: list[object] = []

    def make() -> None:
        try:
            path = QuantisedTowers(tmp_path / "int8", Hashes()).made(folder / "textual/model.onnx")
            found.append(OnnxSession(path).inputs)
        except Exception as error:
            found.append(error)

    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert all(ports == found[0] and isinstance(ports, tuple) for ports in found)
    assert [path.name.startswith("int8-1-") for path in (tmp_path / "int8").iterdir()] == [True]


def test_nothing_is_said_to_the_user_s_log(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    QuantisedTowers(tmp_path / "int8", Hashes()).made(folder / "visual/model.onnx")
    assert caplog.records == []


@pytest.mark.parametrize("exact", [False, True])
def test_kernels_that_cannot_saturate_give_the_same_vectors(exact: bool, folder: Path, kept: Path) -> None:
    """On a processor with VNNI both are exact; on one without, only the slower are, and those are taken."""
    from seemory.models.machine import sums_of_8_bit_products_overflow

    if sums_of_8_bit_products_overflow() and not exact:
        pytest.skip("this processor saturates without them")
    path = QuantisedTowers(kept / "int8", Hashes()).made(folder / "textual/model.onnx")
    ids = np.array([[1, 2, 3, 4]])
    found = OnnxSession(path, exact_products=exact).run({"text": ids})[0]
    assert np.allclose(found, OnnxSession(path, exact_products=True).run({"text": ids})[0], atol=1e-5)


def _product(opset: int, matrix: np.ndarray, path: Path) -> Path:
    """A graph of one matrix product, as exporters of that opset write it."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["given", "matrix"], ["found"])],
        "product",
        [helper.make_tensor_value_info("given", TensorProto.FLOAT, ["rows", matrix.shape[0]])],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, ["rows", matrix.shape[1]])],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), str(path))
    return path


@pytest.fixture(scope="module", params=[11, 17, 18, 21])
def eight_bit_product(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OnnxSession:
    place = tmp_path_factory.mktemp("product")
    path = _product(request.param, MATRIX, place / "model.onnx")
    return OnnxSession(QuantisedTowers(place / "int8", Hashes()).made(path))


MATRIX = np.random.default_rng(5).standard_normal((6, 4)).astype(np.float32)
MATRIX[:, 2] = 0  # a column that a pruned model may well have


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 5), st.just(6)),
        elements=st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False),
    )
)
def test_an_8_bit_product_is_near_whatever_the_rows_are(eight_bit_product: OnnxSession, rows: np.ndarray) -> None:
    """Zeros, tiny and huge rows side by side: each has its own scale, so none coarsens another."""
    [found] = eight_bit_product.run({"given": rows})
    truth = rows.astype(np.float64) @ MATRIX.astype(np.float64)
    step, column = np.abs(rows).max(axis=1).astype(np.float64) / 127 + 1e-13, np.abs(MATRIX).max(axis=0) / 127
    least = np.outer(step, np.abs(MATRIX).sum(axis=0)) + np.outer(np.abs(rows).sum(axis=1) + 6 * step, column)
    assert np.isfinite(found).all()
    assert (np.abs(found - truth) <= 0.51 * least + 1e-12).all()
    for index in range(len(rows)):
        np.testing.assert_array_equal(eight_bit_product.run({"given": rows[index : index + 1]})[0][0], found[index])


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows of norm 1 whose products float32 counts exactly, ties and all: some of the 16 corners of a cube."""
    return np.asarray(np.where(rows > 0, 0.5, -0.5), np.float32)


def _by_hand(texts: np.ndarray, pictures: np.ndarray, belongs: list[int]) -> dict[int, float]:
    shares: dict[int, list[bool]] = {1: [], 5: [], 10: []}
    for text, own in zip(texts, belongs, strict=True):
        cosines = [float(text @ picture) for picture in pictures]
        above = sum(cosine >= cosines[own] for index, cosine in enumerate(cosines) if index != own)
        for k in shares:
            shares[k].append(above < k)
    return {k: float(np.mean(hits)) for k, hits in shares.items()}


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 20))
def test_recall_is_that_of_counting_by_hand(seed: int, pictures: int, texts: int) -> None:
    random = np.random.default_rng(seed)
    seen, said = _unit(random.integers(0, 2, (pictures, 4))), _unit(random.integers(0, 2, (texts, 4)))
    belongs = random.integers(0, pictures, texts).tolist()
    assert recall(said, seen, belongs) == pytest.approx(_by_hand(said, seen, belongs))
