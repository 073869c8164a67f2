"""A photograph and a library → advice, in one of four modes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, get_args

import numpy as np

from seemory.advisors.advice import Advice, Mode
from seemory.advisors.comparison import Comparison, compare
from seemory.advisors.critic.criticising import Criticised, Criticising
from seemory.advisors.critic.reconciling import of_critique
from seemory.advisors.library import Advisors
from seemory.advisors.likeness import Likeness, labelled, likenesses, located, nearest
from seemory.advisors.photograph import Photograph
from seemory.advisors.profile import Profile
from seemory.advisors.scoring import Scoring
from seemory.advisors.subjects import Subjects
from seemory.advisors.wording import of_comparison, of_likeness
from seemory.calibration import Calibration
from seemory.errors import CriticError, UsageError
from seemory.media.image import ReadPicture, read_here
from seemory.models.encoder import Encoder
from seemory.store.libraries import Advisor, Libraries, Reference
from seemory.types import Vector, Vectors

NO_CRITIC: Final = "no critic is configured (`critic.url` or `critic.local` in the settings)"
_MOST: Final = 100


class Advising:
    """Says what an owner's libraries say of photographs. May be asked by several threads."""

    def __init__(
        self,
        libraries: Libraries,
        advisors: Advisors,
        encoder: Callable[[], Encoder],
        scoring: Scoring,
        critic: Callable[[], Criticising | None],
        *,
        max_pixels: int,
        decoder: ReadPicture = read_here,
    ) -> None:
        """Nothing is loaded yet.

        Args:
            libraries: the owner's rows.
            advisors: finds them by name.
            encoder: the one that answers at this moment.
            scoring: measures the eight dimensions.
            critic: asks a critic, if one is configured.
            max_pixels: larger pictures are refused.
            decoder: reads pictures that are given as bytes.
        """
        self._libraries = libraries
        self._advisors = advisors
        self._encoder = encoder
        self._scoring = scoring
        self._critic = critic
        self._max_pixels = max_pixels
        self._decoder = decoder
        self._subjects = Subjects()

    def advise(
        self,
        given: str | os.PathLike[str] | bytes,
        advisor: str,
        *,
        mode: Mode = "combined",
        limit: int = 3,
        name: str = "photograph",
        regions: bool = True,
        listen: Callable[[Advice], None] = lambda _: None,
    ) -> Advice:
        """What that advisor's library says of a picture file, or of the bytes of one; nothing of it is kept.

        Args:
            given: the picture.
            advisor: whose library.
            mode: `similar`: the works it is like. `dimensions`: its eight scores beside the works'. `critic`:
                a critic's words. `combined`: all that can be had, and what cannot.
            limit: how many works are named as nearest.
            name: what bytes are called in the answer.
            regions: look for where in the photograph a likeness lies, which costs a pass of five more pictures.
            listen: told what can be said so far, before each part that takes its time.

        Raises:
            AdvisorNotFound: there is no such advisor; it says which there are.
            UsageError: the mode or limit is wrong, the library is empty, or it has no vectors of this encoder.
            MediaError: the picture cannot be read.
            ModelError: the encoder cannot be had.
            CriticError: the mode is `critic`, and there is no answer, or none that is a critique.
        """
        if mode not in get_args(Mode):
            raise UsageError(f"mode is one of {', '.join(get_args(Mode))}, not {mode!r}")
        if not 1 <= limit <= _MOST:
            raise UsageError(f"limit must be 1 to {_MOST}, not {limit}")
        whose = self._advisors.find(advisor)
        if mode == "critic":
            return self._criticised(given, whose, name)
        who = whose.name
        encoder = self._encoder()
        works, vectors, missing = self._shelf(who, encoder)
        photograph = Photograph.read(given, max_pixels=self._max_pixels, name=name, decoder=self._decoder)
        parts = None
        if regions and mode != "dimensions":
            vector, parts = photograph.vectors_with_parts(encoder)
        else:
            vector = photograph.vector(encoder)
        found = likenesses(encoder, vector, works, vectors, sha256=photograph.sha256)
        near = nearest(found, limit) if mode != "dimensions" else ()
        near = labelled(near, encoder, self._subjects, vector, works, vectors)
        if parts is not None:
            near = located(near, parts, works, vectors, Calibration(encoder.calibration("image_to_image")))
        advice = Advice(
            photograph=photograph.name,
            sha256=photograph.sha256.hex(),
            advisor=who,
            works=len(works),
            mode=mode,
            model=encoder.name,
            similar=near,
            words=tuple(of_likeness(near)),
        )
        if mode != "similar":
            listen(replace(advice, missing=tuple(missing)))
            try:
                comparison = self._compared(who, photograph, vector, found, encoder, limit, missing)
                advice = replace(advice, comparison=comparison, words=(*advice.words, *of_comparison(comparison)))
            except UsageError as error:
                if mode == "dimensions":
                    raise
                missing.append(f"dimensions: {error}")
        if mode == "combined":
            listen(replace(advice, missing=tuple(missing)))
            if (said := self._said(photograph, whose, missing)) is not None:
                advice = replace(advice, critic=said, words=(*advice.words, *of_critique(said, advice.comparison)))
        return replace(advice, missing=tuple(missing))

    def _criticised(self, given: str | os.PathLike[str] | bytes, whose: Advisor, name: str) -> Advice:
        """A critic's words and nothing else: neither works nor an encoder are needed for them."""
        critic = self._critic()
        if critic is None:
            raise UsageError(f"{NO_CRITIC}: ask for similar, dimensions or combined")
        photograph = Photograph.read(given, max_pixels=self._max_pixels, name=name, decoder=self._decoder)
        said = critic.criticise(photograph, whose)
        return Advice(
            photograph=photograph.name,
            sha256=photograph.sha256.hex(),
            advisor=whose.name,
            works=0,
            mode="critic",
            model=said.model,
            critic=said,
            words=tuple(of_critique(said, None)),
            missing=() if said.note is None else (f"critic: {said.note}",),
        )

    def _said(self, photograph: Photograph, whose: Advisor, missing: list[str]) -> Criticised | None:
        """What the critic says; None where it says nothing that can be used, and `missing` is told why."""
        try:
            critic = self._critic()
            if critic is None:
                raise UsageError(NO_CRITIC)
            said = critic.criticise(photograph, whose)
        except (CriticError, UsageError) as error:
            missing.append(f"critic: {error}")
            return None
        if said.note is not None:
            missing.append(f"critic: {said.note}")
        return said

    def _compared(
        self,
        advisor: str,
        photograph: Photograph,
        vector: Vector,
        found: Sequence[Likeness],
        encoder: Encoder,
        limit: int,
        missing: list[str],
    ) -> Comparison:
        """The photograph beside the works that have profiles, itself left out; `missing` is told of the others.

        Raises:
            UsageError: packages are missing, there is no work to compare with, or the picture is too narrow.
        """
        if lacking := self._scoring.lacks():
            raise UsageError(lacking)
        stored = self._libraries.profiles(advisor, encoder.fingerprint, self._scoring.formulas(encoder))
        others = [one for one in found if not one.is_same]
        works = [one for one in others if one.reference.sha256 in stored]
        how = f"`seemory advisor refresh {advisor}` measures them"
        if not others:
            raise UsageError(f"the library of {advisor} has no other work than this one to compare it with")
        if not works:
            raise UsageError(f"the works of {advisor} have no scores by these formulas and {encoder.name} yet: {how}")
        if len(works) < len(others):
            missing.append(f"{len(others) - len(works)} of {len(others)} works have no scores by these formulas: {how}")
        profiles = [Profile.from_json(stored[one.reference.sha256]) for one in works]
        return compare(self._scoring.profile(photograph, vector, encoder), works, profiles, limit=limit)

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
