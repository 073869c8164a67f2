"""Advisors and their references: rows of one owner, and what was made of each content by which encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg.types.json import Jsonb

from seemory.store.connect import Database
from seemory.store.halfvec import Halfvec
from seemory.store.texts import clean, clean_json, escape, unescape
from seemory.types import Blob, Vector

_ADVISORS = """
SELECT a.name, a.biography, count(r.sha256), a.adapter
FROM seemory.advisor a LEFT JOIN seemory.reference r ON r.owner_id = a.owner_id AND r.advisor = a.name
WHERE a.owner_id = %s GROUP BY a.owner_id, a.name, a.biography, a.adapter ORDER BY a.name"""

_SAVE_ADVISOR = """
INSERT INTO seemory.advisor AS a (owner_id, name, biography) VALUES (%s, %s, %s)
ON CONFLICT (owner_id, name) DO UPDATE
    SET biography = coalesce(excluded.biography, a.biography), updated_at = excluded.updated_at
    WHERE excluded.biography IS NOT NULL AND excluded.biography IS DISTINCT FROM a.biography"""

_REFERENCES = """
SELECT sha256, uri, title, year, source, licence, width, height
FROM seemory.reference WHERE owner_id = %s AND advisor = %s ORDER BY uri, sha256"""

_SHELF = """
SELECT r.sha256, r.uri, r.title, r.year, r.source, r.licence, r.width, r.height, v.embedding
FROM seemory.reference r
LEFT JOIN seemory.reference_vector v
    ON v.owner_id = r.owner_id AND v.sha256 = r.sha256 AND v.fingerprint = %(fingerprint)s
WHERE r.owner_id = %(owner)s AND r.advisor = %(advisor)s ORDER BY r.uri, r.sha256"""

_PROFILES = """
SELECT p.sha256, p.profile
FROM seemory.reference r
JOIN seemory.dimension_profile p ON p.owner_id = r.owner_id AND p.sha256 = r.sha256
WHERE r.owner_id = %s AND r.advisor = %s AND p.fingerprint = %s AND p.formulas = %s"""

_WITH_VECTOR = "SELECT sha256 FROM seemory.reference_vector WHERE owner_id = %s AND fingerprint = %s"

_WITH_PROFILE = """
SELECT sha256 FROM seemory.dimension_profile WHERE owner_id = %s AND fingerprint = %s AND formulas = %s"""

_SAVE_REFERENCE = """
INSERT INTO seemory.reference (owner_id, advisor, sha256, uri, title, year, source, licence, width, height, proof)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (owner_id, advisor, sha256) DO UPDATE
    SET uri = excluded.uri, title = excluded.title, year = excluded.year, source = excluded.source,
        licence = excluded.licence, proof = excluded.proof"""

_CORRECT = """
UPDATE seemory.reference SET uri = %s, title = %s, year = %s, source = %s, licence = %s
WHERE owner_id = %s AND advisor = %s AND sha256 = %s"""

_SAVE_VECTOR = """
INSERT INTO seemory.reference_vector (owner_id, sha256, fingerprint, embedding) VALUES (%s, %s, %s, %s)
ON CONFLICT (owner_id, sha256, fingerprint) DO NOTHING"""

_SAVE_PROFILE = """
INSERT INTO seemory.dimension_profile (owner_id, sha256, fingerprint, formulas, profile) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (owner_id, sha256, fingerprint, formulas) DO NOTHING"""

_REMOVE = """
DELETE FROM seemory.reference
WHERE owner_id = %(owner)s AND advisor = %(advisor)s
  AND (%(contents)s::bytea[] IS NULL OR sha256 = ANY (%(contents)s::bytea[]))"""

_REMOVE_ADVISOR = "DELETE FROM seemory.advisor WHERE owner_id = %(owner)s AND name = %(advisor)s"

# What was made of a content goes with its last reference.
_DROP_VECTORS = """
DELETE FROM seemory.reference_vector m WHERE m.owner_id = %(owner)s AND NOT EXISTS (
    SELECT FROM seemory.reference r WHERE r.owner_id = m.owner_id AND r.sha256 = m.sha256)"""

_DROP_PROFILES = """
DELETE FROM seemory.dimension_profile m WHERE m.owner_id = %(owner)s AND NOT EXISTS (
    SELECT FROM seemory.reference r WHERE r.owner_id = m.owner_id AND r.sha256 = m.sha256)"""


@dataclass(frozen=True, slots=True)
class Advisor:
    """Whose work a library holds."""

    name: str
    biography: str | None
    references: int
    """How many works there are."""
    adapter: Mapping[str, Any] | None = None
    """What is known of the adapter that speaks for it, if one was trained."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One work of a library."""

    sha256: Blob
    """Of its file's bytes, which it is known by."""
    uri: str
    title: str | None = None
    year: str | None = None
    source: str | None = None
    licence: str | None = None
    width: int = 0
    height: int = 0

    @property
    def key(self) -> str:
        """The beginning of the hash, by which people name it."""
        return self.sha256.hex()[:12]

    @property
    def name(self) -> str:
        """Its title, or what its file is called."""
        return self.title or self.file_name

    @property
    def file_name(self) -> str:
        """What its file is called, without the folder."""
        return self.uri.replace("\\", "/").rpartition("/")[2]

    @property
    def names(self) -> frozenset[str | None]:
        """All that it may be called by."""
        return frozenset({self.key, self.sha256.hex(), self.file_name, self.title, self.uri})

    @property
    def is_here(self) -> bool:
        """Whether its file is where it was."""
        return Path(self.uri).is_file()

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        told = {name: getattr(self, name) for name in self.__slots__ if name != "sha256"}
        return {"key": self.key, "sha256": self.sha256.hex(), "name": self.name} | told


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of one content."""

    vector: Vector | None = None
    profile: Mapping[str, Any] | None = None
    """The document of its eight scores."""


@dataclass(frozen=True, slots=True)
class Known:
    """The contents that need not be made again, for one encoder and one version of the formulas."""

    vectors: frozenset[bytes] = field(default_factory=frozenset)
    profiles: frozenset[bytes] = field(default_factory=frozenset)


class Libraries:
    """The advisors of one owner. They belong to no collection: whichever encoder answers, they are compared by it."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self.owner = owner

    def advisors(self) -> list[Advisor]:
        """All of them, by name."""
        with self._database.transaction(self.owner) as connection:
            rows = connection.execute(_ADVISORS, [self.owner]).fetchall()
        return [Advisor(unescape(name), *rest) for name, *rest in rows]

    def advisor(self, name: str) -> Advisor | None:
        """The advisor of that name."""
        return next((one for one in self.advisors() if one.name == name), None)

    def references(self, advisor: str) -> list[Reference]:
        """An advisor's works, in the order of their files' paths."""
        with self._database.transaction(self.owner) as connection:
            rows = connection.execute(_REFERENCES, [self.owner, escape(advisor)]).fetchall()
        return [_reference(row) for row in rows]

    def shelf(self, advisor: str, fingerprint: str) -> list[tuple[Reference, Vector | None]]:
        """An advisor's works with their vectors by that encoder; None where it has made none."""
        names = {"owner": self.owner, "advisor": escape(advisor), "fingerprint": fingerprint}
        with self._database.transaction(self.owner) as connection, connection.cursor(binary=True) as cursor:
            rows = cursor.execute(_SHELF, names).fetchall()
        return [(_reference(row[:-1]), row[-1]) for row in rows]

    def profiles(self, advisor: str, fingerprint: str, formulas: str) -> dict[bytes, Mapping[str, Any]]:
        """The documents of the eight scores of an advisor's works, by content; as far as they were made."""
        with self._database.transaction(self.owner) as connection:
            rows = connection.execute(_PROFILES, [self.owner, escape(advisor), fingerprint, formulas]).fetchall()
        return {bytes(sha256): profile for sha256, profile in rows}

    def known(self, fingerprint: str, formulas: str) -> Known:
        """Of which contents there is a vector and a profile already, whichever advisor they are of."""
        with self._database.transaction(self.owner) as connection:
            vectors = connection.execute(_WITH_VECTOR, [self.owner, fingerprint]).fetchall()
            profiles = connection.execute(_WITH_PROFILE, [self.owner, fingerprint, formulas]).fetchall()
        return Known(frozenset(bytes(one) for (one,) in vectors), frozenset(bytes(one) for (one,) in profiles))

    def save(self, name: str, biography: str | None) -> None:
        """Have that advisor; a biography that is given replaces the one there was."""
        with self._database.transaction(self.owner) as connection:
            connection.execute(
                _SAVE_ADVISOR, [self.owner, escape(name), None if biography is None else clean(biography)]
            )

    def set_adapter(self, name: str, adapter: Mapping[str, Any]) -> bool:
        """Whether there is that advisor, whose adapter this is from now on."""
        statement = "UPDATE seemory.advisor SET adapter = %s, updated_at = now() WHERE owner_id = %s AND name = %s"
        with self._database.transaction(self.owner) as connection:
            row = [Jsonb(clean_json(adapter)), self.owner, escape(name)]
            return connection.execute(statement, row).rowcount == 1

    def keep(self, advisor: str, reference: Reference, proof: bytes) -> None:
        """Have that work in the library; one of the same content is replaced. The advisor must be there."""
        row = [self.owner, escape(advisor), reference.sha256, *_told(reference)]
        with self._database.transaction(self.owner) as connection:
            connection.execute(_SAVE_REFERENCE, [*row, reference.width, reference.height, proof])

    def correct(self, advisor: str, reference: Reference) -> None:
        """Say anew where a work's file lies, and its title, year, source and licence."""
        with self._database.transaction(self.owner) as connection:
            connection.execute(_CORRECT, [*_told(reference), self.owner, escape(advisor), reference.sha256])

    def note(self, sha256: bytes, made: Made, fingerprint: str, formulas: str) -> None:
        """Keep what was made of a content; what is there already stays."""
        with self._database.transaction(self.owner) as connection:
            if made.vector is not None:
                connection.execute(_SAVE_VECTOR, [self.owner, sha256, fingerprint, Halfvec(made.vector)])
            if made.profile is not None:
                document = Jsonb(clean_json(made.profile))
                connection.execute(_SAVE_PROFILE, [self.owner, sha256, fingerprint, formulas, document])

    def proof(self, advisor: str, sha256: bytes) -> bytes | None:
        """The small copy of a work, as JPEG bytes."""
        statement = "SELECT proof FROM seemory.reference WHERE owner_id = %s AND advisor = %s AND sha256 = %s"
        with self._database.transaction(self.owner) as connection:
            row = connection.execute(statement, [self.owner, escape(advisor), sha256]).fetchone()
        return bytes(row[0]) if row else None

    def remove(self, advisor: str, contents: Sequence[bytes] | None = None) -> int:
        """How many works were removed: those of these contents, or all of them and the advisor; no file is touched."""
        names = {
            "owner": self.owner,
            "advisor": escape(advisor),
            "contents": None if contents is None else list(contents),
        }
        with self._database.transaction(self.owner) as connection:
            gone = connection.execute(_REMOVE, names).rowcount
            if contents is None:
                connection.execute(_REMOVE_ADVISOR, names)
            connection.execute(_DROP_VECTORS, names)
            connection.execute(_DROP_PROFILES, names)
        return gone


def _reference(row: Sequence[Any]) -> Reference:
    sha256, uri, *rest = row
    return Reference(bytes(sha256), unescape(uri), *rest)


def _told(reference: Reference) -> list[str | None]:
    words = (reference.title, reference.year, reference.source, reference.licence)
    return [escape(reference.uri), *(None if word is None else clean(word) for word in words)]
