"""A photograph and a library → advice, in one of four modes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final, get_args

import numpy as np

from seemory.advisors.advice import Advice, Mode
from seemory.advisors.library import Advisors
from seemory.advisors.likeness import in_words, likenesses, nearest
from seemory.advisors.photograph import Photograph
from seemory.advisors.subjects import Subjects
from seemory.errors import UsageError
from seemory.models.encoder import Encoder
from seemory.store.libraries import Libraries, Reference
from seemory.types import Vectors

NO_CRITIC: Final = "no critic is configured"
_MOST: Final = 100


class Advising:
    """Says what an owner's libraries say of photographs. May be asked by several threads."""

    def __init__(
        self, libraries: Libraries, advisors: Advisors, encoder: Callable[[], Encoder], *, max_pixels: int
    ) -> None:
        """Nothing is loaded yet.

        Args:
            libraries: the owner's rows.
            advisors: finds them by name.
            encoder: the one that answers at this moment.
            max_pixels: larger pictures are refused.
        """
        self._libraries = libraries
        self._advisors = advisors
        self._encoder = encoder
        self._max_pixels = max_pixels
        self._subjects = Subjects()

    def advise(
        self,
        given: str | os.PathLike[str] | bytes,
        advisor: str,
        *,
        mode: Mode = "combined",
        limit: int = 3,
        name: str = "photograph",
    ) -> Advice:
        """What that advisor's library says of a picture file, or of the bytes of one; nothing of it is kept.

        Args:
            given: the picture.
            advisor: whose library.
            mode: `similar`: the works it is like. `dimensions`: its eight scores beside the works'. `combined`: both.
            limit: how many works are named as nearest.
            name: what bytes are called in the answer.

        Raises:
            AdvisorNotFound: there is no such advisor; it says which there are.
            UsageError: the mode or limit is wrong, the library is empty, or it has no vectors of this encoder.
            MediaError: the picture cannot be read.
            ModelError: the encoder cannot be had.
        """
        if mode not in get_args(Mode):
            raise UsageError(f"mode is one of {', '.join(get_args(Mode))}, not {mode!r}")
        if not 1 <= limit <= _MOST:
            raise UsageError(f"limit must be 1 to {_MOST}, not {limit}")
        who = self._advisors.find(advisor).name
        if mode == "critic":
            raise UsageError(f"{NO_CRITIC}: ask for similar, dimensions or combined")
        encoder = self._encoder()
        works, vectors, missing = self._shelf(who, encoder)
        photograph = Photograph.read(given, max_pixels=self._max_pixels, name=name)
        found = likenesses(
            encoder, self._subjects, photograph.vector(encoder), works, vectors, sha256=photograph.sha256
        )
        near = nearest(found, limit)
        return Advice(
            photograph=photograph.name,
            sha256=photograph.sha256.hex(),
            advisor=who,
            works=len(works),
            mode=mode,
            model=encoder.name,
            similar=near,
            words=tuple(in_words(near)),
            missing=tuple(missing),
        )

    def _shelf(self, advisor: str, encoder: Encoder) -> tuple[Sequence[Reference], Vectors, list[str]]:
        """(the works that can be compared, their vectors, what is to be said of those that cannot)."""
        shelf = self._libraries.shelf(advisor, encoder.fingerprint)
        if not shelf:
            raise UsageError(
                f"the library of {advisor} is empty: `seemory advisor add {advisor} DIR` brings works into it"
            )
        works = [work for work, vector in shelf if vector is not None]
        lacking = len(shelf) - len(works)
        how = f"`seemory advisor refresh {advisor}` makes them from the works' files"
        if not works:
            raise UsageError(
                f"the library of {advisor} has no vectors of {encoder.name}, which answers now, and those of other "
                f"encoders cannot be compared: {how}"
            )
        missing = [f"{lacking} of {len(shelf)} works have no vector of {encoder.name}: {how}"] if lacking else []
        return works, np.stack([vector for _, vector in shelf if vector is not None]), missing
