"""What a person typed → the words that encoders see, and the conditions that quotes and minus signs state."""

from __future__ import annotations

import re
from dataclasses import dataclass

_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»", '"'))
_PART = re.compile(r'(?P<minus>(?<!\S)-)?(?:"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+|"))')


@dataclass(frozen=True, slots=True)
class Wording:
    """A query in words, taken apart."""

    text: str
    """What is left for the encoders and for ranking: neither the quoted phrases nor what was taken away."""
    must: tuple[str, ...] = ()
    """Phrases that an item's words must have."""
    must_not: tuple[str, ...] = ()
    """Words and phrases that an item's words must not have."""

    @property
    def hard(self) -> bool:
        """Whether there is any condition."""
        return bool(self.must or self.must_not)


def read_wording(query: str) -> Wording:
    """The parts of a query: `"old harbour" boats -night -"cruise ship"`.

    A quote that is never closed, and a minus inside or behind a word, are characters like others; an empty phrase is
    nothing.
    """
    soft: list[str] = []
    must: list[str] = []
    must_not: list[str] = []
    for part in _PART.finditer(query.translate(_QUOTES)):
        phrase, word = part["phrase"], part["word"]
        if phrase is not None:
            if phrase.strip():
                (must_not if part["minus"] else must).append(phrase.strip())
        elif part["minus"] and word.strip('-"'):
            must_not.append(word)
        else:
            soft.append(f"{part['minus'] or ''}{word}")
    if not must and not must_not:
        return Wording(query)
    return Wording(" ".join(soft), tuple(must), tuple(must_not))
