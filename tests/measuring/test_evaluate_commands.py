"""The commands as a shell has them: one document on stdout, remarks on stderr, and exit codes."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from seemory.cli import main


@pytest.fixture
def desk(tmp_path: Path, home: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    random = np.random.default_rng(0)
    pictures = random.normal(size=(140, 12)).astype(np.float32)
    np.save(tmp_path / "pictures.npy", pictures)
    np.save(tmp_path / "captions.npy", pictures + 0.2 * random.normal(size=pictures.shape).astype(np.float32))
    np.save(tmp_path / "narrow.npy", pictures[:, :5])
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY and no more")
    np.save(tmp_path / "nan.npy", np.full((20, 12), np.nan))
    (tmp_path / "sts.csv").write_text("5,a cat,the cat\n0,a dog,a house\n2,a cat,a dog\n")
    (tmp_path / "words.csv").write_text("".join(f"{path.name},{path.stem}\n" for path in photos.iterdir()))
    monkeypatch.setenv("SEEMORY_HOME", str(home))
    monkeypatch.setenv("SEEMORY_MODELS__OFFLINE", "true")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["evaluate", *shlex.split(line)])
    printed, said = capfd.readouterr()
    return int(left.value.code or 0), printed, said


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        ("geometry pictures.npy --captions captions.npy --remedy none --remedy centred", {"spaces", "pairs", "notes"}),
        ("similarity sts.csv --encoder seemory-mini --remedy none", {"pairs", "ways", "notes"}),
        ("ann pictures.npy --queries captions.npy --ask 20 --ef 10 --precision halfvec", {"lines", "hubs", "queries"}),
        ("retrieval photos --labels words.csv --encoder seemory-mini", {"zero_shot", "retrieval", "notes"}),
    ],
)
def test_a_document_or_a_table(line: str, keys: set[str], desk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, printed, said = run(f"{line} --json", capfd)
    assert code == 0, said
    document = json.loads(printed)
    assert keys <= set(document)
    if not line.startswith("ann"):  # which was built anew, and has other milliseconds
        code, again, _ = run(f"{line} --html {desk / 'report.html'}", capfd)
        assert code == 0
        assert len(again.splitlines()) > 2
        assert not again.startswith("{")
        page = (desk / "report.html").read_text(encoding="utf-8")
        figures = re.findall(r"(?<=  )-?\d[\d.,]*(?=  |$)", again.splitlines()[-1])
        assert all(f">{figure}<" in page for figure in figures), "the page has the table's figures"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("geometry pickled.npy", "pickled.npy"),
        ("geometry broken.npy", "broken.npy"),
        ("geometry nan.npy", "20 were zero or not finite"),
        ("geometry pictures.npy --captions narrow.npy", "two spaces"),
        ("geometry pictures.npy --captions captions.npy --fit narrow.npy --fit-captions narrow.npy", "another width"),
        ("geometry pictures.npy --by folder --labels words.csv", "not by both"),
        ("geometry pictures.npy --html absent/report.html --remedy none", "cannot be written"),
        ("similarity sts.csv --encoder seemory-mini --html absent/report.html", "cannot be written"),
        ("ann pictures.npy --queries narrow.npy --ask 20", "cannot ask"),
        ("ann pictures.npy --m 2,x", "with commas"),
        ("ann pictures.npy --ef 5", "ef_search"),
        ("ann pickled.npy", "pickled.npy"),
        ("ann pictures.npy --ask 100", "leave too few"),
        ("similarity words.csv --encoder seemory-mini", "its first line has 2"),
        ("similarity sts.csv", "--encoder MODEL"),
        ("retrieval photos", "two labels"),
        ("geometry absent.npy", "absent.npy does not exist"),
        ("geometry pictures.npy --labels absent.csv", "absent.csv cannot be read"),
        ("geometry --texts absent.txt --encoder seemory-mini", "absent.txt cannot be read"),
        ("similarity absent.csv --encoder seemory-mini", "absent.csv cannot be read"),
        ("similarity sts.csv --words absent.txt", "absent.txt does not exist"),
        ("retrieval absent", "absent is no folder"),
        ("retrieval photos --captions absent.json", "absent.json cannot be read"),
        ("retrieval photos --captions sts.csv", "image and caption"),
        ("retrieval photos --labels words.csv --width 9", "--captions"),
    ],
)
def test_wrong_use_is_said_in_a_line(line: str, reason: str, desk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, printed, said = run(line, capfd)
    assert code == 2, said
    assert reason in said
    assert printed == ""
    assert "Traceback" not in said
