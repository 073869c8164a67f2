"""Words with times: said once, and each in one scene."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from seemory.cues import Cue, Track, cut_to_scenes, in_use, summary, track_of, without_repeats

SCENES = [(0.0, 2.0), (2.0, 6.0), (6.0, 8.0)]


def places(*cues: tuple[float, float]) -> list[list[int]]:
    numbered = [Cue(start, end, str(n)) for n, (start, end) in enumerate(cues)]
    return [[int(cue.text) for cue in scene] for scene in cut_to_scenes(numbered, SCENES)]


def test_a_cue_that_spans_a_cut_goes_where_most_of_it_is() -> None:
    assert places((1, 2.5), (1.8, 3), (1, 3), (1.5, 7)) == [[0, 2], [1, 3], []]


def test_a_cue_without_length_goes_where_it_begins_and_one_outside_nowhere() -> None:
    assert places((2, 2), (7.9, 9), (8, 9), (60, 61)) == [[], [0], [1]]


times = st.floats(0, 10, allow_nan=False).map(lambda s: round(s, 3))
cues = st.lists(st.tuples(times, st.floats(0, 5), st.sampled_from("abc")).map(lambda c: Cue(c[0], c[0] + c[1], c[2])))


@settings(max_examples=40)
@given(cues)
def test_every_cue_within_the_film_is_in_exactly_one_scene(made: list[Cue]) -> None:
    cut = cut_to_scenes(made, SCENES)
    assert sorted((cue for scene in cut for cue in scene), key=repr) == sorted(
        (cue for cue in made if cue.start_s < 8), key=repr
    )


@settings(max_examples=40)
@given(cues)
def test_no_words_are_lost_with_the_repeats(made: list[Cue]) -> None:
    kept = without_repeats(made)
    assert {cue.text for cue in kept} == {cue.text for cue in made}
    assert [cue.start_s for cue in kept] == sorted(cue.start_s for cue in kept)
    assert set(without_repeats(kept)) == set(kept)
    for one in made:
        assert any(cue.text == one.text and cue.start_s <= one.start_s and one.end_s <= cue.end_s for cue in kept)


def test_rolling_captions_say_each_line_once() -> None:
    rolling = [
        Cue(0, 2, "so then"),
        Cue(2, 2.01, "so then"),
        Cue(2.01, 4, "so then\nwe went on"),
        Cue(9, 10, "so then"),
    ]
    assert without_repeats(rolling) == (Cue(0, 4, "so then"), Cue(2.01, 4, "we went on"), Cue(9, 10, "so then"))


def track(source: str, origin: str, language: str, tag: str | None = None, count: int = 1) -> Track:
    return Track(source, origin, language, tag, tuple(Cue(n, n + 1, "x") for n in range(count)))  # type: ignore[arg-type]


def test_one_track_a_language_and_what_is_written_before_what_was_heard() -> None:
    german, english = track("a.de.srt", "file", "german", "de"), track("a.srt", "file", "english")
    inside, heard = track("stream 2", "stream", "english", "en"), track("small", "speech", "english", "en")
    japanese, polish = track("stream 3", "stream", "simple", "ja"), track("stream 4", "stream", "simple", "pl")
    broken = track("a.fr.srt", "file", "french", "fr", 0)
    every = [german, english, broken, inside, japanese, polish, heard]
    assert in_use(every, "english") == [english, german, japanese, polish]
    assert in_use([broken, heard], "english") == [heard]
    assert [one["searched"] for one in summary(every, "english")] == [True, True, False, False, True, True, False]
    assert [track_of(one.as_json()) for one in every] == every
