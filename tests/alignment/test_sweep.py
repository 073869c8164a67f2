from __future__ import annotations

import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from alignment.made_features import made_features  # noqa: E402

from seemory.alignment.sweep import interval, read_sweep, run_sweep  # noqa: E402
from seemory.cli import main  # noqa: E402
from seemory.errors import UsageError  # noqa: E402

SWEEP = """
rates = [2e-4, 5e-3]
warm_ups = [5, 0]
latent_inits = ["randn", "small"]
seeds = 2

[base]
features = ["features"]
out = 16
loss = { widths = [8] }
optimiser = { steps = 12, batch = 32 }
run = { threads = 1, checkpoint_every = 0, log_every = 4 }

[heads.mlp]
kind = "attention"
inner = 16
heads = 2
as_large_as = "perceiver"

[heads.perceiver]
kind = "perceiver"
inner = 16
hidden = 24
heads = 2
latents = 3
layers = 1

[heads.ridge]
kind = "ridge"
input = "pooled"
front = "none"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    made_features(folder / "features", count=120, test=0.3)
    (folder / "sweep.toml").write_text(SWEEP)
    return folder


def test_the_grid_is_whole_and_fair(place):
    _, runs = read_sweep(place / "sweep.toml")
    names = [cell.name for cell, _ in runs]
    assert len(names) == 2 * (4 + 8 + 1)
    assert len(set(names)) == 13
    assert names[:13] == names[13:]  # a whole round of the first seed comes first
    assert {config.run.seed for _, config in runs[:13]} == {0}
    assert "perceiver-randn-0.005-warm0" in names
    chosen = dict(zip(names, (config for _, config in runs), strict=False))
    perceiver = chosen["perceiver-small-0.0002-warm5"]
    assert (perceiver.image.latent_init, perceiver.optimiser.rate, perceiver.optimiser.warm_up) == ("small", 2e-4, 5)
    assert {(c.optimiser.batch, c.features, c.loss) for _, c in runs} == {(32, perceiver.features, perceiver.loss)}


def test_results_are_measured_kept_and_shown(place, capsys):
    few = SWEEP.replace("[5, 0]", "[0]").replace('["randn", "small"]', '["small"]').replace("steps = 12", "steps = 8")
    (place / "few.toml").write_text(few)
    with pytest.raises(SystemExit) as left:
        main(["align", "sweep", str(place / "few.toml"), "--html", str(place / "few.html"), "--json"])
    assert left.value.code == 0
    document = json.loads(capsys.readouterr().out)
    cells = {cell["name"]: cell for cell in document["cells"]}
    assert len(cells) == 5
    assert document["ln_batch"] == pytest.approx(math.log(32))
    sizes = {name: cell["parameters"] for name, cell in cells.items()}
    assert sizes["mlp-0.005-warm0"] == pytest.approx(sizes["perceiver-small-0.005-warm0"], rel=0.02)
    assert all(len(cell["recall"]["16"]["text_to_image_r1"]) == 2 for cell in cells.values())
    assert set(cells["mlp-0.005-warm0"]["recall"]) == {"16", "8"}
    assert cells["ridge-0.0002-warm0"]["loss"] == [None, None]
    fast, slow = (np.mean(cells[f"mlp-{rate}-warm0"]["loss"]) for rate in ("0.005", "0.0002"))
    assert fast < slow
    page = (place / "few.html").read_text()
    assert page.count("<svg") == 3  # all cells; the courses of two heads that are trained
    assert "perceiver-small-0.0002-warm0" in page

    before = {path: path.stat().st_mtime_ns for path in place.rglob("head.safetensors")}
    with pytest.raises(SystemExit) as left:
        main(["align", "sweep", str(place / "few.toml")])
    assert left.value.code == 0
    assert "mlp-0.005-warm0" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in place.rglob("head.safetensors")} == before


def test_a_cell_that_collapses_is_counted_and_the_sweep_goes_on(tmp_path):
    made_features(tmp_path / "features", count=120, same=True, test=0.3)
    few = SWEEP.replace("seeds = 2", "seeds = 1").partition("[heads.ridge]")[0]
    few = few.replace("[2e-4, 5e-3]", "[5e-3]").replace("[5, 0]", "[0]").replace('["randn", "small"]', '["small"]')
    few += "[base.collapse]\nafter = 4\npatience = 3\n"
    (tmp_path / "sweep.toml").write_text(few)
    results = run_sweep(tmp_path / "sweep.toml", tmp_path / "out")
    assert [len(one.stopped) for one in results] == [1, 1]
    assert all("collapsed" in one.stopped[0] for one in results)
    assert all(one.recall[16]["text_to_image_r1"] == (0.0,) for one in results)


def test_intervals_of_few_seeds_are_student_s():
    from scipy.stats import t

    values = [3.0, 4.0, 8.0]
    mean, half = interval(values)
    assert mean == 5
    assert half == pytest.approx(t.ppf(0.975, 2) * np.std(values, ddof=1) / math.sqrt(3), rel=1e-3)
    assert math.isnan(interval([1.0])[1])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("seeds = 2", "seeds = 0"), "seeds"),
        (("[heads.mlp]", "[heads.mlp]\nnonsense = 1"), r"heads\.mlp\.nonsense"),
        (('as_large_as = "perceiver"', 'as_large_as = "nobody"'), "as large as 'nobody'"),
        (('"small"]', '"tiny"]'), "latent_inits"),
        (("out = 16", "out = 4"), "go beyond out"),
        (('["features"]', '["elsewhere"]'), "elsewhere"),
    ],
)
def test_a_wrong_comparison_is_refused_by_name(place, change, says):
    path = place / "wrong.toml"
    path.write_text(SWEEP.replace(*change))
    with pytest.raises(UsageError, match=says):
        read_sweep(path)
