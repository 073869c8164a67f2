"""Words with times: what is said in a film and when, free of repeats, and cut to its scenes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

LONGEST_CUE: Final = 1_000
"""Characters of one cue that are kept: a line of subtitles has some forty."""

MOST_CUES: Final = 20_000
"""Of one track: a film of three hours has some 2,500."""

LATEST_S: Final = 1000 * 3600.0
"""Cues that claim to come later are not believed."""

SIMPLE: Final = "simple"
"""The text search configuration that takes words as they are."""

_ABUTTING_S: Final = 0.1

Origin = Literal["file", "stream", "speech"]


@dataclass(frozen=True, slots=True)
class Cue:
    """Words that are said or shown together."""

    start_s: float
    """From the film's beginning."""
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Track:
    """The words of one film, from one source."""

    source: str
    """The file's name, `stream 2`, or the model that heard them."""
    origin: Origin
    language: str
    """The text search configuration that the words are read in."""
    tag: str | None = None
    """The language as the source names it, such as `en` or `ja`; None where it names none."""
    cues: tuple[Cue, ...] = ()
    """By their beginning."""
    problem: str | None = None
    """What of it could not be read, and why."""

    def as_json(self) -> dict[str, Any]:
        """The track as it is stored with the film."""
        cues = [[cue.start_s, cue.end_s, cue.text] for cue in self.cues]
        return {name: getattr(self, name) for name in self.__slots__} | {"cues": cues}


@dataclass(frozen=True, slots=True)
class SpokenWords:
    """The words of one film."""

    tracks: tuple[Track, ...] = ()
    state: Mapping[str, Any] | None = None
    """What they were read from: compared with what there is at the next run."""

    @property
    def problem(self) -> str | None:
        """What of it could not be read, in words."""
        return "; ".join(f"{track.source}: {track.problem}" for track in self.tracks if track.problem) or None


def track_of(document: dict[str, Any]) -> Track:
    """The track that `as_json` wrote."""
    return Track(**document | {"cues": tuple(Cue(*cue) for cue in document["cues"])})


def without_repeats(cues: Iterable[Cue]) -> tuple[Cue, ...]:
    """The cues by their beginning, each said once.

    Rolling captions show a line again under the next one, and drawn subtitles lay the same words over themselves: a
    line that was shown until now, or is shown still, is not said again; the cue that has it lasts longer instead.
    """
    kept: list[Cue] = []
    shown: dict[str, int] = {}  # line → the cue of `kept` that has it
    for cue in sorted(cues, key=lambda one: (one.start_s, one.end_s)):
        new = []
        for line in filter(None, (line.strip() for line in cue.text.splitlines())):
            place = shown.get(line)
            if place is not None and cue.start_s <= kept[place].end_s + _ABUTTING_S:
                before = kept[place]
                kept[place] = Cue(before.start_s, max(before.end_s, cue.end_s), before.text)
            elif line not in new:
                new.append(line)
        if new:
            kept.append(Cue(cue.start_s, max(cue.start_s, cue.end_s), "\n".join(new)))
            shown |= dict.fromkeys(new, len(kept) - 1)
    return tuple(kept)


def cut_to_scenes(cues: Sequence[Cue], borders: Sequence[tuple[float, float]]) -> list[list[Cue]]:
    """The cues of each scene; one that spans a cut goes to the scene that has most of it, the earlier if none has.

    Never to both: the same words would answer twice, the second time with a moment at which they had been said.

    Args:
        cues: of one track.
        borders: (start, end) of the film's scenes, which rise. Cues outside all of them are in none.
    """
    scenes: list[list[Cue]] = [[] for _ in borders]
    starts = [start for start, _ in borders]
    for cue in cues:
        first = max(0, bisect_right(starts, cue.start_s) - 1)
        best, most = -1, 0.0
        for place in range(first, len(borders)):
            start, end = borders[place]
            if start > cue.end_s:
                break
            shared = min(end, cue.end_s) - max(start, cue.start_s)
            if shared > most or (best < 0 and start <= cue.start_s < end):
                best, most = place, shared
        if best >= 0:
            scenes[best].append(cue)
    return scenes


def in_use(tracks: Sequence[Track], first: str) -> list[Track]:
    """The tracks that are searched: one a language, what was written before what was heard; the language `first` first.

    What a model heard counts only where nothing is written: it is the same words with its mistakes.
    """
    told = [track for track in tracks if track.cues]
    written = [track for track in told if track.origin != "speech"]
    chosen: dict[tuple[str, str | None], Track] = {}
    for track in written or told:
        chosen.setdefault((track.language, track.tag if track.language == SIMPLE else None), track)
    return sorted(chosen.values(), key=lambda track: track.language != first)


def summary(tracks: Sequence[Track], first: str) -> list[dict[str, Any]]:
    """What is told of a film's words among its metadata: source, language, how many cues, what was wrong."""
    used = in_use(tracks, first)
    return [
        {
            "source": track.source,
            "language": track.tag or track.language,
            "cues": len(track.cues),
            "searched": track in used,
        }
        | ({"problem": track.problem} if track.problem else {})
        for track in tracks
    ]
