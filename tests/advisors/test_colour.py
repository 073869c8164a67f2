"""Hues that go together are told from hues that do not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from seemory.advisors.canvas import Canvas
from seemory.advisors.colour import Colours, colours


def of_hues(*degrees: float) -> Colours:
    """Stripes of those hues, all of L* 60 and chroma 30."""
    angles = np.repeat(np.radians(degrees), 240 // len(degrees)).astype(np.float32)
    lab = np.stack([np.full_like(angles, 60), 30 * np.cos(angles), 30 * np.sin(angles)], axis=-1)
    rgb = cv2.cvtColor(np.repeat(lab[None], 200, axis=0), cv2.COLOR_LAB2RGB)
    return colours(Canvas(np.rint(rgb.clip(0, 1) * 255).astype(np.uint8)))


def test_one_hue_two_opposite_and_neighbours_are_nearer_to_harmony_than_all() -> None:
    everything = of_hues(*range(0, 360, 30)).distance
    for hues in ((40,), (40, 220), (40, 60, 80, 100)):
        assert of_hues(*hues).distance < everything / 2, hues


@pytest.mark.parametrize(("hues", "template"), [((42,), "i"), ((42, 222), "I"), ((20, 40, 60, 80, 230), "Y")])
def test_the_template_is_the_one_that_was_drawn(hues: tuple[float, ...], template: str) -> None:
    assert of_hues(*hues).template == template


def test_turning_all_hues_together_changes_nothing() -> None:
    distances: NDArray[np.float64] = np.array([of_hues(10 + t, 30 + t, 200 + t).distance for t in range(0, 360, 60)])
    assert np.ptp(distances) < 1.0  # the borders of stripes blend to differing hues


def test_a_grey_picture_has_no_hue() -> None:
    grey = colours(Canvas(np.full((60, 80, 3), 128, np.uint8)))
    assert grey.chroma < 0.5
    assert np.isfinite([grey.distance, grey.quiet, grey.variety]).all()
