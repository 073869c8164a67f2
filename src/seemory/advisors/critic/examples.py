"""Critiques to learn from: a .jsonl file, line by line; a bad line is named and left out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from seemory.advisors.critic.critique import Critique, WrongAnswer, read_critique
from seemory.advisors.critic.question import Question, ask_about
from seemory.advisors.photograph import Photograph
from seemory.errors import MediaError, UsageError
from seemory.store.libraries import Advisor
from seemory.telemetry import Progress, ProgressListener

_LONGEST_LINE: Final = 100_000


@dataclass(frozen=True, slots=True)
class Example:
    """A question, and the critique that answers it."""

    sha256: str
    """Of the picture's bytes."""
    name: str
    question: Question
    critique: Critique


@dataclass(frozen=True, slots=True)
class Examples:
    """What a file has."""

    good: tuple[Example, ...]
    bad: tuple[tuple[int, str], ...] = field(default=())
    """Number and fault of each line that was left out."""

    @property
    def digest(self) -> str:
        """Of all that is learned from, in order."""
        total = hashlib.sha256()
        for one in self.good:
            for part in (one.question.picture, one.question.system, one.question.words, one.critique.written()):
                encoded = part if isinstance(part, bytes) else part.encode()
                total.update(len(encoded).to_bytes(8, "big") + encoded)
        return total.hexdigest()


def read_examples(path: Path, advisor: Advisor, *, max_pixels: int, listen: ProgressListener) -> Examples:
    """The critiques in a file, as this advisor's critic would be asked for them.

    A line has `image`, a picture's path from the file's folder, and `critique`, of the schema of
    `seemory.advisors.critic.critique`. Empty lines are passed over; what is wrong is told with its line's number.

    Raises:
        UsageError: the file cannot be read, or has no good line.
    """
    try:
        lines = path.expanduser().read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: the critiques cannot be read ({error})") from error
    good: list[Example] = []
    bad: list[tuple[int, str]] = []
    seen: set[tuple[str, str]] = set()
    told = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    listen(Progress("examples", 0, len(told), "critiques"))
    for done, (number, line) in enumerate(told, start=1):
        try:
            example = _example(line, path.expanduser().parent, advisor, max_pixels)
            key = example.sha256, example.critique.written()
            if key in seen:
                raise WrongAnswer("the same picture with the same critique stands above")
            seen.add(key)
            good.append(example)
        except (WrongAnswer, MediaError) as error:
            bad.append((number, str(error)))
        listen(Progress("examples", done, len(told), "critiques"))
    if not good:
        first = f"; line {bad[0][0]}: {bad[0][1]}" if bad else ""
        raise UsageError(f"{path}: there is no critique in it that can be used{first}")
    return Examples(tuple(good), tuple(bad))


def _example(line: str, folder: Path, advisor: Advisor, max_pixels: int) -> Example:
    if len(line) > _LONGEST_LINE:
        raise WrongAnswer(f"longer than {_LONGEST_LINE:,} characters")
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise WrongAnswer(f"not JSON ({error})") from error
    image, critique = _parts(document)
    photograph = Photograph.read(folder / Path(image).expanduser(), max_pixels=max_pixels)
    question = ask_about(photograph, advisor.name, advisor.biography)
    return Example(photograph.sha256.hex(), image, question, read_critique(critique))


def _parts(document: Any) -> Iterator[Any]:
    if not isinstance(document, dict) or not isinstance(document.get("image"), str):
        raise WrongAnswer("must be an object with `image`, a path, and `critique`")
    if not isinstance(document.get("critique"), dict):
        raise WrongAnswer("`critique` must be an object with overall, dimensions and advice")
    return iter((document["image"], document["critique"]))
