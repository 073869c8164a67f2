from __future__ import annotations

import numpy as np

from seemory.alignment.scenes import COLOURS, SIDE, Group, Scene, captions, drawn, scene, write_scenes
from seemory.media.captioned import read_captions


def test_the_same_seed_draws_the_same_and_goes_on_where_it_stopped(tmp_path):
    assert write_scenes(tmp_path / "few", 6) == 6
    assert write_scenes(tmp_path / "few", 9) == 3
    assert write_scenes(tmp_path / "whole", 9) == 9
    for path in (tmp_path / "whole" / "images").iterdir():
        assert path.read_bytes() == (tmp_path / "few" / "images" / path.name).read_bytes()
    assert (tmp_path / "few" / "captions.csv").read_bytes() == (tmp_path / "whole" / "captions.csv").read_bytes()
    assert scene(0, 3) != scene(1, 3)


def test_captions_are_read_as_any_others(tmp_path):
    write_scenes(tmp_path, 3, seed=4)
    found = read_captions(tmp_path / "captions.csv")
    assert [one.name for one in found] == [f"scene-4-{n:06}.png" for n in range(3)]
    assert [one.captions for one in found] == [captions(scene(4, n)) for n in range(3)]


def test_what_the_caption_says_is_in_the_picture():
    shown = Scene("white", Group(2, "large", "red", "circle"), Group(1, "large", "blue", "square"), "left")
    assert captions(shown) == (
        "two large red circles to the left of a large blue square on a white background",
        "two red circles left of a blue square",
    )
    assert captions(Scene("grey", Group(1, "small", "orange", "cross"))) == (
        "a small orange cross on a grey background",
        "there is an orange cross",
    )
    pixels = np.asarray(drawn(shown, 0, 1)).astype(int)

    def share(half: np.ndarray, colour: str) -> float:
        return float((np.abs(half - COLOURS[colour]).max(axis=-1) < 30).mean())

    left, right = pixels[:, : SIDE // 2], pixels[:, SIDE // 2 :]
    assert share(left, "red") > 0.2
    assert share(right, "blue") > 0.1
    assert share(right, "red") == share(left, "blue") == 0


def test_thousands_of_scenes_are_seldom_alike():
    scenes = [scene(0, n) for n in range(3000)]
    assert len(set(scenes)) > 2900
    assert {one.relation for one in scenes} == {"", "left", "right", "above", "below"}
