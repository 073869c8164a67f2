"""How a search was answered: the way that was chosen, by which figures, and what Postgres did on it.

What Postgres reports of rows that a filter removed counts other owners' rows too; those lines are left out. The size of
the table and of its index, which all owners share, may be read from the buffers, as `seemory stats` says it anyway.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg
from psycopg.sql import SQL, Composed

from seemory.store.choice import Choice, Way
from seemory.store.halfvec import Halfvec
from seemory.store.uuids import Uuids

_VECTOR = re.compile(r"'\[[-+.,0-9eE]{20,}\]'")
_OF_OTHERS = ("Rows Removed by", "Heap Fetches", "Heap Blocks", "Index Searches")


@dataclass(frozen=True, slots=True)
class Step:
    """One statement: on which way, with which parameters, and Postgres's plan of it with times and buffers."""

    way: Way
    statement: str
    parameters: tuple[str, ...]
    plan: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A search explained."""

    table: str
    choice: Choice
    steps: list[Step] = field(default_factory=list)
    """More than one where the index's answer was not complete, and what it fell back to."""

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {"table": self.table, "choice": asdict(self.choice), "steps": [asdict(step) for step in self.steps]}

    def as_text(self) -> str:
        """For people."""
        figures = {name: value for name, value in asdict(self.choice).items() if name not in ("way", "reason")}
        lines = [f"{self.table}: {self.choice.way} ({self.choice.reason})"]
        lines += [f"  {name} {value}" for name, value in figures.items() if value]
        for number, step in enumerate(self.steps, start=1):
            lines += ["", f"statement {number}, {step.way}:", *(f"  {line}" for line in step.statement.splitlines())]
            lines += ["parameters: " + ", ".join(step.parameters), *(f"  {line}" for line in step.plan)]
        return "\n".join(lines)


class Explaining:
    """An observer of a search that has each of its statements explained."""

    def __init__(self, connection: psycopg.Connection[Any], steps: list[Step]) -> None:
        self._connection = connection
        self._steps = steps

    def __call__(self, way: Way, statement: Composed, values: Sequence[Any]) -> None:
        """Run the statement under EXPLAIN (ANALYZE, BUFFERS) and keep what is this owner's of the report."""
        rows = self._connection.execute(SQL("EXPLAIN (ANALYZE, BUFFERS) ") + statement, values).fetchall()
        plan = tuple(_VECTOR.sub("'[query]'", line) for (line,) in rows if not line.strip().startswith(_OF_OTHERS))
        text = statement.as_string(self._connection).strip()
        self._steps.append(Step(way, text, tuple(map(_shown, values)), plan))


def _shown(value: Any) -> str:
    if isinstance(value, Halfvec):
        return f"a vector of {len(value.vector)} dimensions"
    if isinstance(value, Uuids) or (isinstance(value, list) and len(value) > 10):
        return f"a list of {len(value)}"
    return repr(value) if isinstance(value, str) else str(value)
