"""What a critic may answer: the form that its words are forced into, and the check that they are in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from seemory.advisors.profile import DIMENSIONS

LONGEST_COMMENT: Final = 240
"""Characters of what is said of one dimension."""
LONGEST_REMARK: Final = 400
"""Characters of what is said of the whole, and of the advice."""


def _text(longest: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


# Whole numbers and lengths only, which every server that constrains answers knows (llama.cpp: no bounds of fractions).
_REMARK: Final = _object({"score": {"type": "integer", "minimum": 0, "maximum": 10}, "comment": _text(LONGEST_COMMENT)})

SCHEMA: Final[Mapping[str, Any]] = _object(
    {
        "overall": _text(LONGEST_REMARK),
        "dimensions": _object(dict.fromkeys(DIMENSIONS, _REMARK)),
        "advice": _text(LONGEST_REMARK),
    }
)
"""The JSON schema of a critique. Bounded in length, so that no answer goes on for ever."""


class WrongAnswer(ValueError):
    """A critic's answer is no critique; the message says why."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What a critic says of one dimension."""

    score: int
    """0 to 10."""
    comment: str


@dataclass(frozen=True, slots=True)
class Critique:
    """What a critic says of a photograph."""

    overall: str
    dimensions: Mapping[str, Remark]
    """By the names in `DIMENSIONS`, all of them and in that order."""
    advice: str

    def as_json(self) -> dict[str, Any]:
        """The document of the schema."""
        remarks = {name: {"score": one.score, "comment": one.comment} for name, one in self.dimensions.items()}
        return {"overall": self.overall, "dimensions": remarks, "advice": self.advice}

    def written(self) -> str:
        """As a critic writes it: what adapters are trained to say, and what a grammar without other spaces allows."""
        return json.dumps(self.as_json(), ensure_ascii=False)


def read_critique(answer: str | Mapping[str, Any]) -> Critique:
    """The critique in a critic's answer; nothing that is missing or of another kind is guessed.

    Texts lose what cannot be printed, and their white space is made single spaces.

    Raises:
        WrongAnswer: it is not JSON, or not of the schema.
    """
    if isinstance(answer, str):
        try:
            # Not strict: the grammar of some servers lets bare control characters into texts, which lose them below.
            answer = json.loads(answer, strict=False)
        except (ValueError, RecursionError) as error:
            raise WrongAnswer(f"not JSON ({error})") from error
    whole = _fields("the answer", answer, ("overall", "dimensions", "advice"))
    remarks = _fields("dimensions", whole["dimensions"], DIMENSIONS)
    return Critique(
        overall=_words("overall", whole["overall"], LONGEST_REMARK),
        dimensions={name: _remark(name, remarks[name]) for name in DIMENSIONS},
        advice=_words("advice", whole["advice"], LONGEST_REMARK),
    )


def _remark(name: str, given: Any) -> Remark:
    fields = _fields(name, given, ("score", "comment"))
    score = fields["score"]
    if isinstance(score, bool) or not isinstance(score, int) or not 0 <= score <= 10:
        raise WrongAnswer(f"the score of {name} is a whole number from 0 to 10, not {json.dumps(score)[:40]}")
    return Remark(score, _words(f"the comment on {name}", fields["comment"], LONGEST_COMMENT))


def _fields(what: str, given: Any, names: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise WrongAnswer(f"{what} is an object with {', '.join(names)}")
    if set(given) != set(names):
        lacking = ", ".join(name for name in names if name not in given)
        more = ", ".join(str(name)[:40] for name in given if name not in names)
        told = "; ".join([*([f"it lacks {lacking}"] if lacking else []), *([f"it has {more}"] if more else [])])
        raise WrongAnswer(f"{what} has {', '.join(names)} and nothing else: {told}")
    return given


def _words(what: str, given: Any, longest: int) -> str:
    if not isinstance(given, str):
        raise WrongAnswer(f"{what} is a text")
    if len(given) > longest:
        raise WrongAnswer(f"{what} has {len(given)} characters, and at most {longest} are allowed")
    text = " ".join("".join(one if one.isprintable() else " " for one in given).split())
    if not text:
        raise WrongAnswer(f"{what} says nothing")
    return text
