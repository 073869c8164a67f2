"""Word vectors of a text file (GloVe's form), and texts as the mean of their words' vectors."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seemory.errors import ModelCorrupt, ModelNotFound
from seemory.types import Vector, Vectors

_WIDEST = 16_000
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[^\w\s]")
_CLITIC = re.compile(r"(n't|'s|'re|'ve|'ll|'d|'m)$")


def words_of(text: str) -> list[str]:
    """A text's words and marks in lower case, clitics apart, as GloVe's were: `don't` is `do` and `n't`."""
    found: list[str] = []
    for word in _WORD.findall(text.lower().replace("’", "'")):
        stem = _CLITIC.sub("", word)
        found += [stem, word[len(stem) :]] if stem and stem != word else [word]
    return found


@dataclass(frozen=True, slots=True)
class WordVectors:
    """The vectors of those words that are needed."""

    path: Path
    dim: int
    known: dict[str, Vector]

    @staticmethod
    def read(path: Path, needed: Collection[str] | None = None) -> WordVectors:
        """The file's words, or of them those that are needed: a line each, the word and its numbers by spaces.

        A first line of two numbers (word2vec's and fastText's) is passed over.

        Raises:
            ModelNotFound: there is no such file.
            ModelCorrupt: a line has another width than the first, a number is none or not finite, or no word is left.
        """
        if not path.is_file():
            raise ModelNotFound(f"{path} does not exist, or is no file: word vectors are a text file like GloVe's")
        known: dict[str, Vector] = {}
        dim, wanted = 0, None if needed is None else frozenset(needed)
        try:
            with path.open(encoding="utf-8") as lines:
                for number, line in enumerate(lines, start=1):
                    word, *numbers = line.rstrip().split(" ")
                    if not numbers or (number == 1 and len(numbers) == 1):
                        continue
                    dim = dim or len(numbers)
                    if len(numbers) != dim or dim > _WIDEST:
                        raise ModelCorrupt(f"{path}, line {number}: {len(numbers)} numbers, not {min(dim, _WIDEST)}")
                    if (wanted is None or word in wanted) and word not in known:
                        known[word] = _vector(path, number, numbers)
        except (OSError, UnicodeDecodeError) as error:
            raise ModelCorrupt(f"{path} cannot be read as word vectors: {error}") from error
        if not dim:
            raise ModelCorrupt(f"{path} has no word vectors in it: a word and its numbers, by spaces, a line each")
        return WordVectors(path, dim, known)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """`(n, d)` float32, the mean of each text's known words; zeros where it has none."""
        made = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            found = [self.known[word] for word in words_of(text) if word in self.known]
            if found:
                made[row] = np.mean(found, axis=0)
        return made

    def coverage(self, texts: Sequence[str]) -> float:
        """The share of the texts' words (of letters or digits) that have a vector."""
        words = [word for text in texts for word in words_of(text) if word[-1].isalnum()]
        return sum(word in self.known for word in words) / max(1, len(words))


def _vector(path: Path, number: int, numbers: Sequence[str]) -> Vector:
    try:
        vector = np.array(numbers, np.float32)
    except ValueError as error:
        raise ModelCorrupt(f"{path}, line {number}: {error}") from error
    if not np.isfinite(vector).all():
        raise ModelCorrupt(f"{path}, line {number}: a number is not finite")
    return vector
