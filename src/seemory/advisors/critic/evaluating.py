"""How a critic does with its adapter and without: valid answers, changed words, and the order of its scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seemory.advisors.critic.adapters import Adapter
from seemory.advisors.critic.asking import Critic, Deadline, Manner, Reply, Unanswered
from seemory.advisors.critic.critique import Critique, WrongAnswer, read_critique
from seemory.advisors.critic.examples import read_examples
from seemory.advisors.critic.question import Question, ask_about
from seemory.advisors.photograph import Photograph
from seemory.advisors.profile import DIMENSIONS, Profile
from seemory.advisors.scoring import Scoring
from seemory.errors import CriticUnreachable, UsageError
from seemory.models.encoder import Encoder
from seemory.store.libraries import Advisor, Libraries
from seemory.telemetry import Progress, ProgressListener

_FEWEST = 3  # photographs that an order can be told of


@dataclass(frozen=True, slots=True)
class Known:
    """A question, and the scores that its answer is compared with."""

    question: Question
    scores: Mapping[str, float]


@dataclass(slots=True)
class Side:
    """The critic with the adapter, or without."""

    answers: int = 0
    valid: int = 0
    """Answers that were critiques at the first try."""
    agreement: dict[str, float | None] = field(default_factory=dict)
    """For each dimension Spearman's rank correlation of its scores with the known ones, over the valid answers; None
    where all scores are the same, or there are fewer than three."""
    mean_agreement: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def valid_share(self) -> float:
        """Of its answers."""
        return self.valid / self.answers if self.answers else 0.0


@dataclass(slots=True)
class Evaluation:
    """What an evaluation found."""

    advisor: str
    adapter: str | None
    compared_with: str
    photographs: int
    constrained: bool
    without: Side
    with_adapter: Side | None = None
    """None where the advisor has no adapter."""
    changed: float | None = None
    """The share of photographs of which the adapter says anything else than the model does."""
    left_out: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        document = asdict(self)
        for name in ("without", "with_adapter"):
            side = getattr(self, name)
            if side is not None:
                document[name] |= {"valid_share": round(side.valid_share, 4)}
        return document


class Evaluating:
    """Asks a critic about photographs of which scores are known."""

    def __init__(
        self,
        critic: Critic,
        libraries: Libraries,
        scoring: Scoring,
        encoder: Callable[[], Encoder],
        *,
        timeout_s: float,
        max_pixels: int,
    ) -> None:
        """Nothing is asked yet; `timeout_s` is for one answer."""
        self._critic = critic
        self._libraries = libraries
        self._scoring = scoring
        self._encoder = encoder
        self._timeout_s = timeout_s
        self._max_pixels = max_pixels

    def run(
        self, advisor: Advisor, data: Path | None, limit: int, constrained: bool, listen: ProgressListener
    ) -> Evaluation:
        """What was found; each photograph is asked about once with the adapter and once without.

        Raises:
            UsageError: the data cannot be read, or the library has no scores to compare with.
            CriticUnreachable: the critic does not answer.
        """
        if limit < 1:
            raise UsageError(f"limit must be at least 1, not {limit}")
        adapter = Adapter.from_json(advisor.adapter)
        left_out: list[str] = []
        known = self._works(advisor, left_out) if data is None else self._examples(advisor, data, left_out)
        known = known[:limit]
        found = Evaluation(
            advisor.name,
            adapter.name if adapter else None,
            "the library's measured scores" if data is None else str(data),
            len(known),
            constrained,
            Side(),
            left_out=left_out,
        )
        sides: list[tuple[str | None, Side]] = [(None, found.without)]
        if adapter is not None:
            found.with_adapter = Side()
            sides.append((adapter.name, found.with_adapter))
        texts: list[list[str]] = []
        total = len(known) * len(sides)
        listen(Progress("evaluate", 0, total, "answers"))
        for number, (name, side) in enumerate(sides):
            texts.append([])
            critiques: list[Critique | None] = []
            for done, one in enumerate(known, start=1):
                reply = self._reply(one.question, name, constrained)
                if name is not None and reply.adapter is None:
                    found.missing.append(reply.note or f"the critic does not have the adapter {name}")
                    found.with_adapter = None
                    return _judged(found, sides[:1])
                texts[-1].append(reply.text)
                critiques.append(_count(side, reply))
                listen(Progress("evaluate", number * len(known) + done, total, "answers"))
            side.agreement = agreement(critiques, [one.scores for one in known])
        if adapter is not None:
            pairs = list(zip(*texts, strict=True))
            found.changed = sum(one != other for one, other in pairs) / len(pairs)
        return _judged(found, sides)

    def _reply(self, question: Question, adapter: str | None, constrained: bool) -> Reply:
        try:
            return self._critic.reply(question, adapter, Manner(constrained), Deadline(self._timeout_s))
        except Unanswered as error:
            raise CriticUnreachable(str(error)) from error

    def _works(self, advisor: Advisor, left_out: list[str]) -> list[Known]:
        """The library's works by their stored copies, so that no file need be there."""
        encoder = self._encoder()
        profiles = self._libraries.profiles(advisor.name, encoder.fingerprint, self._scoring.formulas(encoder))
        known = []
        for work in self._libraries.references(advisor.name):
            proof = self._libraries.proof(advisor.name, work.sha256)
            if work.sha256 not in profiles or proof is None:
                left_out.append(f"{work.name}: it has no scores yet")
                continue
            scores = Profile.from_json(profiles[work.sha256])
            seen = Photograph(proof, work.name, max_pixels=self._max_pixels)
            question = ask_about(seen, advisor.name, advisor.biography)
            known.append(Known(question, {name: one.score for name, one in scores.measured.items()}))
        if not known:
            raise UsageError(
                f"no work of {advisor.name} has scores to compare with: `seemory advisor refresh {advisor.name}` "
                "measures them, `--data` names critiques instead"
            )
        return known

    def _examples(self, advisor: Advisor, data: Path, left_out: list[str]) -> list[Known]:
        examples = read_examples(data, advisor, max_pixels=self._max_pixels, listen=lambda _: None)
        left_out += [f"line {number}: {fault}" for number, fault in examples.bad]
        return [
            Known(one.question, {name: float(said.score) for name, said in one.critique.dimensions.items()})
            for one in examples.good
        ]


def agreement(critiques: Sequence[Critique | None], known: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    """For each dimension the rank correlation of a critic's scores with known ones; see `Side.agreement`."""
    valid = [(said, scores) for said, scores in zip(critiques, known, strict=True) if said is not None]
    return {
        name: spearman(
            np.array([said.dimensions[name].score for said, _ in valid], np.float64),
            np.array([scores[name] for _, scores in valid], np.float64),
        )
        for name in DIMENSIONS
    }


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Spearman's rank correlation of two `(n,)`, equal values sharing their middle rank; None where it is undefined."""
    if len(one) < _FEWEST or not np.ptp(one) or not np.ptp(other):
        return None
    return round(float(np.corrcoef(_ranks(one), _ranks(other))[0, 1]), 4)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place])


def _count(side: Side, reply: Reply) -> Critique | None:
    side.answers += 1
    side.prompt_tokens += reply.prompt_tokens
    side.completion_tokens += reply.completion_tokens
    try:
        if reply.cut:
            return None
        said = read_critique(reply.text)
    except WrongAnswer:
        return None
    side.valid += 1
    return said


def _judged(found: Evaluation, sides: Sequence[tuple[str | None, Side]]) -> Evaluation:
    for _, side in sides:
        told = [one for one in side.agreement.values() if one is not None]
        side.mean_agreement = round(sum(told) / len(told), 4) if told else None
    return found
