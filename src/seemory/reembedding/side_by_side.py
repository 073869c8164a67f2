"""A collection's generations beside one another: who is answered by which, how far each is, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seemory.models.encoder import Encoder
from seemory.reembedding.comparison import compare, mean, percentiles
from seemory.reembedding.verification import cosines_of_pairs
from seemory.store.connect import Database
from seemory.store.figures import Figures, bytes_of, verification_of
from seemory.store.generations import Generations
from seemory.store.owners import list_owners
from seemory.store.rollout import list_rolled_out
from seemory.types import Generation

_PAIRED = 400  # vectors whose pairs show the distribution of cosines


def look(
    database: Database, collection: str, live: Encoder | None, beside: Encoder | None, words: Sequence[str] = ()
) -> dict[str, Any]:
    """What `seemory reembed status --json` prints, over all owners.

    Searching is timed by asking all generations the same questions now; words are among them where the encoders of the
    live generation and of the one beside it are here.
    """
    generations = Generations(database).all(collection)
    owners = list_owners(database, collection)
    encoders = None if live is None or beside is None else (live, beside)
    compared = compare(database, owners, generations[0], generations[-1], words=words, encoders=encoders)
    figures = [Figures(database, owner) for owner in owners]
    total = sum(one.items(collection) for one in figures)
    apart = [list_rolled_out(database, known) for known in generations]
    two = len(generations) > 1
    return {
        "collection": collection,
        "owners": len(owners),
        "overlap": {"items": mean(compared.overlap), "words": mean(compared.overlap_words)} if two else None,
        "generations": [
            _status(database, known, figures, total)
            | {
                "answers_for": len(owners) - sum(map(len, apart)) if known.state == "live" else len(apart[n]),
                "rolled_out_to": apart[n],
                "milliseconds": percentiles(compared.milliseconds[n]),
            }
            for n, known in enumerate(generations[:2])
        ],
    }


def _status(database: Database, generation: Generation, figures: Sequence[Figures], total: int) -> dict[str, Any]:
    failures: dict[str, int] = {}
    for one in figures:
        for reason, count in one.failures(generation).items():
            failures[reason] = failures.get(reason, 0) + count
    share = max(2, _PAIRED // max(1, len(figures)))
    vectors = [sample.vector for one in figures[:_PAIRED] for sample in one.sample(generation, share)]
    rates = [one.rate(generation) for one in figures] if generation.state == "building" else []
    return {
        "table": generation.table,
        "state": generation.state,
        "model": generation.model,
        "dim": generation.dim,
        "fingerprint": generation.fingerprint,
        "done": sum(one.rows(generation) for one in figures),
        "total": total,
        "rate": max((rate for rate in rates if rate is not None), default=None),
        "failures": dict(sorted(failures.items(), key=lambda pair: -pair[1])),
        "bytes": bytes_of(database, generation),
        "cosines": cosines_of_pairs(vectors),
        "verification": verification_of(database, generation),
    }
