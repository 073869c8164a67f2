"""Cuts: the hand-checked ones of real clips, and made films whose cuts are known to the frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_films import moving, still, write_film

from seemory.media.scenes import CutFinder, Detector
from seemory.media.video import open_film

# Frames that begin a scene, looked at by eye.
CHECKED = {
    "big_buck_bunny_30s.mp4": [285, 378, 553],
    "bikes.mp4": [30, 76, 137, 187, 242],
}
FADES = [84, 167]  # where a threshold detector lays the middle of the black


def cuts(path: Path, detector: Detector, **options: float) -> tuple[CutFinder, list[int]]:
    with open_film(path) as film:
        views, finder = film.views(480), CutFinder(detector, film.rate, **options)
        for frame in film.frames():
            finder.see(frame.time_s, views.small(frame.image))
        finder.end()
    return finder, finder.cuts[finder.best()]


@pytest.mark.parametrize("detector", ["adaptive", "content", "best"])
@pytest.mark.parametrize("name", CHECKED)
def test_the_hand_checked_cuts_and_no_others(shared: Path, name: str, detector: Detector) -> None:
    _, found = cuts(shared / "video" / name, detector)
    assert found == pytest.approx(CHECKED[name], abs=1)


def test_fades_are_cut_in_the_middle_of_the_black(shared: Path) -> None:
    _, found = cuts(shared / "video" / "fades.mp4", "threshold")
    assert found == pytest.approx(FADES, abs=1)


def test_best_is_the_one_with_most_scenes(shared: Path) -> None:
    finder, found = cuts(shared / "video" / "fades.mp4", "best")
    assert set(finder.cuts) == {"adaptive", "content", "threshold"}
    assert len(found) == max(map(len, finder.cuts.values()))
    assert finder.best() == "threshold"
    assert finder.cuts["adaptive"] == [], "grey that fades has no colour that jumps"


@pytest.fixture
def stills(package_photographs: dict[str, Path]) -> list[np.ndarray]:
    return [still(package_photographs[name]) for name in ("coffee", "rocket", "cat", "astronaut")]


def test_one_scene_where_nothing_is_cut(tmp_path: Path, stills: list[np.ndarray]) -> None:
    for detector in ("adaptive", "content", "threshold", "best"):
        assert cuts(write_film(tmp_path / "pan.mp4", moving(stills[0], 60)), detector)[1] == []


def test_the_shortest_scene_is_one_in_seconds(tmp_path: Path, stills: list[np.ndarray]) -> None:
    frames = [frame for picture in stills for frame in moving(picture, 10)]  # a cut every 0.4 s
    path = write_film(tmp_path / "quick.mp4", frames)
    assert cuts(path, "adaptive", shortest_s=0.3)[1] == [10, 20, 30]
    assert cuts(path, "adaptive", shortest_s=0.7)[1] == [20]
    assert cuts(path, "adaptive")[1] == [30], "the shortest scene is a second long"


def test_seconds_and_not_frames_count_where_the_rate_is_uneven(tmp_path: Path, stills: list[np.ndarray]) -> None:
    # Four scenes of ten frames: half of them shown within 0.2 s, half for 5 s each.
    times = [0.02 * n for n in range(10)] + [0.2 + 0.5 * n for n in range(10)]
    times += [5.2 + 0.02 * n for n in range(10)] + [5.4 + 0.5 * n for n in range(10)]
    frames = [frame for picture in stills for frame in moving(picture, 10)]
    finder, found = cuts(write_film(tmp_path / "uneven.mp4", frames, times=times), "adaptive")
    assert found == [20], "the first cut is 0.2 s after the beginning, the last one 0.2 s after its predecessor"
    assert finder.time_of(20) == pytest.approx(5.2, abs=1e-3)


def test_a_turned_film_is_cut_at_the_same_frames(tmp_path: Path, stills: list[np.ndarray]) -> None:
    frames = [frame for picture in stills for frame in moving(picture, 30)]
    for rotation in (None, 90):
        assert cuts(write_film(tmp_path / "film.mp4", frames, rotation=rotation), "best")[1] == [30, 60, 90]
