"""Prompt pairs lean the way the pictures do, by any encoder, and never by two at once."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from seemory.advisors.dimensions import formulas, measure
from seemory.advisors.prompts import PAIRS, PromptPairs
from seemory.errors import UsageError
from seemory.models.encoder import Encoder
from seemory.models.loading import load_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder("seemory-mini", home=tmp_path_factory.mktemp("models"), offline=True)


def test_emotional_impact_rests_on_the_prompts_too(encoder: Encoder, photographs: dict[str, NDArray[np.uint8]]) -> None:
    vector = encoder.embed_images([Image.fromarray(photographs["astronaut"])])[0]
    said = PromptPairs(encoder).evidence(vector)
    assert set(said.shares) == set(PAIRS)
    assert all(0 < share < 1 for share in said.shares.values())
    asked, alone = measure(photographs["astronaut"], said), measure(photographs["astronaut"])
    differing = [name for name in asked.measured if asked.measured[name] != alone.measured[name]]
    assert differing == ["emotional_impact"]
    evidence = asked.measured["emotional_impact"].evidence
    assert evidence["prompts"] == pytest.approx(np.mean(list(said.shares.values())))
    assert {f"prompt_{name}" for name in PAIRS} <= set(evidence)
    assert asked.formulas == formulas(encoder.fingerprint) != alone.formulas


def test_vectors_of_another_encoder_are_refused(encoder: Encoder) -> None:
    with pytest.raises(UsageError, match="take both from one encoder"):
        PromptPairs(encoder).evidence(np.ones(7, np.float32))


def test_pictures_of_people_laughing_lean_towards_it(encoder: Encoder, shared: Path) -> None:
    """On photographs that the encoder was not trained on, by what five people wrote under each."""
    folder = shared / "flickr8k_600"
    captions: dict[str, str] = {}
    with next(folder.rglob("captions.csv")).open(encoding="utf-8", newline="") as lines:
        for row in csv.reader(lines):
            captions[row[0]] = captions.get(row[0], "") + " " + " ".join(row[1:])
    kept = sorted(path.name for path in folder.rglob("*.jpg"))[::4]
    places = {path.name: path for path in folder.rglob("*.jpg")}
    stirring = np.array(
        [bool(re.search(r"smil|laugh|crowd|celebrat|cheer", captions.get(n, "").lower())) for n in kept]
    )
    assert 5 < stirring.sum() < len(kept) / 2
    pairs = PromptPairs(encoder)
    images = [Image.open(places[name]).convert("RGB") for name in kept]
    shares = np.array([pairs.evidence(v).shares["together"] for v in encoder.embed_images(images)])
    ranks = shares.argsort().argsort()
    above = (ranks[stirring].sum() - stirring.sum() * (stirring.sum() - 1) / 2) / (stirring.sum() * (~stirring).sum())
    assert above > 0.7, f"a stirring picture leads another in {above:.0%} of all pairs"
