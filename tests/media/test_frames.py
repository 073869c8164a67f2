"""Which frames stand for a scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_films import still
from PIL import Image, ImageFilter

from seemory.media.frames import Candidate, Picker, Quality, Stretch, choose, measure

NOTHING = np.zeros((2, 2, 3), np.uint8)


def candidate(index: int, brightness: float = 120.0, sharpness: float = 500.0, rate: float = 4.0) -> Candidate:
    return Candidate(index, index / rate, Quality(brightness, sharpness), NOTHING)


def stretch(first: int, end: int, rate: float = 4.0) -> Stretch:
    return Stretch(first, end, first / rate, end / rate)


def test_the_score_is_the_one_that_is_documented() -> None:
    assert Quality(127.5, 1000).score == pytest.approx(1.0)
    assert Quality(127.5, 5000).score == pytest.approx(1.0)
    assert Quality(0, 0).score == 0.0
    assert Quality(63.75, 500).score == pytest.approx(0.4 * 0.5 + 0.6 * 0.5)


def test_what_is_refused_and_why() -> None:
    assert Quality(15, 50).refusal is None
    assert "too dark" in (Quality(14.9, 500).refusal or "")
    assert "blurred" in (Quality(120, 49.9).refusal or "")


def test_a_real_photograph_passes_and_its_blurred_and_dark_copies_do_not(package_photographs: dict[str, Path]) -> None:
    sharp = still(package_photographs["coffee"], (640, 480))
    blurred = np.asarray(Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(8)))
    dark = (sharp * 0.08).astype(np.uint8)
    assert measure(sharp).refusal is None
    assert "blurred" in (measure(blurred).refusal or "")
    assert "dark" in (measure(dark).refusal or "")


def test_the_same_picture_measures_alike_in_any_size_above_480(package_photographs: dict[str, Path]) -> None:
    large = Image.open(package_photographs["rocket"]).convert("RGB").resize((1920, 1280), Image.Resampling.LANCZOS)
    sizes = ((1920, 1280), (1440, 960), (720, 480))
    figures = [measure(np.asarray(large.resize(size, Image.Resampling.LANCZOS))) for size in sizes]
    sharpness = [one.sharpness for one in figures]
    assert max(sharpness) < 1.5 * min(sharpness), "as they come, the largest of them has a tenth of the smallest's"
    assert max(one.brightness for one in figures) - min(one.brightness for one in figures) < 0.5


@pytest.mark.parametrize(("seconds", "frames"), [(0.3, 1), (1, 1), (3.9, 1), (4, 2), (5.9, 2), (6, 3), (600, 3)])
def test_how_many_frames_stand_for_a_scene(seconds: float, frames: int) -> None:
    assert Stretch(0, 10, 5.0, 5.0 + seconds).wanted == frames


def test_one_from_each_part_never_the_last_frame() -> None:
    found = choose([candidate(n, sharpness=100 + n) for n in range(48)], stretch(0, 48))
    assert len(found) == 3
    for part, one in enumerate(found):
        assert part * 16 <= one.index < (part + 1) * 16
    only_last = choose([candidate(46, sharpness=60), candidate(47, sharpness=900)], stretch(40, 48))
    assert [one.index for one in only_last] == [46]


def test_the_last_frame_where_there_is_no_other() -> None:
    assert [one.index for one in choose([candidate(7)], stretch(7, 8))] == [7]


def test_blank_frames_and_those_of_a_fade_are_avoided() -> None:
    # sharp, but on their way out of black
    fade = [candidate(n, brightness=20 + 6 * n, sharpness=2000) for n in range(8)]
    lit = [candidate(n, brightness=120, sharpness=150) for n in range(8, 24)]
    blank = [candidate(n, brightness=120, sharpness=0) for n in range(24, 32)]
    found = choose(fade + lit + blank, stretch(0, 33))
    assert found
    assert all(8 <= one.index < 24 for one in found)


def test_a_scene_of_refused_frames_has_its_best_with_the_reason() -> None:
    found = choose([candidate(n, sharpness=n) for n in range(20)], stretch(0, 24))
    assert len(found) == 1
    assert "all refused" in (found[0].note or "")
    assert "blurred" in (found[0].note or "")
    assert all(one.note is None for one in choose([candidate(n) for n in range(20)], stretch(0, 24)))


def test_no_candidates_no_frames() -> None:
    assert choose([], stretch(0, 10)) == []


@given(st.lists(st.floats(0, 255), min_size=1, max_size=400), st.integers(1, 400))
def test_whatever_comes_the_picker_holds_few_and_gives_what_lies_inside(light: list[float], cut: int) -> None:
    picker = Picker()
    for n, brightness in enumerate(light):
        picker.offer(candidate(n, brightness=brightness))
        assert len(picker._held) <= 12 + 1 + 9
    cut = min(cut, len(light))
    behind = picker.has(cut)
    found = picker.close(stretch(0, cut))
    assert all(one.index < cut for one in found)
    assert len(found) <= 3
    assert picker.has(cut) == behind, "what comes after the cut stays for the next scene"


def test_a_cut_that_is_told_of_late_finds_the_frames_before_and_after() -> None:
    picker = Picker()
    for n in range(1000):  # four minutes of one scene, and the last second is of another
        picker.offer(candidate(n))
    assert picker.close(stretch(0, 996))
    assert [one.index for one in picker.close(stretch(996, 1000))] == [998] or picker.has(0) is False
