"""Subtitles of any make and state → cues; whatever is wrong with them has its reason, and takes no time."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from made_films import srt, with_subtitles, write_film

from seemory.cues import Cue, Track
from seemory.errors import UnreadableMedia
from seemory.media.film_opening import FilmLimits
from seemory.media.subtitle_files import SubtitleFinder
from seemory.media.subtitle_languages import configuration
from seemory.media.subtitles import read_file, read_streams


def tracks(film: Path) -> list[Track]:
    return [read_file(file, "english") for file in SubtitleFinder().beside(film)]


def read(path: Path, content: bytes | str) -> Track:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    (track,) = tracks(path.parent / "film.mp4")
    return track


def test_subrip_loses_its_markup(tmp_path: Path) -> None:
    words = "<i>There is a <b>rabbit</b></i>\n{\\an8}under <font color='red'>the</font> tree & a < b"
    track = read(tmp_path / "film.srt", srt((1, 2.5, words), (61.25, 62, "- It ran.")))
    assert track.problem is None
    assert track.cues == (
        Cue(1.0, 2.5, "There is a rabbit\nunder the tree & a < b"),
        Cue(61.25, 62.0, "- It ran."),
    )


def test_webvtt_loses_voices_notes_and_entities(tmp_path: Path) -> None:
    text = (
        "WEBVTT - a film\n\nNOTE nobody says this\n\nSTYLE\n::cue { color: red }\n\nintro\n"
        "00:01.000 --> 00:04.000 line:0\n<v Anna>In <c.loud>New&nbsp;York</c> &amp; <00:02.000>back\n"
    )
    assert read(tmp_path / "film.vtt", text).cues == (Cue(1.0, 4.0, "In New York & back"),)


def test_ass_is_read_without_comments_drawings_and_its_own_shadows(tmp_path: Path) -> None:
    events = [
        "Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\i1}Hello{\\i0}, world\\Nagain\\hand {not an override}",
        "Comment: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,not shown",
        "Dialogue: 1,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\bord3}Hello, world\\Nagain\\hand {not an override}",
        "Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,{\\pos(1,2)\\p1}m 0 0 l 100 0{\\p0}",
        "Dialogue: 0,0:00:05.00,0:00:06.00,Default,,0,0,0,,{\\k20}ka{\\k10}ra{never closed",
    ]
    head = "[Script Info]\nScriptType: v4.00+\n[Events]\n"
    form = "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    assert read(tmp_path / "film.ass", head + form + "\n".join(events)).cues == (
        Cue(1.0, 2.0, "Hello, world\nagain and {not an override}"),
        Cue(5.0, 6.0, "kara{never closed"),
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "cp1251"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    words = "Где живут зайцы? Они живут в норе под старым деревом у реки, и никто их там не видит."
    if encoding == "cp1252":
        words = "Wo wohnen die Häschen? Über dem Fluß, in einer Höhle unter alten Bäumen, wo man sie nicht hört."
    track = read(tmp_path / "film.srt", srt(*((n, n + 1, f"{words} {n}") for n in range(4))).encode(encoding))
    assert [cue.text for cue in track.cues] == [f"{words} {n}" for n in range(4)]


def test_the_language_is_in_the_name(tmp_path: Path) -> None:
    text = srt((0, 1, "a"))
    for name in ("film.srt", "film.de.srt", "film.mp4.pt-BR.vtt.srt", "film.pt-BR.srt", "film.ja.srt", "film.FR.SRT"):
        (tmp_path / name).write_text(text)
    for name in ("film.en.forced.srt", "film.2.srt", "film.de.en.srt", "films.srt", "film.srt.bak", "film.notes.srt"):
        (tmp_path / name).write_text(text)
    found = {track.source: (track.language, track.tag) for track in tracks(tmp_path / "film.mp4")}
    assert found == {
        "film.srt": ("english", None),
        "film.de.srt": ("german", "de"),
        "film.pt-BR.srt": ("portuguese", "pt"),
        "film.ja.srt": ("simple", "ja"),
        "film.FR.SRT": ("french", "fr"),
        "film.en.forced.srt": ("english", "en"),
    }
    assert next(reversed(found)) == "film.en.forced.srt", "what is only of a part comes last"
    assert [track.source for track in tracks(tmp_path / "film.2.mp4")] == ["film.2.srt"]
    assert configuration("German") == configuration("ger") == configuration("de-AT") == ("german", "de")


def test_what_is_wrong_with_a_file_is_said(tmp_path: Path) -> None:
    film, beside = tmp_path / "film.mp4", {}
    beside["film.srt"] = b""
    beside["film.de.srt"] = b"\x00\x01\x02 no text"
    beside["film.fr.vtt"] = b"no subtitles at all\n" * 50
    beside["film.es.srt"] = b"\xff\xfe\x00"  # announces UTF-16 and has half a letter
    for name, content in beside.items():
        (tmp_path / name).write_bytes(content)
    with (tmp_path / "film.it.srt").open("wb") as large:
        large.truncate(10_000_001)
    os.mkfifo(tmp_path / "film.nl.srt")
    (tmp_path / "film.sv.srt").mkdir()
    (tmp_path / "film.da.srt").symlink_to(tmp_path / "nowhere")
    said = {track.source: track.problem or "" for track in tracks(film)}
    parts = {
        "film.srt": "empty",
        "film.de.srt": "not text",
        "film.fr.vtt": "no subtitle in it can be read",
        "film.es.srt": "its encoding cannot be told",
        "film.it.srt": "more than 10 MB",
        "film.nl.srt": "a pipe",
        "film.sv.srt": "a folder",
    }
    assert said.keys() == parts.keys()
    for name, part in parts.items():
        assert part in said[name], (name, said[name])


def test_hostile_files_take_no_time(tmp_path: Path) -> None:
    start = time.monotonic()
    many = read(tmp_path / "film.srt", srt(*((n / 100, n / 100 + 5, f"line {n}") for n in range(21_000))))
    assert len(many.cues) == 20_000
    assert many.problem == "only the first 20,000 subtitles are taken"
    braces = srt(*((n, n + 1, "{\\" * 20_000) for n in range(100)))
    assert {len(cue.text) for cue in read(tmp_path / "film.srt", braces).cues} == {1000}
    late = "1\n99999999:00:00,000 --> 99999999:00:01,000\nlater\n\n2\n00:00:09,000 --> 00:00:01,000\nbackwards\n"
    assert [cue.text for cue in read(tmp_path / "film.srt", late).cues] == ["backwards"]
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_streams_inside_a_film(tmp_path: Path, suffix: str) -> None:
    silent = write_film(tmp_path / f"silent{suffix}", [np.full((64, 64, 3), n, np.uint8) for n in range(100)])
    subtitles = {"eng": srt((0.5, 1, "The <i>first</i>"), (2, 3, "The second")), "deu": srt((1, 2, "Das erste"))}
    path = with_subtitles(silent, tmp_path / f"film{suffix}", subtitles, forced="eng")
    found = read_streams(path, FilmLimits(), "english")
    assert [(track.source, track.language, track.tag, track.origin) for track in found] == [
        ("stream 2", "german", "de", "stream"),
        ("stream 1", "english", "en", "stream"),
    ], "the forced one comes last"
    assert found[0].cues == (Cue(1.0, 2.0, "Das erste"),)
    assert found[1].cues == (Cue(0.5, 1.0, "The first"), Cue(2.0, 3.0, "The second"))
    assert read_streams(silent, FilmLimits(), "english") == ()
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 3])
    if suffix == ".mkv":  # its pieces tell for themselves what they are
        assert len(read_streams(path, FilmLimits(), "english")) == 2
    else:
        with pytest.raises(UnreadableMedia, match="table of contents"):
            read_streams(path, FilmLimits(), "english")
