# ruff: noqa: S608 - statements are put together from this package's own constants; values are always parameters
"""Assets and items of one owner: what is known of files, and what can be found."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier

from seemory.errors import ItemNotFound
from seemory.store import naming
from seemory.store.ann_index import analyze, ensure_index
from seemory.store.connect import Database
from seemory.store.filters import conditions
from seemory.store.rows import ITEM_COLUMNS, KNOWN_STATE, WHOLE_ITEM_COLUMNS, item_of, known_columns, known_of
from seemory.store.statistics import collection_statistics
from seemory.store.texts import escape, unescape
from seemory.store.vocabulary import rename
from seemory.store.writing import Written, write
from seemory.types import FileOutcome, Filter, Generation, Item, KnownFile

_FROM = """
FROM seemory.item i
JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
JOIN seemory.collection c ON c.id = i.collection_id
WHERE i.owner_id = %s AND """
_ITEMS = f"SELECT {ITEM_COLUMNS} {_FROM}"


class Items:
    """The assets and items of one owner, in any collection."""

    def __init__(self, database: Database, owner: str, language: str = "english") -> None:
        """`language` is the text search configuration for what files say of themselves."""
        self._database = database
        self.owner = owner
        self._language = language

    def _transaction(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        return self._database.transaction(self.owner)

    # -- files ---------------------------------------------------------------------------------------------------

    def known(self, collection: str, generation: Generation, uris: Sequence[str]) -> dict[str, KnownFile]:
        """Those of the files that the collection has met before, by their uri, in one query."""
        statement = SQL(
            f"SELECT {known_columns()} FROM unnest(%s::text[]) AS wanted (uri) "
            "JOIN seemory.asset a ON a.owner_id = %s AND a.uri_key = md5(wanted.uri)::uuid "
            "AND a.collection_id = (SELECT id FROM seemory.collection WHERE name = %s) "
            f"{KNOWN_STATE}"
        ).format(table=Identifier("seemory", generation.table))
        with self._transaction() as connection:
            rows = connection.execute(statement, [[escape(uri) for uri in uris], self.owner, collection])
            return {file.uri: file for file in map(known_of, rows)}

    def by_hash(self, collection: str, generation: Generation, hashes: Sequence[bytes]) -> dict[bytes, list[KnownFile]]:
        """The collection's files with those bytes, by sha256; oldest first."""
        statement = SQL(
            f"SELECT {known_columns()} FROM seemory.asset a {KNOWN_STATE} "
            "WHERE a.owner_id = %s AND a.sha256 = ANY (%s::bytea[]) "
            "AND a.collection_id = (SELECT id FROM seemory.collection WHERE name = %s) ORDER BY a.created_at, a.id"
        ).format(table=Identifier("seemory", generation.table))
        found: dict[bytes, list[KnownFile]] = {}
        with self._transaction() as connection:
            for file in map(known_of, connection.execute(statement, [self.owner, list(hashes), collection])):
                found.setdefault(file.sha256 or b"", []).append(file)
        return found

    def of_bytes(self, generation: Generation, sha256: bytes) -> UUID | None:
        """The item of a file with those bytes that is not gone and has its vector, the oldest of several; or None."""
        statement = SQL(
            """
            SELECT i.id FROM seemory.asset a
            JOIN seemory.item i ON i.owner_id = a.owner_id AND i.asset_id = a.id
            JOIN {table} v ON v.owner_id = i.owner_id AND v.item_id = i.id
            WHERE a.owner_id = %s AND a.sha256 = %s AND a.missing_at IS NULL AND v.embedding IS NOT NULL
              AND a.collection_id = (SELECT id FROM seemory.collection WHERE name = %s)
            ORDER BY a.created_at, a.id, i.ordinal LIMIT 1"""
        ).format(table=Identifier("seemory", generation.table))
        with self._transaction() as connection:
            row = connection.execute(statement, [self.owner, sha256, generation.collection]).fetchone()
        return row[0] if row else None

    def uses(self, uri: str) -> bool:
        """Whether the owner has this file in any collection."""
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT EXISTS (SELECT FROM seemory.asset WHERE owner_id = %s AND uri_key = md5(%s)::uuid)",
                [self.owner, escape(uri)],
            ).fetchone()
        return bool(row and row[0])

    def write(
        self,
        collection: str,
        generation: Generation,
        outcomes: Sequence[FileOutcome],
        covered: Collection[int] | None = None,
    ) -> int:
        """How many files were written, all or none; writing the same again changes nothing but the times.

        A file with an error loses its items and keeps the error. The last of several outcomes of one file counts.

        Args:
            collection, generation: the live generation of that collection.
            outcomes: what was learned of each file.
            covered: ids of all generations that the outcomes were made for, the live one among them; None: not asked.

        Raises:
            UsageError: a vector has another width than its generation.
            GenerationsChanged: the collection has other generations by now than `covered`, or another live one.
        """
        return self.write_telling_new(collection, generation, outcomes, covered).files

    def write_telling_new(
        self,
        collection: str,
        generation: Generation,
        outcomes: Sequence[FileOutcome],
        covered: Collection[int] | None = None,
    ) -> Written:
        """What `write` gives, and how many of the files the collection had not met before."""
        naming.require_same_collection(collection, generation)
        with self._transaction() as connection:
            return self._write(connection, generation, [(outcome, None) for outcome in outcomes], covered)

    def copy_vectors(
        self,
        collection: str,
        generation: Generation,
        pairs: Sequence[tuple[FileOutcome, UUID]],
        covered: Collection[int] | None = None,
    ) -> int:
        """How many files were written with the vectors, facts and thumbnail of an asset that has the same bytes.

        Raises as `write` does.
        """
        naming.require_same_collection(collection, generation)
        with self._transaction() as connection:
            return self._write(connection, generation, pairs, covered).files

    def _write(
        self,
        connection: psycopg.Connection[Any],
        generation: Generation,
        pairs: Sequence[tuple[FileOutcome, UUID | None]],
        covered: Collection[int] | None,
    ) -> Written:
        distributed = self._database.distributed
        return write(connection, self.owner, generation, pairs, covered, self._language, distributed=distributed)

    def ensure_index(self, generation: Generation) -> bool:
        """Whether the generation's approximate index was built now, because the owner's rows have become many."""
        return ensure_index(self._database, self.owner, generation)

    def analyze(self, generation: Generation) -> None:
        """Have it count at once what came in, instead of in a minute: until then it takes the tables for empty."""
        with self._transaction() as connection:
            analyze(connection, generation)

    def move(self, asset_id: UUID, outcome_uri: str, bytes: int, mtime_ns: int) -> None:
        """Give a file its new name; what was known under that name before is replaced."""
        uri = escape(outcome_uri)
        with self._transaction() as connection:
            connection.execute(
                """
                DELETE FROM seemory.asset old USING seemory.asset this
                WHERE this.owner_id = %(owner)s AND this.id = %(id)s
                  AND old.owner_id = %(owner)s AND old.collection_id = this.collection_id
                  AND old.uri_key = md5(%(uri)s)::uuid AND old.id <> this.id""",
                {"owner": self.owner, "id": asset_id, "uri": uri},
            )
            connection.execute(
                "UPDATE seemory.asset SET uri = %s, bytes = %s, mtime_ns = %s, missing_at = NULL, updated_at = now() "
                "WHERE owner_id = %s AND id = %s",
                [uri, bytes, mtime_ns, self.owner, asset_id],
            )
            rename(connection, self.owner, asset_id, self._language)

    def touch(self, asset_ids: Sequence[UUID], sizes_and_times: Sequence[tuple[int, int]]) -> int:
        """How many files were given their new (bytes, mtime_ns); their content is the same."""
        with self._transaction() as connection:
            return connection.execute(
                """
                UPDATE seemory.asset a
                SET bytes = now_is.bytes, mtime_ns = now_is.mtime_ns, missing_at = NULL, updated_at = now()
                FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[]) AS now_is (id, bytes, mtime_ns)
                WHERE a.owner_id = %s AND a.id = now_is.id""",
                [
                    list(asset_ids),
                    [size for size, _ in sizes_and_times],
                    [mtime_ns for _, mtime_ns in sizes_and_times],
                    self.owner,
                ],
            ).rowcount

    def mark_missing(self, collection: str, asset_ids: Sequence[UUID]) -> int:
        """How many files were there and are now marked as gone; searches leave them out, nothing is forgotten."""
        return self._set_missing(collection, asset_ids, SQL("now()"), SQL("missing_at IS NULL"))

    def unmark_missing(self, collection: str, asset_ids: Sequence[UUID]) -> int:
        """How many files were marked as gone and are back."""
        return self._set_missing(collection, asset_ids, SQL("NULL"), SQL("missing_at IS NOT NULL"))

    def _set_missing(self, collection: str, asset_ids: Sequence[UUID], value: SQL, which: SQL) -> int:
        statement = SQL(
            "UPDATE seemory.asset SET missing_at = {}, updated_at = now() WHERE owner_id = %s AND id = ANY (%s) "
            "AND collection_id = (SELECT id FROM seemory.collection WHERE name = %s) AND {}"
        ).format(value, which)
        with self._transaction() as connection:
            return connection.execute(statement, [self.owner, list(asset_ids), collection]).rowcount

    def under(self, collection: str, roots: Sequence[str]) -> Iterator[tuple[UUID, str]]:
        """(asset id, uri) of every file at or below the roots, in pages, so that a caller may write meanwhile."""
        ends = tuple({"/", os.sep})
        names = [escape(root) for root in roots]
        folders = [root if root.endswith(ends) else root + end for root in names for end in ends]
        after = UUID(int=0)
        while True:
            with self._transaction() as connection:
                page = connection.execute(
                    """
                    SELECT id, uri FROM seemory.asset
                    WHERE owner_id = %s AND id > %s
                      AND collection_id = (SELECT id FROM seemory.collection WHERE name = %s)
                      AND (uri = ANY (%s)
                           OR EXISTS (SELECT FROM unnest(%s::text[]) folder WHERE starts_with(uri, folder)))
                    ORDER BY id LIMIT 5000""",
                    [self.owner, after, collection, names, folders],
                ).fetchall()
            if not page:
                return
            yield from ((asset_id, unescape(uri)) for asset_id, uri in page)
            after = page[-1][0]

    # -- items ---------------------------------------------------------------------------------------------------

    def get(self, item_id: UUID) -> Item:
        """One item.

        Raises:
            ItemNotFound: this owner has none with that id.
        """
        with self._transaction() as connection:
            whole = _ITEMS.replace(ITEM_COLUMNS, WHOLE_ITEM_COLUMNS)
            row = connection.execute(whole + "i.id = %s", [self.owner, item_id]).fetchone()
        if row is None:
            raise ItemNotFound(f"there is no item {item_id}")
        return item_of(row)

    def many(self, item_ids: Sequence[UUID]) -> dict[UUID, Item]:
        """Those of the items that there are, in one query."""
        with self._transaction() as connection:
            rows = connection.execute(_ITEMS + "i.id = ANY (%s)", [self.owner, list(item_ids)])
            return {item.item_id: item for item in map(item_of, rows)}

    def resolve(self, text: str, collection: str) -> UUID:
        """The item that a person means by a full id, a unique beginning of one (6 digits or more), or a file's path.

        Raises:
            ItemNotFound: nothing of this owner is called that, or several are; the message names them.
        """
        with self._transaction() as connection:
            return naming.resolve(connection, self.owner, text, collection)

    def resolve_all(self, text: str, collection: str) -> list[UUID]:
        """The items that a person means: a film's path means all its scenes. Raises as `resolve` does."""
        with self._transaction() as connection:
            return naming.resolve_all(connection, self.owner, text, collection)

    def thumbnail(self, item_id: UUID) -> bytes | None:
        """The small picture of an item as JPEG bytes; None if there is none, or no such item."""
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT thumbnail FROM seemory.item WHERE owner_id = %s AND id = %s", [self.owner, item_id]
            ).fetchone()
        return row[0] if row else None

    def delete(self, item_ids: Sequence[UUID]) -> int:
        """How many items were forgotten, with their vectors; a file whose last item goes is forgotten as well."""
        with self._transaction() as connection:
            # Files first and in order, as writing has it: who adds the same file at this moment waits, and so do we.
            connection.execute(
                """
                SELECT FROM seemory.asset a WHERE a.owner_id = %s AND a.id IN
                    (SELECT i.asset_id FROM seemory.item i WHERE i.owner_id = %s AND i.id = ANY (%s))
                ORDER BY a.uri_key, a.id FOR UPDATE""",
                [self.owner, self.owner, list(item_ids)],
            )
            gone = connection.execute(
                "DELETE FROM seemory.item WHERE owner_id = %s AND id = ANY (%s) RETURNING asset_id",
                [self.owner, list(item_ids)],
            ).fetchall()
            connection.execute(
                """
                DELETE FROM seemory.asset a WHERE a.owner_id = %s AND a.id = ANY (%s)
                AND NOT EXISTS (SELECT FROM seemory.item i WHERE i.owner_id = a.owner_id AND i.asset_id = a.id)""",
                [self.owner, [asset_id for (asset_id,) in gone]],
            )
        return len(gone)

    def listing(
        self, collection: str, *, limit: int = 100, offset: int = 0, filters: Sequence[Filter] = ()
    ) -> list[Item]:
        """A page of the collection's items that meet all filters, in the order in which they came."""
        clause, values = conditions(filters)
        statement = SQL(_ITEMS + "c.name = %s AND ") + clause + SQL(" ORDER BY i.created_at, i.id LIMIT %s OFFSET %s")
        with self._transaction() as connection:
            rows = connection.execute(statement, [self.owner, collection, *values, limit, offset])
            return [item_of(row) for row in rows]

    def pages(self, collection: str, *, batch: int = 500, filters: Sequence[Filter] = ()) -> Iterator[list[Item]]:
        """All of the collection's items that meet all filters, in the order in which they came, page by page.

        Each page begins after the last item of the one before, not at a number: what is forgotten meanwhile, or comes
        with an earlier time because a clock was set back, makes no item fall out or come twice.
        """
        clause, values = conditions(filters)
        statement = (
            SQL(f"SELECT i.created_at, {ITEM_COLUMNS} {_FROM} c.name = %s AND ")
            + clause
            + SQL(" AND (i.created_at, i.id) > (%s, %s) ORDER BY i.created_at, i.id LIMIT %s")
        )
        after: tuple[datetime | str, UUID] = ("-infinity", UUID(int=0))
        while True:
            with self._transaction() as connection:
                page = connection.execute(statement, [self.owner, collection, *values, *after, batch]).fetchall()
            if not page:
                return
            items = [item_of(tuple(item)) for _, *item in page]
            yield items
            after = (page[-1][0], items[-1].item_id)

    def stats(self, collection: str) -> dict[str, Any]:
        """Counts and sizes: assets, items, by_kind, embedded, failed_vectors, errors, missing, table_bytes,
        index_bytes."""
        with self._transaction() as connection:
            return collection_statistics(connection, self.owner, collection)

    def errors(self, collection: str, limit: int = 100) -> list[tuple[str, str, int]]:
        """(uri, reason, attempts) of files that could not be used, latest first."""
        with self._transaction() as connection:
            rows = connection.execute(
                """
                SELECT uri, error, attempts FROM seemory.asset
                WHERE owner_id = %s AND error IS NOT NULL
                  AND collection_id = (SELECT id FROM seemory.collection WHERE name = %s)
                ORDER BY updated_at DESC, uri LIMIT %s""",
                [self.owner, collection, limit],
            )
            return [(unescape(uri), error, attempts) for uri, error, attempts in rows]
