"""Controlled changes of a photograph: each is what one of the eight dimensions should follow, and the others not.

Every change takes a photograph, `(H, W, 3)` uint8, and a strength of 0 to 1, and gives one of the same size for all
strengths. What "unrelated" means is said here, settled on the photographs that the constants are fitted on: a dimension
that the change works on by its nature (a crop moves the subject, so the thirds move too) is named as related, with the
reason, and not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import skimage
from numpy.typing import NDArray

from benchmarks.dimension_subjects import one_thing, subject

Photograph = NDArray[np.uint8]

STRENGTHS = (0.0, 0.15, 0.3, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Change:
    """One controlled change."""

    name: str
    what: str
    dimension: str
    rises: bool
    """Whether the dimension's score should rise with the strength, or fall."""
    apply: Callable[[Photograph, float], Photograph]
    related: Mapping[str, str] = field(default_factory=dict)
    """Other dimensions that it must move, and why."""
    only: Callable[[dict[str, float]], bool] = lambda _: True
    """Which pictures it makes sense for, by their figures."""


def blur(photograph: Photograph, strength: float) -> Photograph:
    sigma = 4 * strength * max(photograph.shape) / 384
    return photograph if sigma == 0 else _bytes(cv2.GaussianBlur(photograph, (0, 0), sigma))


def under(photograph: Photograph, strength: float) -> Photograph:
    return _encoded(_linear(photograph) * 2 ** (-4 * strength))


def over(photograph: Photograph, strength: float) -> Photograph:
    return _encoded(_linear(photograph) * 2 ** (2.5 * strength))


def hue_noise(photograph: Photograph, strength: float) -> Photograph:
    """The hue of each small patch is turned by its own angle, up to 120 degrees either way; L* and chroma stay."""
    height, width = photograph.shape[:2]
    patch = max(photograph.shape) // 48
    turns = np.random.default_rng(7).uniform(-1, 1, (height // patch + 1, width // patch + 1)).astype(np.float32)
    angle = np.radians(120) * strength * cv2.resize(turns, (width, height), interpolation=cv2.INTER_CUBIC)
    lab = cv2.cvtColor(photograph.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    a, b = lab[:, :, 1].copy(), lab[:, :, 2].copy()
    lab[:, :, 1] = a * np.cos(angle) - b * np.sin(angle)
    lab[:, :, 2] = a * np.sin(angle) + b * np.cos(angle)
    return _bytes(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255)


def clutter(photograph: Photograph, strength: float) -> Photograph:
    """The relief of a photograph of pebbles is added to everything but the subject."""
    height, width = photograph.shape[:2]
    gravel = cv2.imread(str(Path(skimage.__file__).parent / "data" / "gravel.png"), cv2.IMREAD_GRAYSCALE)
    relief = cv2.resize(gravel, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) - gravel.mean()
    return _bytes(photograph + (0.9 * strength * relief * (1 - subject(photograph)))[:, :, None])


def background_blur(photograph: Photograph, strength: float) -> Photograph:
    """Everything but the subject is blurred."""
    mask = subject(photograph)[:, :, None]
    return _bytes(photograph * mask + blur(photograph, strength).astype(np.float32) * (1 - mask))


def tilt(photograph: Photograph, strength: float) -> Photograph:
    """The picture is turned by up to 15 degrees; the same part of it is kept at all strengths."""
    height, width = photograph.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 15 * strength, 1.0)
    turned = cv2.warpAffine(photograph, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    sine, cosine = np.sin(np.radians(15)), np.cos(np.radians(15))
    keep = min(height, width) / (max(height, width) * sine + min(height, width) * cosine)
    y, x = round(height * (1 - keep) / 2), round(width * (1 - keep) / 2)
    return _bytes(turned[y : height - y, x : width - x])


def off_balance(photograph: Photograph, strength: float) -> Photograph:
    """A window slides off the subject, from having it in its middle until it stands at the window's edge, uncut.

    The subject is one thing (`one_thing`), and the window goes to the side where it can be wider.
    """
    thing = one_thing(photograph)
    if thing is None:
        raise ValueError("there is no subject in one piece with room to slide a window off it")
    height, width = photograph.shape[:2]
    middle, half = (thing.left + thing.right) / 2, (thing.right - thing.left) / 2
    slide = (thing.window / 2 - half) * strength * (1 if thing.to_the_right else -1)
    tall = max(thing.window, min(1.0, 1.15 * (thing.lower - thing.upper)))
    top = min(max((thing.upper + thing.lower) / 2 - tall / 2, 0), 1 - tall)
    rows, columns = round(tall * height), round(thing.window * width)
    y = min(round(top * height), height - rows)
    x = min(max(round((middle - thing.window / 2 + slide) * width), 0), width - columns)
    return photograph[y : y + rows, x : x + columns]


def haze(photograph: Photograph, strength: float, far: NDArray[np.float32] | None = None) -> Photograph:
    """Air between the camera and what is far, taken to be what is higher in the picture (Koschmieder's law)."""
    height, width = photograph.shape[:2]
    far = np.linspace(1, 0, height, dtype=np.float32)[:, None].repeat(width, axis=1) if far is None else far
    kept = np.exp(-1.5 * strength * far)[:, :, None]
    return _encoded(_linear(photograph) * kept + 0.5 * (1 - kept))


def fade(photograph: Photograph, strength: float) -> Photograph:
    """Light, dark and colour are drawn towards the picture's mean grey."""
    return _bytes(photograph + 0.7 * strength * (float(photograph.mean()) - photograph.astype(np.float32)))


def one_subject(figures: dict[str, float]) -> bool:
    """Whether that is one thing with room around it."""
    return bool(figures["one_thing"])


def with_subject(figures: dict[str, float]) -> bool:
    """Whether GrabCut finds something in the picture that is not most of it."""
    return 0.03 <= figures["subject"] <= 0.35


CHANGES = (
    Change("blur", "Gaussian blur, to 4 px of 384", "focus_sharpness", False, blur),
    Change(
        "under-exposure", "to 4 stops less", "lighting", False, under,
        {"emotional_impact": "bold light against dark is part of it, and there is less light"},
        lambda figures: figures["middle_tone"] <= 65,
    ),
    Change(
        "over-exposure", "to 2.5 stops more", "lighting", False, over,
        {"emotional_impact": "as above: the dark goes instead"},
        lambda figures: figures["middle_tone"] >= 40,
    ),
    Change(
        "hue noise", "hues of patches turned, to 120 degrees", "color_harmony", False, hue_noise,
        only=lambda figures: figures["chroma"] >= 6,
    ),
    Change(
        "busy background", "pebbles' relief around the subject", "subject_isolation", False, clutter,
        {"focus_sharpness": "the pebbles are sharp",
         "visual_balance": "they put weight on every place but the subject's"},
        with_subject,
    ),
    Change(
        "background blur", "to 4 px of 384 around the subject", "subject_isolation", True, background_blur,
        {"focus_sharpness": "most of the picture is no longer sharp",
         "depth_perspective": "sharp before soft planes are a cue of depth",
         "composition": "a quiet edge is part of it, and the edge becomes quiet"},
        with_subject,
    ),
    Change("tilt", "to 15 degrees", "composition", False, tilt),
    Change(
        "off-balance crop", "a window slides off the subject", "visual_balance", False, off_balance,
        {"composition": "the subject moves to and past the thirds"},
        one_subject,
    ),
    Change(
        "haze", "air that thickens upwards", "depth_perspective", True, haze,
        {"lighting": "a veil takes the dark tones",
         "color_harmony": "it takes the hues of what is far",
         "emotional_impact": "it takes contrast and colour, as fading does"},
    ),
    Change(
        "fading", "to three tenths of contrast and colour", "emotional_impact", False, fade,
        {"lighting": "fewer tones are used", "color_harmony": "hues become greys"},
    ),
)  # fmt: skip


def _linear(photograph: Photograph) -> NDArray[np.float32]:
    values = photograph.astype(np.float32) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _encoded(linear: NDArray[np.float32]) -> Photograph:
    clipped = linear.clip(0, 1)
    return _bytes(255 * np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * clipped ** (1 / 2.4) - 0.055))


def _bytes(values: NDArray[np.generic]) -> Photograph:
    return np.asarray(np.rint(values).clip(0, 255), dtype=np.uint8)
