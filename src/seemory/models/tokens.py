"""Words as the token ids a text tower was trained on."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seemory.errors import ModelCorrupt
from seemory.models.catalog import TextRule

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_SPACES = re.compile(r"\s+")

Ids = NDArray[np.int64]


def canonical(text: str) -> str:
    """SigLIP's canonical text: underscores are spaces, no ASCII punctuation, lower case, single spaces.

    The original is big_vision's `prompt_engineering.canonicalize_text`; transformers drops the underscore instead.
    """
    return _SPACES.sub(" ", text.replace("_", " ").translate(_NO_PUNCTUATION).lower()).strip()


class Tokens:
    """A tokenizer file with its text rule: the file says how words split, the rule what surrounds that.

    Raises ModelCorrupt when the file is no tokenizer.
    """

    def __init__(self, path: Path, rule: TextRule, length: int | None = None) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:
            raise ModelCorrupt(f"{path} is no tokenizer ({error}). Fetch or export the model again.") from error
        padding = self._tokenizer.padding
        self.pad_id: int = rule.pad_id if rule.pad_id is not None else padding["pad_id"] if padding else 0
        # Published files carry the padding and cut of the script that saved them (MiniLM: 128, 128). The rule decides.
        self._tokenizer.no_padding()
        self._rule = rule
        self._context = min(rule.context_length, length or rule.context_length)
        self._fixed = length if length is not None else self._context if rule.padding == "context" else None
        self._tokenizer.enable_truncation(self._context)
        self.end_id: int | None = self._tokenizer.token_to_id(rule.end_token) if rule.end_token else None
        if rule.end_token and self.end_id is None:
            raise ModelCorrupt(f"{path} has no token {rule.end_token!r}: it is not the tokenizer of this model.")

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Each text's ids, with its special tokens, cut to the context and not padded."""
        # One by one: the tokenizer's own batch method starts a thread pool that a later fork would complain of.
        return [self._row(text) for text in texts]

    def pad(self, rows: Sequence[Sequence[int]]) -> tuple[Ids, Ids]:
        """`(n, t)` ids and `(n, t)` mask, 1 for text, 0 for padding. `t` is the rule's, or that of the longest row."""
        length = self._fixed or max(1, *map(len, rows))
        ids = np.full((len(rows), length), self.pad_id, dtype=np.int64)
        mask = np.zeros((len(rows), length), dtype=np.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return ids, mask

    def _row(self, text: str) -> list[int]:
        # Half a character, as broken file names and transcripts have it, would stop the tokenizer.
        text = text.encode("utf-8", "replace").decode("utf-8")
        if self._rule.canonicalise:
            text = canonical(text)
        elif self._rule.lower_case:
            text = text.lower()
        ids: list[int] = self._tokenizer.encode(text).ids
        if self.end_id is not None and (not ids or ids[-1] != self.end_id):
            # A tokenizer file without a post-processor neither adds the end token nor keeps it when it cuts.
            ids = [*ids[: self._context - 1], self.end_id]
        return ids
