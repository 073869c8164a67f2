"""Reading films: true times, upright pictures, and every kind of bad file as an error or a partial result in words."""

from __future__ import annotations

import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from made_films import heard, moving, plain, still, tone, write_film, write_sound

from seemory.errors import MediaError, MediaTooLarge, UnreadableMedia, UnsupportedMedia
from seemory.media import film_opening
from seemory.media.film_opening import is_film
from seemory.media.video import Film, FilmLimits, frames_at, open_film

CORNERS = np.zeros((120, 200, 3), np.uint8)
CORNERS[:60, :100], CORNERS[:60, 100:] = (230, 20, 20), (20, 200, 20)  # red, green
CORNERS[60:, :100], CORNERS[60:, 100:] = (30, 30, 230), (240, 240, 240)  # blue, white


@pytest.fixture
def coffee(package_photographs: dict[str, Path]) -> np.ndarray:
    return still(package_photographs["coffee"])


def read(path: Path, limits: FilmLimits | None = None) -> tuple[Film, list[float]]:
    with open_film(path, limits) as film:
        return film, [frame.time_s for frame in film.frames()]


def seen(path: Path, side: int = 480) -> np.ndarray:
    with open_film(path) as film:
        return film.views(side).upright(next(iter(film.frames())).image)


def names(pixels: np.ndarray) -> str:
    """The colours of the corners: top left, top right, bottom left, bottom right."""
    height, width = pixels.shape[:2]
    known = {"r": (230, 20, 20), "g": (20, 200, 20), "b": (30, 30, 230), "w": (240, 240, 240)}
    corners = [pixels[y, x].astype(int) for y in (8, height - 8) for x in (8, width - 8)]
    return "".join(min(known, key=lambda name: np.abs(known[name] - corner).sum()) for corner in corners)


@pytest.mark.parametrize(
    ("rotation", "size", "corners"),
    [
        (None, (200, 120), "rgbw"),
        (90, (120, 200), "gwrb"),  # counter-clockwise
        (-90, (120, 200), "brwg"),
        (180, (200, 120), "wbgr"),
    ],
)
def test_a_turned_film_is_seen_as_its_player_shows_it(
    tmp_path: Path, rotation: int | None, size: tuple[int, int], corners: str
) -> None:
    path = write_film(tmp_path / "turned.mp4", [CORNERS] * 5, rotation=rotation)
    pixels = seen(path)
    assert (pixels.shape[1], pixels.shape[0]) == size
    assert names(pixels) == corners
    film, _ = read(path)
    assert (film.facts.width, film.facts.height) == size


def test_pixels_that_are_no_squares_become_squares(tmp_path: Path) -> None:
    wide = write_film(tmp_path / "wide.mp4", [CORNERS] * 5, aspect=Fraction(2, 1))
    assert seen(wide).shape == (120, 400, 3)
    assert names(seen(wide)) == "rgbw"
    film, _ = read(wide)
    assert (film.facts.width, film.facts.height) == (400, 120)


def test_an_aspect_that_nobody_can_mean_is_not_believed(tmp_path: Path) -> None:
    path = write_film(tmp_path / "line.mkv", [CORNERS] * 5, aspect=Fraction(100, 1))
    assert seen(path).shape == (120, 200, 3)


def test_times_are_those_of_the_frames_where_the_rate_is_uneven(tmp_path: Path, coffee: np.ndarray) -> None:
    times = [0.0, 0.04, 0.08, 1.5, 1.54, 4.0, 4.5, 4.52]
    _, found = read(write_film(tmp_path / "uneven.mp4", moving(coffee, len(times)), times=times))
    assert found == pytest.approx(times, abs=1e-3)


def test_times_count_from_the_films_beginning(tmp_path: Path, coffee: np.ndarray) -> None:
    film, found = read(write_film(tmp_path / "stream.mts", moving(coffee, 30), options={"mpegts_copyts": "1"}))
    assert found[0] == 0.0
    assert found == pytest.approx([n / 25 for n in range(30)], abs=1e-3)
    assert film.end_s == pytest.approx(30 / 25, abs=0.01)


def test_large_frames_are_scaled_down_and_small_ones_left(tmp_path: Path) -> None:
    path = write_film(tmp_path / "corners.mp4", [CORNERS] * 3)
    assert seen(path, side=60).shape == (60, 100, 3)
    assert seen(path, side=500).shape == (120, 200, 3)
    with open_film(path) as film:
        small = film.views(500).small(next(iter(film.frames())).image)
    assert small.shape == (120, 200, 3)
    assert np.abs(small[8, 8].astype(int) - (20, 20, 230)).max() < 25, "blue, green, red, as detectors take it"


def test_what_the_film_says_of_itself(tmp_path: Path, coffee: np.ndarray) -> None:
    said = {"title": "Breakfast", "creation_time": "2021-05-06T07:08:09Z"}
    film, _ = read(write_film(tmp_path / "told.mp4", moving(coffee, 50), metadata=said, sound=True))
    assert film.facts.metadata == {"codec": "h264", "frame_rate": 25.0, "duration_s": 2.0, "caption": "Breakfast"}
    assert film.facts.taken_at is not None
    assert film.facts.taken_at.isoformat() == "2021-05-06T07:08:09+00:00"
    assert (film.announced_s, film.facts.format) == (2.0, "MOV")
    assert str(film.damage) == ""


def test_seeking_gives_the_very_frames_of_the_pass(tmp_path: Path, coffee: np.ndarray) -> None:
    path = write_film(tmp_path / "pan.mp4", moving(coffee, 200), gop=30)
    with open_film(path) as film:
        views = film.views(240)
        passed = {frame.index: (frame.time_s, views.upright(frame.image)) for frame in film.frames()}
    wanted = [0, 1, 29, 30, 31, 95, 150, 199]
    found = frames_at(path, [passed[n][0] for n in wanted], side=240)
    for n, pixels in zip(wanted, found, strict=True):
        assert (pixels == passed[n][1]).all(), n
    with pytest.raises(UnreadableMedia, match=r"no frame at 1:00"):
        frames_at(path, [60.0], side=240)


# -- bad files -------------------------------------------------------------------------------------------------------


def refused(path: Path, limits: FilmLimits | None = None) -> MediaError:
    with pytest.raises(MediaError) as caught:
        read(path, limits)
    assert ";" in str(caught.value) or "pip install" in str(caught.value), "what is wrong, and what to do"
    return caught.value


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert "empty file" in str(refused(tmp_path / "empty.mp4"))


def test_what_is_no_film(tmp_path: Path) -> None:
    (tmp_path / "words.mp4").write_text("these are words " * 300)
    assert isinstance(refused(tmp_path / "words.mp4"), UnreadableMedia)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert "not there" in str(refused(tmp_path / "gone.mp4"))
    assert "folder" in str(refused(tmp_path))


def test_sound_alone(tmp_path: Path) -> None:
    error = refused(write_sound(tmp_path / "voice.mp4"))
    assert isinstance(error, UnsupportedMedia)
    assert "only sound" in str(error)


def test_the_sleeve_of_a_record_is_no_film(tmp_path: Path, package_photographs: dict[str, Path]) -> None:
    path = tmp_path / "song.m4a"
    sleeve = av.open(str(package_photographs["rocket"]))
    with av.open(str(path), "w", format="mp4") as film, sleeve:
        voice = film.add_stream("aac", rate=44_100, layout="mono")
        picture = film.add_stream_from_template(sleeve.streams.video[0])
        picture.disposition = av.stream.Disposition.attached_pic
        for packet in sleeve.demux(video=0):
            if packet.dts is not None:
                packet.stream = picture
                film.mux(packet)
        film.mux(heard(voice, tone(1.0)))
    assert "only sound" in str(refused(path))


def test_cut_short_with_its_table_at_the_end(tmp_path: Path, coffee: np.ndarray) -> None:
    whole = write_film(tmp_path / "whole.mp4", moving(coffee, 100)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    assert "cut short" in str(refused(tmp_path / "cut.mp4"))


def test_cut_short_with_its_table_in_front_gives_what_there_is(tmp_path: Path, coffee: np.ndarray) -> None:
    path = write_film(tmp_path / "whole.mp4", moving(coffee, 200), options={"movflags": "faststart"})
    whole = path.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    film, times = read(tmp_path / "cut.mp4")
    assert 40 < len(times) < 160
    assert "cut short" in str(film.damage)
    assert "0:08" in str(film.damage), "how long it said it was"


def test_damaged_in_the_middle_gives_both_ends(tmp_path: Path, coffee: np.ndarray) -> None:
    path = write_film(tmp_path / "whole.mkv", moving(coffee, 300))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    noise = np.random.default_rng(1).integers(0, 256, len(data) // 10, dtype=np.uint8).tobytes()
    data[middle : middle + len(noise)] = noise
    (tmp_path / "damaged.mkv").write_bytes(bytes(data))
    film, times = read(tmp_path / "damaged.mkv")
    assert len(times) > 150
    assert times[0] == 0.0
    assert times[-1] > 10, "it goes on behind the damage"
    assert all(a < b for a, b in pairwise(times))
    assert str(film.damage)


def test_no_length_is_announced(tmp_path: Path, coffee: np.ndarray) -> None:
    path = write_film(tmp_path / "live.mkv", moving(coffee, 50), options={"live": "1"})
    film, times = read(path)
    assert film.announced_s is None
    assert len(times) == 50
    assert film.end_s == pytest.approx(2.0, abs=0.05)
    assert str(film.damage) == ""


@pytest.mark.parametrize(
    "playlist",
    [
        "ffconcat version 1.0\nfile '{film}'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{film}\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5000 RTP/AVP 96\n",
    ],
)
def test_a_playlist_opens_nothing(tmp_path: Path, coffee: np.ndarray, playlist: str) -> None:
    film = write_film(tmp_path / "private.mp4", moving(coffee, 10))
    (tmp_path / "list.mp4").write_text(playlist.format(film=film))
    assert isinstance(refused(tmp_path / "list.mp4"), UnreadableMedia)


def test_more_than_is_accepted(tmp_path: Path, coffee: np.ndarray) -> None:
    path = write_film(tmp_path / "film.mp4", moving(coffee, 75))
    error = refused(path, FilmLimits(max_pixels=320 * 240 - 1))
    assert isinstance(error, MediaTooLarge)
    assert "320 x 240" in str(error)
    assert isinstance(refused(path, FilmLimits(max_hours=2 / 3600)), MediaTooLarge)
    film, times = read(path, FilmLimits(max_frames=30))
    assert len(times) == 30
    assert "limits" in str(film.damage)


def test_a_length_that_is_not_announced_is_held_to_the_limit_as_well(tmp_path: Path, coffee: np.ndarray) -> None:
    path = write_film(tmp_path / "live.mkv", moving(coffee, 100), options={"live": "1"})
    film, times = read(path, FilmLimits(max_hours=2 / 3600))
    assert len(times) == 51
    assert "limits" in str(film.damage)


def test_a_header_that_promises_a_huge_picture(tmp_path: Path, coffee: np.ndarray) -> None:
    path = write_film(tmp_path / "film.mp4", moving(coffee, 10))
    data = bytearray(path.read_bytes())
    at = data.index(b"avc1", data.index(b"stsd")) + 28  # width and height of the sample entry
    assert struct.unpack_from(">HH", data, at) == (320, 240)
    struct.pack_into(">HH", data, at, 65_000, 65_000)
    (tmp_path / "bomb.mp4").write_bytes(bytes(data))
    try:
        _, times = read(tmp_path / "bomb.mp4")
    except MediaTooLarge:
        return
    assert len(times) == 10, "or what the pictures themselves say is believed, and that is small"


def test_hundreds_of_streams(tmp_path: Path) -> None:
    path = tmp_path / "many.mkv"
    with av.open(str(path), "w") as film:
        streams = [film.add_stream("mpeg4", rate=25) for _ in range(260)]
        for stream in streams:
            stream.width = stream.height = 16
            stream.pix_fmt = "yuv420p"
        for stream in streams:
            frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
            frame.pts = 0
            film.mux(stream.encode(frame))
            film.mux(stream.encode(None))
    refused(path)


def test_without_the_extra_the_file_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_film(tmp_path / "film.mp4", plain((90, 120, 30), 5))
    monkeypatch.setattr(film_opening, "find_spec", lambda name: None if name == "av" else object())
    assert "pip install 'seemory[video]'" in str(refused(path))


def test_what_is_taken_for_a_film(tmp_path: Path, package_photographs: dict[str, Path], coffee: np.ndarray) -> None:
    film = write_film(tmp_path / "film.mp4", moving(coffee, 5))
    nameless = tmp_path / "no suffix"
    nameless.write_bytes(film.read_bytes())
    picture = tmp_path / "picture.mp4"
    picture.write_bytes(package_photographs["rocket"].read_bytes())
    (tmp_path / "empty.mov").touch()
    (tmp_path / "words.txt").write_text("words")
    assert [is_film(path) for path in (film, nameless, tmp_path / "empty.mov", tmp_path / "gone.avi")] == [True] * 4
    assert [is_film(path) for path in (picture, tmp_path / "words.txt", package_photographs["cat"])] == [False] * 3
