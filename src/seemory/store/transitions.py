"""What an operator does to a collection's generations; each is one transaction that keeps writers and others out.

    (nothing) ── begin ──> building ── ready ──> ready ── switch ──> live ── rollback ──> ready
                                                  the live one ────> retired ──────────> live
    building, ready, retired ── drop ──> (nothing)

Beside the live generation there is at most one other, and whatever is written to the live one is written to it too. So
either may answer for an owner: named owners are switched to the newer one first, or left with the older one longer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg import sql
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from seemory.errors import GenerationsChanged, StoreError, UsageError
from seemory.store.backlog import has_backlog
from seemory.store.connect import Database
from seemory.store.generations import generations_of, make_generation, require_width
from seemory.store.locks import lock_for_operating
from seemory.store.owners import owners_of
from seemory.store.rollout import roll_out, rolled_out, take_back
from seemory.types import Generation

_PATIENCE_S = 60.0  # how long `drop` goes on asking for a moment without readers
_LOCK_TIMEOUT = "300ms"  # of one such try: shorter than deadlock_timeout, so that no reader is ever the victim


class Swap(NamedTuple):
    """Which generation answers from now on, and for whom."""

    live: Generation
    """The one that answers now, for those whom the change was about."""
    before: Generation
    """The one that answered for them."""
    owners: tuple[str, ...] | None = None
    """Whom the change was about; None: everybody."""

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        owners = None if self.owners is None else list(self.owners)
        return {"live": asdict(self.live), "before": asdict(self.before), "owners": owners}


class Transitions:
    """Changes the generations of one collection's pictures."""

    def __init__(self, database: Database, collection: str) -> None:
        self._database = database
        self.collection = collection

    def begin(self, *, model: str, fingerprint: str, dim: int) -> Generation:
        """The generation that is built for that fingerprint, made if there is none; an existing one is taken up again.

        Raises:
            UsageError: nothing is live, that encoder is the live one already, or another generation is in the way.
        """
        require_width(model, dim)
        with self._database.transaction(None) as connection:
            live, other = self._locked(connection)
            if live.fingerprint == fingerprint:
                raise UsageError(f"collection {self.collection!r} is on {live.model} already: there is nothing to do")
            if other is None:
                return make_generation(connection, self.collection, "visual", model, fingerprint, dim)
            if other.fingerprint != fingerprint:
                raise UsageError(
                    f"collection {self.collection!r} has a {other.state} generation of {other.model} beside the live "
                    f"one: finish with it, or `seemory reembed drop` it, before another is started"
                )
            return other

    def ready(self, generation: Generation, verification: Mapping[str, Any]) -> Generation:
        """The generation as it is after its verification, which is kept: building becomes ready if it passed.

        A ready generation that does not pass is building again. A retired one stays retired.
        """
        with self._database.transaction(None) as connection:
            _, other = self._locked(connection)
            if other is None or other.id != generation.id:
                raise GenerationsChanged(f"{generation.table} was changed by somebody else while it was verified")
            passed = bool(verification.get("passed")) and self._behind(connection, other) is None
            state = other.state if other.state == "retired" else "ready" if passed else "building"
            connection.execute(
                "UPDATE seemory.generation SET state = %s, verification = %s, updated_at = now() WHERE id = %s",
                [state, Jsonb(dict(verification)), other.id],
            )
            return self._locked(connection)[1] or other

    def switch(self, owners: Sequence[str] | None = None, *, force: bool = False) -> Swap:
        """What answers now: the ready generation, from the end of this transaction on, for everyone or these owners.

        For everyone, the ready one becomes live, the live one retired, and no owner is treated apart any more. After
        that, owners that had been taken back to the retired one are switched again.

        Raises:
            UsageError: no generation is ready, or the ready one lacks rows (`force` switches all the same), or an
                owner has nothing in the collection.
        """
        with self._database.transaction(None) as connection:
            live, other = self._locked(connection)
            self._require_known(connection, owners)
            if other is not None and other.state == "retired" and (owners or rolled_out(connection, other)):
                return self._take_back(connection, live, other, owners)
            if other is None or other.state == "retired":
                raise UsageError(
                    f"collection {self.collection!r} has nothing to switch to (live is {live.model}): "
                    f"`seemory reembed start --to MODEL` builds it"
                )
            if other.state != "ready" and not force:
                raise UsageError(
                    f"the generation of {other.model} is {other.state}, not ready: `seemory reembed start --to "
                    f"{other.model}` goes on with it and verifies it; `seemory reembed status` says what is wrong"
                )
            self._require_whole(connection, other, force, owners)
            if owners is not None:
                roll_out(connection, other, owners)
                return Swap(other, live, tuple(owners))
            return self._swap(connection, live, "retired", other)

    def rollback(self, owners: Sequence[str] | None = None, *, force: bool = False) -> Swap:
        """What answers now: the older generation, which was kept up to date meanwhile, for everyone or these owners.

        Before a switch for everyone, this takes back those that were switched first; after it, the retired generation
        becomes live again, or answers for these owners.

        Raises:
            UsageError: there is nothing to go back to, or the older one lacks rows (`force` goes back all the same),
                or an owner has nothing in the collection.
        """
        with self._database.transaction(None) as connection:
            live, other = self._locked(connection)
            self._require_known(connection, owners)
            if other is not None and other.state != "retired" and rolled_out(connection, other):
                return self._take_back(connection, live, other, owners)
            if other is None or other.state != "retired":
                raise UsageError(f"collection {self.collection!r} has no retired generation to go back to")
            self._require_whole(connection, other, force, owners)
            if owners is not None:
                roll_out(connection, other, owners)
                return Swap(other, live, tuple(owners))
            return self._swap(connection, live, "ready", other)

    def drop(self) -> Generation:
        """The generation beside the live one, which is gone with its table now.

        Raises:
            UsageError: there is none, or it still answers for some owners.
            StoreError: readers left no moment free; nothing was changed.
        """
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self._drop()
            except StoreError as error:
                if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable) or time.monotonic() > until:
                    raise
            time.sleep(0.05)

    def _drop(self) -> Generation:
        with self._database.transaction(None) as connection:
            _, other = self._locked(connection)
            if other is None:
                raise UsageError(f"collection {self.collection!r} has no generation beside the live one")
            if asked := rolled_out(connection, other):
                back = "switch" if other.state == "retired" else "rollback"
                raise UsageError(
                    f"{other.table} answers for {len(asked):,} owners, for example {asked[0]!r}: `seemory reembed "
                    f"{back}` gives them the live one"
                )
            table = Identifier("seemory", other.table)
            # A table that refers to `item` can only go when nobody uses `item`. Both are locked before anything is
            # changed, for a moment only: a reader that came in another order waits, and is not made to fail.
            connection.execute("SELECT set_config('lock_timeout', %s, true)", [_LOCK_TIMEOUT])
            connection.execute(SQL("LOCK TABLE {}, seemory.item IN ACCESS EXCLUSIVE MODE").format(table))
            connection.execute(SQL("DROP TABLE {}").format(table))
            connection.execute("DELETE FROM seemory.generation WHERE id = %s", [other.id])
            return other

    def _locked(self, connection: psycopg.Connection[Any]) -> tuple[Generation, Generation | None]:
        """(the live generation, the other one or None), with writers and other operators kept out."""
        lock_for_operating(connection, self.collection)
        found = generations_of(connection, self.collection, lock=True)
        if not found or found[0].state != "live":
            raise UsageError(f"collection {self.collection!r} is empty: run `seemory index PATH` first")
        return found[0], found[1] if len(found) > 1 else None

    def _require_known(self, connection: psycopg.Connection[Any], owners: Sequence[str] | None) -> None:
        if owners is None:
            return
        unknown = [owner for owner in owners if owner not in set(owners_of(connection, self.collection))]
        if unknown or not owners:
            whom = ", ".join(map(repr, unknown[:5])) or "nobody in particular"
            raise UsageError(f"collection {self.collection!r} has nothing of {whom}: name owners that have files in it")

    def _take_back(
        self, connection: psycopg.Connection[Any], live: Generation, other: Generation, owners: Sequence[str] | None
    ) -> Swap:
        """The live generation answers again for those whom the other one answered for, or for these of them."""
        asked = rolled_out(connection, other) if owners is None else list(owners)
        take_back(connection, other, asked)
        return Swap(live, other, tuple(asked))

    def _require_whole(
        self, connection: psycopg.Connection[Any], generation: Generation, force: bool, owners: Sequence[str] | None
    ) -> None:
        if not force and (owner := self._behind(connection, generation, owners)) is not None:
            raise UsageError(
                f"the generation of {generation.model} lacks items, for example of owner {owner!r}: "
                f"`seemory reembed start --to {generation.model}` makes it whole"
            )

    def _behind(
        self, connection: psycopg.Connection[Any], generation: Generation, owners: Sequence[str] | None = None
    ) -> str | None:
        """An owner, of these or of all, some of whose items have no row; each is asked under its own policy."""
        behind = None
        for owner in owners_of(connection, self.collection) if owners is None else owners:
            connection.execute(SQL("SET LOCAL seemory.owner TO {}").format(sql.Literal(owner)))
            if has_backlog(connection, owner, generation):
                behind = owner
                break
        connection.execute("SET LOCAL seemory.owner TO ''")
        return behind

    def _swap(
        self,
        connection: psycopg.Connection[Any],
        live: Generation,
        becomes: Literal["retired", "ready"],
        other: Generation,
    ) -> Swap:
        take_back(connection, other)
        # In this order: the index over live generations never sees two.
        for generation, state in ((live, becomes), (other, "live")):
            connection.execute(
                "UPDATE seemory.generation SET state = %s, updated_at = now() WHERE id = %s", [state, generation.id]
            )
        now, before = self._locked(connection)
        assert before is not None
        return Swap(now, before)
