from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from itertools import pairwise

import pytest

torch = pytest.importorskip("torch")

from alignment.made_features import made_features  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from seemory.alignment.aligner import captions_of, embedded, load_aligner  # noqa: E402
from seemory.alignment.checkpoint import CHECKPOINT  # noqa: E402
from seemory.alignment.config import TrainConfig, read_config  # noqa: E402
from seemory.alignment.feature_set import FeatureSet  # noqa: E402
from seemory.alignment.training import HEAD, batch_of, rate_at, train  # noqa: E402
from seemory.errors import UsageError  # noqa: E402
from seemory.evaluation.recall import both_ways  # noqa: E402

PERCEIVER = {"kind": "perceiver", "inner": 32, "hidden": 32, "heads": 2, "latents": 4, "layers": 1, "dropout": 0.1}
ATTENTION = {"kind": "attention", "inner": 32, "hidden": 32, "heads": 2, "dropout": 0.1}


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return made_features(tmp_path_factory.mktemp("made") / "features")


def config(features, **given) -> TrainConfig:
    document = {
        "features": [str(features)],
        "out": 16,
        "image": ATTENTION,
        "loss": {"widths": [8]},
        "optimiser": {"rate": 5e-3, "steps": 60, "batch": 32, "warm_up": 5},
        "run": {"threads": 1, "log_every": 5, "checkpoint_every": 0},
    }
    for part, values in given.items():
        document[part] = {**document[part], **values} if isinstance(document.get(part), dict) else values
    return TrainConfig.model_validate(document)


@pytest.mark.parametrize(
    ("image", "more"),
    [
        (ATTENTION, {}),
        (PERCEIVER, {"text": {"kind": "attention", "input": "tokens", "inner": 32, "hidden": 32, "heads": 2}}),
        (
            {"kind": "scores", "hidden": 32},
            {"loss": {"kind": "sigmoid", "temperature": 0.1, "matryoshka": "one", "widths": [8]}},
        ),
    ],
)
def test_a_head_learns_and_is_the_same_when_it_is_read_again(features, tmp_path, image, more):
    told = config(features, image=image, **more)
    outcome = train(told, tmp_path)
    assert outcome.stopped is None
    assert outcome.steps == 60
    assert outcome.ln_batch == pytest.approx(math.log(32))
    assert outcome.variance > 0.5
    assert outcome.validation["val_text_to_image_r5"] > 70  # 20 by chance
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert all(line["ln_batch"] == pytest.approx(math.log(32)) for line in lines if "loss" in line)
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0] / 2

    aligner, pictures, texts = load_aligner(tmp_path / HEAD)
    assert (pictures["encoder"], texts["fingerprint"]) == ("made", "made")
    found = FeatureSet([features])
    rows = found.rows("val")
    captions, owner = captions_of(found, rows)
    seen, said = embedded(aligner, found, rows, captions)
    again = both_ways(seen, said, owner.tolist(), draws=1)
    assert 100 * again.text_to_image.at[1] == pytest.approx(outcome.validation["val_text_to_image_r1"])


def test_ridge_is_computed_and_beats_chance(features, tmp_path):
    told = config(features, out=16, image={"kind": "ridge", "input": "pooled", "front": "none", "strength": 1.0})
    outcome = train(told, tmp_path)
    assert outcome.loss is None
    assert outcome.validation["val_text_to_image_r5"] > 50
    with pytest.raises(UsageError, match="out must be 16"):
        train(config(features, out=8, loss={"widths": []}, image={"kind": "ridge", "input": "pooled"}), tmp_path)


def test_a_killed_run_ends_with_the_same_bits(features, tmp_path):
    told = config(features, image=PERCEIVER, run={"checkpoint_every": 10}, optimiser={"chunk": 16, "steps": 40})
    path = tmp_path / "run.toml"
    path.write_text(
        f"""features = ["{features}"]
out = 16
image = {{ kind = "perceiver", inner = 32, hidden = 32, heads = 2, latents = 4, layers = 1, dropout = 0.1 }}
loss = {{ widths = [8] }}
optimiser = {{ rate = 5e-3, steps = 40, batch = 32, warm_up = 5, chunk = 16 }}
run = {{ threads = 1, log_every = 5, checkpoint_every = 10 }}
"""
    )
    assert read_config(path) == told
    killed = tmp_path / "killed"
    # A checkpoint is renamed into place; it kills itself right after the second.
    program = f"""
import os, signal
import seemory.alignment.training as training
from seemory.alignment.config import read_config
from pathlib import Path
save, times = training.save_checkpoint, []
def saved(*arguments):
    save(*arguments)
    times.append(1)
    if len(times) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
training.save_checkpoint = saved
training.train(read_config(Path({str(path)!r})), Path({str(killed)!r}))
"""
    run = subprocess.run([sys.executable, "-c", program], check=False, timeout=120)
    assert run.returncode == -signal.SIGKILL
    assert (killed / CHECKPOINT).is_file()
    assert not (killed / HEAD).is_file()
    gone_on = train(told, killed)
    whole = train(told, tmp_path / "whole")
    assert gone_on.loss == whole.loss
    one, other = load_file(killed / HEAD), load_file(tmp_path / "whole" / HEAD)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    logs = [
        [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        for run in (killed, tmp_path / "whole")
    ]
    assert logs[0] == logs[1]


def test_a_stopped_run_goes_on_and_another_configuration_does_not(features, tmp_path):
    told = config(features, run={"checkpoint_every": 50})
    assert train(told, tmp_path, stop_after=7).stopped is not None
    assert not (tmp_path / HEAD).exists()
    with pytest.raises(UsageError, match="another configuration"):
        train(config(features, run={"checkpoint_every": 50, "seed": 3}), tmp_path)
    assert train(told, tmp_path).steps == 60
    again = time.perf_counter()
    assert train(told, tmp_path).steps == 60  # nothing is left to do
    assert time.perf_counter() - again < 5


def test_collapse_is_seen_by_the_variance_and_said_plainly(tmp_path):
    same = made_features(tmp_path / "features", same=True)
    told = config(same, image=PERCEIVER | {"dropout": 0}, collapse={"after": 10, "patience": 5})
    outcome = train(told, tmp_path / "run")
    assert outcome.stopped is not None
    assert "collapsed" in outcome.stopped
    assert "ln(batch) 3.466" in outcome.stopped
    assert outcome.steps == 10
    assert outcome.loss == pytest.approx(math.log(32), abs=1e-3)
    assert outcome.variance < 1e-3
    assert not (tmp_path / "run" / HEAD).exists()


def test_a_loss_that_is_no_number_ends_the_run(features, tmp_path):
    outcome = train(config(features, optimiser={"rate": 1e30, "warm_up": 0, "clip": 1e30}), tmp_path)
    assert outcome.stopped is not None
    assert "no longer a number" in outcome.stopped


def test_bfloat16_and_tensorboard(features, tmp_path):
    pytest.importorskip("tensorboard")
    told = config(features, run={"bf16": True, "tensorboard": True, "validate_every": 30})
    outcome = train(told, tmp_path)
    assert outcome.validation["val_text_to_image_r5"] > 40
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"loss", "ln_batch", "variance", "val_text_to_image_r1"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss")][-1] == 60


def test_an_epoch_has_every_picture_once(features):
    found = FeatureSet([features])
    rows = found.rows("train")
    steps = len(rows) // 16
    seen = [row for step in range(steps) for row in batch_of(found, rows, 16, step, 0)[0]]
    assert len(set(seen)) == len(seen) == 16 * steps
    pictures, captions, drawn = batch_of(found, rows, 16, 2, 0)
    assert all(said in found.entries[row].captions for row, said in zip(pictures, captions, strict=True))
    assert 0 <= drawn < 1
    again = batch_of(found, rows, 16, 2, 0)
    assert (again[0] == pictures).all()
    assert (again[1] == captions).all()
    assert (batch_of(found, rows, 16, 2, 1)[0] != pictures).any()


def test_the_rate_rises_and_falls():
    plan = config("x").optimiser
    rates = [rate_at(step, plan) for step in range(60)]
    assert rates[0] == pytest.approx(1e-3)
    assert max(rates) == rates[4] == rates[5] == pytest.approx(5e-3)
    assert all(later <= earlier for earlier, later in pairwise(rates[5:]))
    assert rates[-1] < 1e-4


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"nonsense": 1}, "nonsense"),
        ({"image": {"kind": "perceiver", "inner": 30, "heads": 4}}, "multiple of heads"),
        ({"loss": {"widths": [32]}}, "go beyond out"),
        ({"optimiser": {"chunk": 10}}, "multiple of optimiser.chunk"),
        ({"text": {"kind": "ridge"}}, "ridge regression is the picture's side"),
        ({"run": {"device": "tpu"}}, "run.device"),
        ({"optimiser": {"rate": math.inf}}, "optimiser.rate"),
        ({"features": []}, "features"),
    ],
)
def test_a_wrong_configuration_is_refused_by_name(tmp_path, given, says):
    document = {"features": ["a"], "out": 16} | given
    lines = [f"{name} = {_toml(value)}" for name, value in document.items()]
    (tmp_path / "wrong.toml").write_text("\n".join(lines))
    with pytest.raises(UsageError, match=says) as refused:
        read_config(tmp_path / "wrong.toml")
    assert "wrong.toml" in str(refused.value)


def test_features_that_are_too_few_or_not_there_are_said(features, tmp_path):
    with pytest.raises(UsageError, match=r"fewer than optimiser\.batch"):
        train(config(features, optimiser={"batch": 4096}), tmp_path)
    with pytest.raises(UsageError, match=r"features\.json"):
        train(config(tmp_path / "absent"), tmp_path)
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA device"):
            train(config(features, run={"device": "cuda"}), tmp_path)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(one)}" for name, one in value.items()) + "}"
    return "inf" if value == math.inf else json.dumps(value)
