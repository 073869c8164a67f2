"""Overlays show what was measured, where it was measured."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from seemory.advisors.canvas import Canvas
from seemory.advisors.overlays import overlays, straight_lines


def test_four_pictures_of_the_evidence(photographs: dict[str, NDArray[np.uint8]]) -> None:
    drawn = overlays(photographs["temple"])
    assert list(drawn) == ["sharpness", "saliency", "thirds", "hues"]
    assert {name: (image.mode, image.size) for name, image in drawn.items()} == {
        "sharpness": ("RGB", (768, 512)),
        "saliency": ("RGB", (768, 512)),
        "thirds": ("RGB", (768, 512)),
        "hues": ("RGB", (384, 384)),
    }


def test_the_sharp_half_is_the_bright_half(photographs: dict[str, NDArray[np.uint8]]) -> None:
    grass = photographs["temple"].copy()
    width = grass.shape[1]
    grass[:, : width // 2] = cv2.GaussianBlur(grass[:, : width // 2], (0, 0), 6)
    left, right = np.split(np.asarray(overlays(grass)["sharpness"], dtype=float), [384], axis=1)
    assert right.mean() > 1.2 * left.mean()


def test_a_monochrome_picture_has_no_rays_and_no_template(photographs: dict[str, NDArray[np.uint8]]) -> None:
    colour = photographs["temple"]
    grey = np.repeat(colour.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    dark = [(np.asarray(overlays(one)["hues"]).max(axis=2) < 60).sum() for one in (colour, grey)]
    rays = [(np.asarray(overlays(one)["hues"])[60:150, 150:234].min(axis=2) < 240).sum() for one in (colour, grey)]
    assert dark[0] > 300
    assert dark[1] == 0
    assert rays[0] > 300
    assert rays[1] == 0


def test_the_longest_lines_are_found() -> None:
    picture = np.full((256, 384, 3), 220, np.uint8)
    cv2.line(picture, (40, 60), (340, 60), (20, 20, 20), 3)
    found = straight_lines(Canvas(picture))
    assert len(found)
    assert np.allclose(found[:, [1, 3]], 60, atol=4)
    assert not len(straight_lines(Canvas(np.full((256, 384, 3), 220, np.uint8))))
