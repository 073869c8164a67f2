"""Listening to films: a real model, loaded and run as any other, that hears the same sentence in every voice."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from made_films import moving, srt, still, write_film
from made_speech import SAID, speech_model, vowels

from seemory.errors import ModelUnavailable, UsageError
from seemory.media import sound
from seemory.media.film_opening import FilmLimits
from seemory.memory import Memory
from seemory.models import speech
from seemory.models.speech import SpeechModel


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speech_model(tmp_path_factory.mktemp("speech"))


@pytest.fixture
def film(tmp_path: Path, package_photographs: dict[str, Path]) -> Path:
    """Scenes from 0, 2 and 5 seconds on; in the second somebody speaks."""
    shots = [still(package_photographs[name], (160, 120)) for name in ("coffee", "rocket", "cat")]
    frames = [frame for shot, count in zip(shots, (50, 75, 50), strict=True) for frame in moving(shot, count)]
    silence = np.zeros(int(2.5 * 44_100), np.float32)
    (tmp_path / "films").mkdir()
    return write_film(tmp_path / "films" / "three.mp4", frames, sound=np.concatenate([silence, vowels(2.0), silence]))


def transcripts(memory: Memory) -> list[str | None]:
    return [item.transcript for item in memory.items()]


def counts(memory: Memory, *paths: Path, transcribe: Path | str | None = None) -> dict[str, int]:
    return dict(memory.index(*paths, transcribe=None if transcribe is None else str(transcribe)).counts)


def test_what_is_heard_is_kept_and_gives_way_to_what_is_written(
    memory: Memory, film: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert counts(memory, film) == {"indexed": 1}
    assert transcripts(memory) == [None] * 3
    assert counts(memory, film, transcribe=model) == {"reworded": 1}
    assert transcripts(memory) == [None, SAID.strip(), None]
    hit = memory.search("who serves the coffee", weights={"visual": 0, "text": 0})[0]
    assert (hit.start_s, hit.passages[0].marked()) == (2.0, "*coffee* is *served*")
    assert 2.0 < (hit.passages[0].start_s or 0) < 3.0
    (told,) = hit.metadata["subtitles"]
    assert told == {"source": str(model), "language": "en", "cues": 1, "searched": True}

    def deaf(*_: object) -> None:
        raise AssertionError("it was heard already")

    monkeypatch.setattr(SpeechModel, "write_down", deaf)
    assert counts(memory, film, transcribe=model) == {"unchanged": 1}
    written = film.with_suffix(".srt")
    written.write_text(srt((0.5, 1, "Tea")))
    assert counts(memory, film, transcribe=model) == {"reworded": 1}
    assert transcripts(memory) == ["Tea", None, None]
    written.unlink()
    assert counts(memory, film) == {"reworded": 1}
    assert transcripts(memory) == [None, SAID.strip(), None]
    assert dict(memory.index(film, reprocess=True, transcribe=str(model)).counts) == {"indexed": 1}
    assert transcripts(memory) == [None, SAID.strip(), None]


def test_a_film_in_which_nobody_speaks_is_listened_to_once(
    memory: Memory, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pale = [np.full((64, 64, 3), 200, np.uint8)] * 30
    write_film(tmp_path / "silent.mp4", pale)
    write_film(tmp_path / "tone.mp4", pale, sound=True)
    assert counts(memory, tmp_path, transcribe=model) == {"indexed": 2}
    assert transcripts(memory) == [None, None]
    monkeypatch.setattr(SpeechModel, "write_down", None)
    assert counts(memory, tmp_path, transcribe=model) == {"unchanged": 2}


def test_a_model_that_cannot_be_had_costs_no_film(
    new_memory: Callable[..., Memory], film: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = new_memory(models={"offline": True}, video={"transcribe": "tiny"})
    report = memory.index(film)
    assert dict(report.counts) == {"partial": 1}
    assert "speech model tiny cannot be had" in report.errors[0][1]
    assert len(list(memory.items())) == 3
    assert counts(memory, film, transcribe=model) == {"reworded": 1}, "what failed is tried again"
    for wrong, why in (("enormous", "is no speech model"), (str(tmp_path), "it lacks model.bin")):
        with pytest.raises(UsageError, match=why):
            memory.index(film, transcribe=wrong)
    (tmp_path / "damaged").mkdir()
    for file in model.iterdir():
        (tmp_path / "damaged" / file.name).write_bytes(file.read_bytes()[:1000])
    damaged = SpeechModel(str(tmp_path / "damaged"), home=tmp_path, threads=1, offline=True)
    for _ in range(2):
        with pytest.raises(ModelUnavailable, match="cannot be had"):
            list(damaged.write_down([(0.0, np.zeros(16_000, np.float32))]))
    monkeypatch.setattr(speech, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'seemory\[speech\]'"):
        memory.index(film, transcribe="tiny")


def test_sound_comes_in_pieces_that_are_cut_where_it_is_quiet(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,) = sound.sound_of(film, FilmLimits())
    assert len(whole.samples) / sound.RATE == pytest.approx(7, abs=0.1)
    assert np.abs(whole.samples[: 2 * sound.RATE]).max() < 0.01 < np.abs(whole.samples[int(2.6 * sound.RATE) :]).max()
    monkeypatch.setattr(sound, "_LONGEST_S", 3)
    monkeypatch.setattr(sound, "_SEARCHED_S", 1)
    pieces = list(sound.sound_of(film, FilmLimits()))
    assert len(pieces) == 3
    assert np.concatenate([piece.samples for piece in pieces]) == pytest.approx(whole.samples)
    for before, piece in pairwise(pieces):
        assert piece.start_s == pytest.approx(before.start_s + len(before.samples) / sound.RATE, abs=0.001)
        assert np.abs(piece.samples[: sound.RATE // 20]).max() < 0.02
