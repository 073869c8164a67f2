"""A text → a memory: embedded, merged with what says the same, linked with what says something alike."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from seemory.errors import ModelError, UsageError
from seemory.models.encoder import Encoder
from seemory.store.memories import Meaning, Memories, Remembered, Saying
from seemory.telemetry import Progress, ProgressListener, ignore
from seemory.types import Generation

LONGEST: Final = 100_000
"""Characters of one memory."""

_NAMED: Final = 100

# A sentence encoder hardly tells these apart, and they turn a sentence into its opposite.
_NEGATIONS: Final = frozenset(
    [
        "no",
        "not",
        "never",
        "none",
        "nobody",
        "nothing",
        "neither",
        "nor",
        "without",
        "cannot",
        "nicht",
        "kein",
        "keine",
        "keinen",
        "keiner",
        "nie",
        "ohne",
        "niemals",
        "non",
        "pas",
        "jamais",
        "sans",
        "sin",
        "nunca",
    ]
)
_WORD: Final = re.compile(r"\w+(?:[.:,]\d+)*")


@dataclass(slots=True)
class MemoryReport:
    """What became of many texts."""

    new: int = 0
    merged: int = 0
    """Those that said what was remembered before."""
    bad: int = 0
    errors: list[tuple[int, str]] = field(default_factory=list)
    """(number of the text in its file, reason) of the first that could not be used."""
    waiting: str | None = None
    """Why sentence vectors could not be made."""
    seconds: float = 0.0


class Rememberer:
    """Remembers texts in one owner's share of a collection."""

    def __init__(
        self,
        memories: Memories,
        sentences: Callable[[], tuple[Generation, Encoder]],
        *,
        same: float,
        alike: float,
    ) -> None:
        """Nothing is loaded yet.

        Args:
            memories: where they are kept.
            sentences: the generation of sentence vectors and its encoder. Raises ModelError.
            same: the least cosine at which two texts are one memory.
            alike: the least cosine at which they are linked.
        """
        self._memories = memories
        self._sentences = sentences
        self._same = same
        self._alike = alike

    def remember(self, saying: Saying) -> Remembered:
        """What became of a text.

        Raises:
            UsageError: it is empty, or longer than a memory may be.
        """
        text = saying.text.strip()
        if not text:
            raise UsageError("nothing was said: give a text to remember")
        if len(text) > LONGEST:
            raise UsageError(f"the text has {len(text):,} characters, and a memory has at most {LONGEST:,}: cut it up")
        waiting = None
        try:
            meaning: Meaning | None = self._meaning(text)
        except ModelError as error:
            meaning, waiting = None, str(error)
        done = self._memories.remember(saying, meaning, alike=self._alike, is_same=self._are_same)
        return replace(done, waiting=waiting)

    def remember_all(self, sayings: Iterable[Saying | str], listen: ProgressListener = ignore) -> MemoryReport:
        """The report of many; a string among them is the reason why one could not be read."""
        report, start = MemoryReport(), time.perf_counter()
        for number, saying in enumerate(sayings, start=1):
            try:
                if isinstance(saying, str):
                    raise UsageError(saying)
                done = self.remember(saying)
                report.new += done.new
                report.merged += not done.new
                report.waiting = done.waiting or report.waiting
            except UsageError as error:
                report.bad += 1
                if len(report.errors) < _NAMED:
                    report.errors.append((number, str(error)))
            listen(Progress("remember", number, unit="texts"))
        report.seconds = time.perf_counter() - start
        return report

    def _meaning(self, text: str) -> Meaning:
        generation, encoder = self._sentences()
        start = time.perf_counter()
        (vector,) = encoder.embed_texts([text])
        record = encoder.record(inference_time_ms=round((time.perf_counter() - start) * 1000, 2))
        return Meaning(generation, vector, record)

    def _are_same(self, one: str, other: str, cosine: float) -> bool:
        return one == other or (cosine >= self._same and _turns(one) == _turns(other))


def _turns(text: str) -> tuple[frozenset[str], int]:
    """The numbers in a text, and how many of its words deny something."""
    words = [word.lower() for word in _WORD.findall(text.replace("’", "'").replace("n't ", " not "))]
    numbers = frozenset(word for word in words if any(character.isdigit() for character in word))
    return numbers, sum(word in _NEGATIONS for word in words)
