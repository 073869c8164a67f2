"""Neighbouring scenes of one film become one answer, and none is lost: a ranking of hits → a ranking of groups.

Going down the ranking, a scene that touches the leading scene of an earlier group in time joins it if it comes within
`REACH` ranks of it; all else leads a group of its own. Who leads is decided by what ranks above alone, so pages of
groups agree whatever their size; and a group is complete once the ranking was read `REACH` ranks beyond its leader.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from seemory.store.naming import FILM_URI
from seemory.types import Hit, Hits

REACH: Final = 20
"""Ranks. A neighbour that is so much worse is an answer of its own, further down."""

_TOUCHING_S = 0.05
_MOST = 10_000  # hits that one search gives

Search = Callable[[int, int], Hits]
"""The hits for a limit and an offset, whose pages join without a gap."""


@dataclass(slots=True)
class Group:
    """A scene, or whatever else was found, and the scenes beside it."""

    rank: int
    """Of the leading hit, from 1, in the ranking without groups."""
    leader: Hit
    neighbours: list[Hit] = field(default_factory=list)


def film_of(hit: Hit) -> str | None:
    """The name of the film that a scene is of; None for what is no scene with its times."""
    if hit.kind != "scene" or hit.start_s is None or hit.end_s is None:
        return None
    return str(hit.metadata.get(FILM_URI) or hit.uri)


def grouped(ranking: Sequence[Hit]) -> list[Group]:
    """All groups of a ranking that begins with the best hit, in the order of their leaders."""
    groups: list[Group] = []
    leaders: dict[str, list[Group]] = {}
    for rank, hit in enumerate(ranking, start=1):
        film = film_of(hit)
        beside = leaders.setdefault(film, []) if film is not None else []
        near = (group for group in beside[-REACH:] if rank - group.rank <= REACH)  # of all leaders no others can be
        found = next((group for group in near if _touch(group.leader, hit)), None)
        if found is not None:
            found.neighbours.append(hit)
            continue
        groups.append(Group(rank, hit))
        if film is not None:
            beside.append(groups[-1])
    return groups


def page_of_groups(search: Search, limit: int, offset: int) -> Hits:
    """So many groups after the first `offset`, each as its leading hit with its neighbours; ranks count groups."""
    end = offset + limit
    asked = min(_MOST, 2 * end + REACH)
    found = search(asked, 0)
    ranking = list(found)
    groups = grouped(ranking)
    while len(ranking) == asked and (len(groups) < end or groups[end - 1].rank + REACH > len(ranking)):
        more = min(_MOST, end + REACH)
        ranking += search(more, asked)
        asked += more
        groups = grouped(ranking)
    hits = [_one(group, place) for place, group in enumerate(groups[offset:end], start=offset + 1)]
    return Hits(hits, found.channels, found.fusion, found.route)


def _one(group: Group, place: int) -> Hit:
    beside = sorted(group.neighbours, key=lambda hit: hit.start_s or 0.0)
    return replace(group.leader, rank=place, neighbours=tuple(replace(hit, rank=place) for hit in beside))


def _touch(one: Hit, other: Hit) -> bool:
    """Whether one of two scenes of a film begins where the other ends."""
    starts, ends = (one.start_s or 0.0, other.start_s or 0.0), (one.end_s or 0.0, other.end_s or 0.0)
    return abs(ends[0] - starts[1]) <= _TOUCHING_S or abs(ends[1] - starts[0]) <= _TOUCHING_S
