from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from alignment.made_features import made_features  # noqa: E402

from seemory.alignment.config import TrainConfig  # noqa: E402
from seemory.alignment.evaluating import evaluate  # noqa: E402
from seemory.alignment.feature_set import FeatureSet  # noqa: E402
from seemory.alignment.plots import density  # noqa: E402
from seemory.alignment.report import page, recall_table  # noqa: E402
from seemory.alignment.training import train  # noqa: E402
from seemory.cli import main  # noqa: E402
from seemory.errors import UsageError  # noqa: E402
from seemory.evaluation.report import as_html  # noqa: E402


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    features = made_features(folder / "features", val=0.1, test=0.3)
    config = TrainConfig.model_validate(
        {
            "features": [features],
            "out": 16,
            "image": {"kind": "attention", "inner": 32, "hidden": 32, "heads": 2},
            "loss": {"widths": [8]},
            "optimiser": {"rate": 5e-3, "steps": 60, "batch": 32, "warm_up": 5},
            "run": {"threads": 1, "checkpoint_every": 0},
        }
    )
    assert train(config, folder / "run").stopped is None
    return folder / "run"


def test_recall_at_every_width_over_the_whole_gallery(run):
    found = evaluate(run, widths=[4, 8], draws=200)
    features = FeatureSet([run.parent / "features"])
    assert found.pictures == len(features.rows("test"))
    assert found.captions == 2 * found.pictures
    assert list(found.widths) == [16, 8, 4]
    words = found.widths[16].text_to_image
    assert (words.queries, words.gallery) == (found.captions, found.pictures)
    assert (found.widths[16].image_to_text.gallery) == found.captions
    assert words.at[5] > 5 * words.chance[5] > 0
    low, high = words.intervals[5]
    assert low < words.at[5] < high
    assert found.widths[4].text_to_image.at[1] < words.at[1]  # it was not trained, and four dimensions are few
    assert found.matched.mean() > found.unmatched.mean() + 0.3
    assert np.trace(found.heat) / len(found.heat) > found.heat.mean() + 0.2


def test_examples_are_the_nearest_and_the_right_one_has_its_rank(run):
    found = evaluate(run, draws=1)
    features = FeatureSet([run.parent / "features"])
    said = {entry.name: {features.captions[n] for n in entry.captions} for entry in features.entries}
    assert len(found.words_to_pictures) == len(found.pictures_to_words) == 3
    for example in found.words_to_pictures:
        cosines = [answer.cosine for answer in example.answers]
        assert cosines == sorted(cosines, reverse=True)
        for place, answer in enumerate(example.answers, start=1):
            assert answer.right == (example.query in said[answer.what])
            assert not answer.right or example.rank == place
    for example in found.pictures_to_words:
        right = [place for place, answer in enumerate(example.answers, start=1) if answer.right]
        assert all(answer.right == (answer.what in said[example.query]) for answer in example.answers)
        assert example.rank == (right[0] if right else example.rank)
        assert right or example.rank > len(example.answers)


def test_the_report_is_one_page_with_everything_in_it(run):
    found = evaluate(run, draws=20)
    html = as_html(page(found))
    for title in ("Recall by width", "Cosines", "Similarity", "The space, by t-SNE", "Words to pictures", "R@10"):
        assert title in html
    assert html.count("<svg") == 4
    assert "<script" not in html
    assert not re.search(r"""(?:src|href)=["']https?:""", html)  # nothing is fetched
    rows = recall_table(found).rows
    assert len(rows) == 4
    assert all(len(row) == len(recall_table(found).heads) for row in rows)


def test_a_density_has_an_area_of_one():
    values = np.random.default_rng(0).normal(0.3, 0.1, 400)
    at = np.linspace(-0.5, 1.1, 800)
    curve = density(values, at)
    assert float(np.trapezoid(curve, at)) == pytest.approx(1, abs=1e-3)
    assert at[curve.argmax()] == pytest.approx(0.3, abs=0.05)


def test_the_command(run, capsys, tmp_path):
    with pytest.raises(SystemExit) as left:
        main(["align", "evaluate", str(run), "--width", "4", "--html", str(tmp_path / "report.html"), "--json"])
    assert left.value.code == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document["widths"]) == ["16", "8", "4"]
    assert (tmp_path / "report.html").stat().st_size > 20_000


def test_what_cannot_be_measured_is_said(run, tmp_path):
    with pytest.raises(UsageError, match="no prefix of 32"):
        evaluate(run, widths=[32])
    with pytest.raises(UsageError, match="no trained head"):
        evaluate(tmp_path)
    few = made_features(tmp_path / "few", count=40, test=0.0)
    with pytest.raises(UsageError, match="0 pictures in the split 'test'"):
        evaluate(run, [few])
    index = few / "features.json"
    document = json.loads(index.read_text())
    document["pictures"]["fingerprint"] = "another"
    index.write_text(json.dumps(document))
    with pytest.raises(UsageError, match="another network or layer than the head"):
        evaluate(run, [few], split="train")


def test_the_notebook_is_run_and_has_what_it_drew(run, tmp_path):
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    import nbformat

    path = Path(__file__).parents[2] / "scripts" / "create_alignment_eval_notebook.py"
    spec = importlib.util.spec_from_file_location("create_alignment_eval_notebook", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.main([str(run), str(tmp_path / "report.ipynb")]) == 0
    book = nbformat.read(tmp_path / "report.ipynb", as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    shown = [output for cell in code for output in cell.outputs]
    assert sum("image/svg+xml" in output.get("data", {}) for output in shown) == 4
    assert any("R@10" in output.get("data", {}).get("text/html", "") for output in shown)
