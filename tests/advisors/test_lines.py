"""The tilt that was given is the tilt that is found, and lines that meet are found to meet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image, ImageDraw

from seemory.advisors.canvas import Canvas
from seemory.advisors.lines import level, meeting, strokes
from seemory.advisors.saliency import attention
from seemory.advisors.sharpness import sharpness


@pytest.mark.parametrize("degrees", [-8, -3, 2, 6, 12])
def test_a_turned_wall_is_found_turned(degrees: float) -> None:
    """A wall of bricks has level and upright lines, more or less."""
    wall = Image.open(Path(skimage.__file__).parent / "data" / "brick.png").convert("RGB")

    def tilt(turn: float) -> float:
        middle = wall.rotate(-turn, Image.Resampling.BICUBIC).crop((90, 90, 422, 422))
        return level(strokes(Canvas(np.asarray(middle)))).tilt

    assert tilt(degrees) - tilt(0) == pytest.approx(degrees, abs=1 + abs(degrees) / 5)


@pytest.mark.parametrize("at", [(0.0, -0.2), (0.5, 0.3)])
def test_receding_lines_meet_where_they_were_drawn_to(at: tuple[float, float]) -> None:
    image = Image.new("RGB", (480, 320), (200, 200, 200))
    point = ((at[0] + 1) * 240, (at[1] + 1) * 160)
    for x in range(-480, 961, 90):
        ImageDraw.Draw(image).line([(x, 320), point], fill=(30, 30, 30), width=3)
        ImageDraw.Draw(image).line([(x, 0), point], fill=(30, 30, 30), width=3)
    canvas = Canvas(np.asarray(image))
    met = meeting(canvas, strokes(canvas), attention(canvas, sharpness(canvas)))
    assert np.hypot(met.across - at[0], met.down - at[1]) < 0.2
    assert met.share > 0.15
