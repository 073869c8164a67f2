"""What `auto` makes of measurements: never of another machine's, never of too coarse a precision, never of nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seemory.errors import ModelError
from seemory.models import choosing, machine
from seemory.models.choosing import Report, fastest, precision_for, read_report, save_report, way_for
from seemory.models.fidelity import Agreement, Measured
from seemory.models.precision import REFERENCE, WAYS, Way

PRINT = "0123456789abcdef" * 4
BF16, INT8, OPENVINO = Way("openvino", "bf16"), Way("onnxruntime", "int8"), Way("openvino", "fp32")


def measured(way: Way, speed: float, p5: float = 1.0, texts_p5: float = 1.0) -> Measured:
    return Measured(
        way.runtime,
        way.precision,
        batch=32,
        pictures_per_s=speed,
        pictures_per_s_alone=speed / 2,
        texts_per_s=100.0,
        pictures=Agreement(p5, p5, 100),
        texts=Agreement(texts_p5, texts_p5, 32),
        recall={1: 0.5, 5: 0.8, 10: 0.9},
        load_s=0.5,
        bytes=10,
    )


TABLE = (
    measured(REFERENCE, 30),
    measured(OPENVINO, 31),
    Measured("cuda", "fp32", "no onnxruntime-gpu"),
    measured(BF16, 60, 0.9995),
    measured(INT8, 100, 0.985),
)


def kept(home: Path, *ways: Measured) -> Path:
    return save_report(Report("mine", PRINT, ways or TABLE, "100 photographs"), home)


@pytest.mark.parametrize(
    ("ways", "fidelity", "expected"),
    [
        (TABLE, 0.99, BF16),
        (TABLE, 0.98, INT8),
        (TABLE, 0.9999, REFERENCE),
        (TABLE[:3], 0.99, REFERENCE),  # OpenVINO's tenth is missing
        ((TABLE[0], measured(OPENVINO, 40)), 0.99, OPENVINO),
        ((TABLE[0], measured(OPENVINO, 40, 0.999)), 0.99, REFERENCE),  # not the same vector: not the same fingerprint
        ((TABLE[0], measured(INT8, 100, 0.999, texts_p5=0.98)), 0.99, REFERENCE),  # one tower is enough to fail
        ((), 0.99, None),
    ],
)
def test_the_fastest_that_keeps_the_fidelity(ways: tuple[Measured, ...], fidelity: float, expected: Way | None) -> None:
    assert fastest(ways, fidelity) == expected


def test_an_encoder_of_words_is_judged_by_its_words() -> None:
    words = [replace(one, pictures=None, pictures_per_s=None) for one in TABLE[:1]]
    words.append(replace(measured(INT8, 1, texts_p5=0.995), pictures=None, pictures_per_s=None, texts_per_s=300.0))
    assert fastest(words, 0.99) == INT8


speeds = st.floats(0.1, 1e4)
cosines = st.floats(-1, 1)


@given(st.lists(st.tuples(st.sampled_from(WAYS[1:]), speeds, cosines), max_size=5), st.floats(0, 1))
def test_the_choice_is_always_allowed_and_never_slower_than_fp32(
    others: list[tuple[Way, float, float]], fidelity: float
) -> None:
    ways = [measured(REFERENCE, 10.0), *(measured(way, speed, p5) for way, speed, p5 in others)]
    chosen = fastest(ways, fidelity)
    assert chosen is not None
    found = [one for one in ways if one.way == chosen]
    assert any(one.fidelity >= fidelity and (one.way == REFERENCE or one.speed >= 11.0) for one in found)


def test_without_measurements_auto_is_fp32(tmp_path: Path) -> None:
    auto = {"precision": "auto", "runtime": "auto", "fidelity": 0.5}
    assert precision_for(lambda: pytest.fail("no weights need be read"), tmp_path, **auto) == ("fp32", None)
    assert way_for("fp32", lambda: pytest.fail("no weights need be read"), tmp_path) == REFERENCE


def test_what_was_measured_comes_back_as_it_was(tmp_path: Path) -> None:
    kept(tmp_path)
    assert read_report(PRINT, tmp_path) == Report("mine", PRINT, TABLE, "100 photographs")
    assert read_report("f" * 64, tmp_path) is None


def test_precision_and_runtime_by_what_was_measured(tmp_path: Path) -> None:
    kept(tmp_path)

    def precision(**given: object) -> tuple[str, str | None]:
        defaults = {"precision": "auto", "runtime": "auto", "fidelity": 0.99}
        return precision_for(lambda: PRINT, tmp_path, **(defaults | given))  # type: ignore[arg-type]

    assert precision() == ("bf16", None)
    assert precision(fidelity=0.98) == ("int8", None)
    assert precision(runtime="onnxruntime") == ("fp32", None)
    assert precision(precision="fp32") == ("fp32", None)
    chosen, notice = precision(precision="int8")
    assert chosen == "int8"
    assert notice
    assert "under the fidelity" in notice
    with pytest.raises(ModelError, match=r"bf16 runs in openvino only, but models\.runtime = onnxruntime"):
        precision(precision="bf16", runtime="onnxruntime")
    kept(tmp_path, measured(REFERENCE, 30), measured(OPENVINO, 40))
    assert way_for("fp32", lambda: PRINT, tmp_path) == OPENVINO
    assert way_for("fp32", lambda: PRINT, tmp_path, runtime="onnxruntime") == REFERENCE
    assert way_for("int8", lambda: PRINT, tmp_path) == INT8, "the first, where none was measured"
    assert way_for("int8", lambda: PRINT, tmp_path, runtime="openvino") == Way("openvino", "int8")
    assert way_for("bf16", lambda: PRINT, tmp_path, runtime="onnxruntime") == BF16, "nothing else can"
    chosen, notice = precision(precision="int8")
    assert notice
    assert "was not measured" in notice


@pytest.mark.parametrize("change", [{"processor": "another"}, {"cores": 99}, {"versions": {"onnxruntime": "0.1"}}])
def test_another_machine_s_measurements_are_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    """Also where a data folder is moved, or a file is copied to the other machine's name."""
    path = kept(tmp_path)
    there = machine.machine() | change
    monkeypatch.setattr(choosing, "machine", lambda: there)
    assert read_report(PRINT, tmp_path) is None
    monkeypatch.setattr(choosing, "machine_id", lambda: "another")
    assert read_report(PRINT, tmp_path) is None
    assert path.is_file(), "the other machine's stay"


@given(st.one_of(st.binary(max_size=60), st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["format", "ways", "fingerprint", "machine"]), inner, max_size=4), max_leaves=8)))  # fmt: skip  # noqa: E501
def test_a_file_that_makes_no_sense_counts_as_none(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    home = tmp_path_factory.getbasetemp() / "nonsense"
    path = kept(home)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    assert read_report(PRINT, home) is None


@pytest.mark.parametrize("place", ["ways", "material", "model"])
def test_a_file_with_a_part_missing_counts_as_none(tmp_path: Path, place: str) -> None:
    path = kept(tmp_path)
    document = json.loads(path.read_text())
    del document[place]
    path.write_text(json.dumps(document))
    assert read_report(PRINT, tmp_path) is None


def test_a_data_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(ModelError, match="cannot be kept there"):
        kept(tmp_path)
