"""Scores follow what is done to a photograph, keep still when nothing that matters is done, and are no praise of noise.

These are a few photographs and strengths; benchmarks/dimensions.py measures more, and docs/advisors.md has its table.
"""

from __future__ import annotations

import io
import sys

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.transform import rotate

from seemory.advisors import dimensions
from seemory.advisors.canvas import Canvas
from seemory.advisors.comparison import compare
from seemory.advisors.dimensions import MONOCHROME, TERMS, formulas, measure
from seemory.advisors.figures import figures, look
from seemory.advisors.likeness import Likeness
from seemory.advisors.profile import DIMENSIONS, Profile
from seemory.advisors.scales import SUMS, TENTHS
from seemory.errors import UsageError
from seemory.store.libraries import Reference

Photograph = NDArray[np.uint8]


def scored(photograph: Photograph, dimension: str) -> float:
    return measure(photograph).measured[dimension].score


def bytes_of(values: NDArray[np.floating]) -> Photograph:
    return np.asarray(np.rint(values).clip(0, 255), dtype=np.uint8)


def blurred(photograph: Photograph, strength: float) -> Photograph:
    return np.asarray(cv2.GaussianBlur(photograph, (0, 0), 1e-3 + 5 * strength))


def darkened(photograph: Photograph, strength: float) -> Photograph:
    return bytes_of(255 * (photograph / 255) * 2.0 ** (-2 * strength))


def washed_out(photograph: Photograph, strength: float) -> Photograph:
    return bytes_of(photograph * 2.0 ** (1.6 * strength))


def motley(photograph: Photograph, strength: float) -> Photograph:
    """Small patches of shifted hue."""
    lab = cv2.cvtColor(photograph.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    turns = np.random.default_rng(3).uniform(-2, 2, (30, 40)).astype(np.float32)
    turn = strength * cv2.resize(turns, lab.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    a, b = lab[:, :, 1].copy(), lab[:, :, 2].copy()
    lab[:, :, 1], lab[:, :, 2] = a * np.cos(turn) - b * np.sin(turn), a * np.sin(turn) + b * np.cos(turn)
    return bytes_of(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255)


def tilted(photograph: Photograph, strength: float) -> Photograph:
    turned = bytes_of(rotate(photograph, 12 * strength, mode="reflect", preserve_range=True, order=3))
    height, width = photograph.shape[:2]
    return turned[height // 6 : -height // 6, width // 6 : -width // 6]


def misty(photograph: Photograph, strength: float) -> Photograph:
    kept = np.exp(-1.5 * strength * np.linspace(1, 0, len(photograph)))[:, None, None]
    return bytes_of(photograph * kept + 185 * (1 - kept))


def faded(photograph: Photograph, strength: float) -> Photograph:
    return bytes_of(photograph + 0.7 * strength * (photograph.mean() - photograph))


CHANGES = {
    "focus_sharpness": (blurred, -1, ("cat", "astronaut", "temple", "coffee")),
    "lighting": (darkened, -1, ("cat", "astronaut", "temple", "motorcycle")),
    "color_harmony": (motley, -1, ("cat", "flower", "temple", "coffee")),
    "composition": (tilted, -1, ("rocket", "temple", "motorcycle")),
    "depth_perspective": (misty, 1, ("cat", "temple", "motorcycle", "coffee")),
    "emotional_impact": (faded, -1, ("cat", "flower", "temple", "coffee")),
}


RELATED: dict[str, tuple[str, ...]] = {
    "focus_sharpness": (),
    "lighting": ("emotional_impact",),
    "color_harmony": (),
    "emotional_impact": ("lighting", "color_harmony"),
}
"""What a change must move besides, as benchmarks/dimension_changes.py argues."""


@pytest.mark.parametrize("dimension", CHANGES)
def test_a_dimension_follows_its_own_change_and_the_others_less(
    dimension: str, photographs: dict[str, Photograph]
) -> None:
    change, direction, names = CHANGES[dimension]
    profiles = [[measure(change(photographs[name], s)).scores() for s in (0.0, 0.35, 0.7, 1.0)] for name in names]
    scores = np.array(profiles)  # (pictures, strengths, 8)
    own = direction * scores[:, :, DIMENSIONS.index(dimension)]
    falls = (np.diff(own, axis=1) > 0).mean()
    assert falls >= 0.9, own.round(2)
    assert np.median(own[:, -1] - own[:, 0]) > 1.0
    if dimension not in RELATED:  # four pictures are too few for changes that move what is where
        return
    moved = dict(zip(DIMENSIONS, np.abs((scores[:, -1] - scores[:, 0]).mean(axis=0)), strict=True))
    unrelated = {name: far for name, far in moved.items() if name not in (dimension, *RELATED[dimension])}
    assert max(unrelated.values()) < moved[dimension] / 3, moved


def test_overexposure_costs_light(photographs: dict[str, Photograph]) -> None:
    for name in ("cat", "temple", "motorcycle"):
        scores = [scored(washed_out(photographs[name], s), "lighting") for s in (0, 0.5, 1)]
        assert scores[0] > scores[1] > scores[2], name


def test_a_blurred_background_sets_the_subject_off_and_a_busy_one_does_not(photographs: dict[str, Photograph]) -> None:
    portrait = photographs["astronaut"]
    height, width = portrait.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    mask = (1 / (1 + np.exp(12 * (np.hypot(x, y) - 0.6))))[:, :, None]
    soft = bytes_of(portrait * mask + cv2.GaussianBlur(portrait, (0, 0), 8) * (1 - mask))
    noise = cv2.resize(np.random.default_rng(5).normal(0, 45, (height // 8, width // 8)), (width, height))
    busy = bytes_of(portrait + noise[:, :, None] * (1 - mask))
    assert scored(soft, "subject_isolation") > scored(portrait, "subject_isolation") + 0.5
    assert scored(busy, "subject_isolation") < scored(portrait, "subject_isolation") - 0.5
    all_soft = np.asarray(cv2.GaussianBlur(portrait, (0, 0), 8))
    lost = [scored(portrait, "focus_sharpness") - scored(one, "focus_sharpness") for one in (soft, all_soft)]
    assert lost[0] < lost[1] / 2


def disc(place: float, lab: tuple[float, float, float]) -> Photograph:
    """One disc of that L*a*b* on a middle grey, its middle so far from the left edge, -1, to the right, 1."""
    y, x = np.mgrid[-1:1:300j, -1.5:1.5:450j]
    inside = 1 / (1 + np.exp(40 * (np.hypot(x - 1.5 * place, y) - 0.25)))
    colours = np.array([40.0, 0, 0]) + inside[:, :, None] * (np.array(lab) - [40.0, 0, 0])
    return bytes_of(255 * cv2.cvtColor(colours.astype(np.float32), cv2.COLOR_LAB2RGB))


def test_weight_on_one_side_costs_balance() -> None:
    """One light disc on an even ground, ever further off the middle."""
    scores = [scored(disc(off, (85, 0, 0)), "visual_balance") for off in (0, 0.15, 0.3, 0.5, 0.7)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 8 > 3 > scores[-1]


def test_colour_has_weight_without_being_lighter() -> None:
    red = (40, 45, 30)
    across = [figures(look(Canvas(disc(off, red))), None)["weight_across"] for off in (-0.5, 0, 0.5)]
    assert across == pytest.approx([-0.5, 0, 0.5], abs=0.15)


@pytest.mark.parametrize("name", ["astronaut", "motorcycle", "galaxies", "coffee"])
def test_saving_again_and_halving_change_little(name: str, photographs: dict[str, Photograph]) -> None:
    photograph = photographs[name]
    buffer = io.BytesIO()
    Image.fromarray(photograph).save(buffer, "JPEG", quality=75)
    half = Image.fromarray(photograph).resize((photograph.shape[1] // 2, photograph.shape[0] // 2), Image.LANCZOS)
    for other in (Image.open(buffer), half):
        apart = np.abs(measure(np.asarray(other)).scores() - measure(photograph).scores())
        assert apart.max() < 0.3, apart.round(2)


def test_where_there_is_no_picture_nothing_scores() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    frames = {
        "black": np.zeros_like(noise),
        "white": np.full_like(noise, 255),
        "black with grain": noise // 50,
        "noise": noise,
        "grey noise": np.repeat(noise[:, :, :1], 3, axis=2),
        "small noise": noise[:60, :90],
        "large noise": np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), dtype=np.uint8),
    }
    for name, frame in frames.items():
        profile = measure(frame)
        assert profile.scores().max() < 1, name
        assert all("hardly a picture" in one.comment for one in profile.measured.values()), name


def test_a_monochrome_picture_is_no_clash_of_colours(photographs: dict[str, Photograph]) -> None:
    for name in ("cat", "temple"):
        grey = np.asarray(Image.fromarray(photographs[name]).convert("L").convert("RGB"))
        harmony = measure(grey).measured["color_harmony"]
        assert harmony.score == pytest.approx(MONOCHROME, abs=0.01)
        assert "monochrome" in harmony.comment
        for dimension, one in measure(grey).measured.items():
            spoken = one.comment if dimension != "color_harmony" else ""
            assert "colour" not in spoken.lower(), "nothing is said of colours where there are none"


def test_another_exposure_and_a_fainter_print_have_the_same_form_and_colours(
    photographs: dict[str, Photograph],
) -> None:
    for name in ("cat", "temple", "motorcycle"):
        photograph = photographs[name]
        light = np.where(photograph <= 10, photograph / 255 / 12.92, ((photograph / 255 + 0.055) / 1.055) ** 2.4)
        darker = bytes_of(255 * (1.055 * (light / 4).clip(0.0031308) ** (1 / 2.4) - 0.055))
        for other in (darker, faded(photograph, 0.6)):
            apart = dict(zip(DIMENSIONS, measure(other).scores() - measure(photograph).scores(), strict=True))
            for dimension in ("composition", "focus_sharpness", "subject_isolation", "visual_balance"):
                assert abs(apart[dimension]) < 0.6, (name, dimension, apart[dimension])
        assert scored(darker, "color_harmony") == pytest.approx(scored(photograph, "color_harmony"), abs=0.6)


def test_a_picture_without_colour_is_neither_ahead_nor_behind_in_harmony(photographs: dict[str, Photograph]) -> None:
    grey = np.asarray(Image.fromarray(photographs["cat"]).convert("L").convert("RGB"))
    works = [Likeness(Reference(bytes([n]) * 32, f"/{n}.jpg"), 0.9, 0.9, 3.0, is_same=False) for n in (1, 2)]
    for shown in (("coffee", "temple"), ("flower", "galaxies")):  # higher in harmony, and lower
        found = compare(measure(grey), works, [measure(photographs[name]) for name in shown], limit=2)
        (harmony,) = [one for one in found.standings if one.dimension == "color_harmony"]
        assert harmony.place == "level"
        assert "color_harmony" not in {one.dimension for one in (*found.cases, *found.to_study)}


def test_each_score_comes_with_its_figures_and_a_sentence(photographs: dict[str, Photograph]) -> None:
    profile = measure(photographs["coffee"])
    assert Profile.from_json(profile.to_json()) == profile
    for name, one in profile.measured.items():
        assert {term.figure for term in TERMS[name]} - {"prompts"} <= set(one.evidence)
        assert one.comment.endswith(".")
        assert "raise this" in one.comment
        assert any(character.isdigit() for character in one.comment)


def test_constants_are_those_of_the_figures() -> None:
    """A new figure needs its place among photographs, and each dimension a scale that rises."""
    assert set(TENTHS) == {term.figure for terms in TERMS.values() for term in terms}
    assert tuple(TERMS) == tuple(SUMS) == DIMENSIONS
    for anchors in SUMS.values():
        assert list(anchors) == sorted(set(anchors))
    for low, middle, high in TENTHS.values():
        assert low <= middle <= high
        assert low < high


@pytest.mark.parametrize(
    ("photograph", "says"),
    [
        (np.zeros((40, 60), np.uint8), "make it RGB"),
        (np.zeros((40, 60, 3), np.float32), "make it RGB"),
        (np.zeros((8, 60, 3), np.uint8), "60 x 8 pixels is too small"),
        (np.zeros((20, 600, 3), np.uint8), "too small or too narrow"),
    ],
)
def test_what_is_no_photograph_is_refused(photograph: Photograph, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        measure(photograph)


def test_without_its_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is None in sys.modules cannot be found, just as one that is not installed."""
    monkeypatch.setattr(dimensions, "find_spec", lambda name: None if name == "cv2" else sys.modules[name].__spec__)
    with pytest.raises(UsageError, match=r"needs OpenCV: pip install 'seemory\[advisors\]'"):
        measure(np.zeros((40, 60, 3), np.uint8))


def test_a_score_that_moves_needs_another_number(photographs: dict[str, Photograph]) -> None:
    """Pinned: whoever changes a figure sees it here, raises FORMULAS, and so has stored profiles made again."""
    assert dimensions.FORMULAS == 4
    expected = [4.91, 6.95, 5.32, 6.22, 5.42, 7.99, 5.53, 9.45]
    assert measure(photographs["astronaut"]).scores() == pytest.approx(expected, abs=0.1)


def test_formulas_change_with_the_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    before = formulas()
    monkeypatch.setattr(dimensions, "SUMS", SUMS | {"lighting": (-1.0, -0.5, 0.0, 0.5, 1.0)})
    assert formulas() != before


def test_formulas_tell_with_and_without_prompts_apart() -> None:
    assert formulas() != formulas("abc") != formulas("def")
    assert measure(np.zeros((40, 60, 3), np.uint8)).formulas == formulas()
