"""Two owners in one collection: a victim with pictures, and a thief who knows what may be guessed of them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from store.conftest import TcpServer, tcp_server  # noqa: F401 - a fixture

from seemory.errors import SeemoryError
from seemory.memory import Memory
from seemory.settings import read_settings
from seemory.store.connect import unbound_url
from seemory.types import Item

OWNED = """
SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'seemory'::regnamespace AND c.relkind IN ('r', 'p') AND a.attname = 'owner_id'
ORDER BY 1"""
"""Every table with an owner, of all generations there are at the moment."""


@pytest.fixture(scope="session")
def eye(home: Path) -> Iterator[psycopg.Connection]:
    """A connection that sees all rows of all owners: what attacks are judged by."""
    with psycopg.connect(unbound_url(home), autocommit=True) as connection:
        yield connection


def rows_of(eye: psycopg.Connection, owner: str) -> dict[str, list[str]]:
    """All that there is of an owner, every column of every table."""
    found = {}
    for (table,) in eye.execute(OWNED).fetchall():
        statement = sql.SQL("SELECT t::text FROM {} t WHERE owner_id = %s ORDER BY 1").format(
            sql.Identifier("seemory", table)
        )
        rows = [row for (row,) in eye.execute(statement, [owner])]
        if rows:
            found[table] = rows
    return found


LIBRARY = "private-master"
"""The advisor whose library the victim has, with the same pictures."""

SAID = "The private safe behind the painting opens with 4711"
"""What the victim has asked to be remembered."""

Guess = UUID | str


@dataclass(frozen=True)
class World:
    """A collection with a thief in it."""

    thief: Memory
    own: Path
    """The thief's pictures: one of them has the bytes of one of the victim's."""
    eye: psycopg.Connection

    def told(self, outcome: object) -> str:
        """What came out, with the thief's own names in place of what differs from world to world."""
        text = outcome if isinstance(outcome, str) else repr(outcome)
        mine = self.eye.execute(
            "SELECT i.id, a.id, a.uri FROM seemory.asset a LEFT JOIN seemory.item i "
            "ON i.owner_id = a.owner_id AND i.asset_id = a.id WHERE a.owner_id = %s",
            [self.thief.owner],
        )
        for item, asset, uri in mine.fetchall():
            for number, word in ((item, "item"), (asset, "asset")):
                for form in (str(number), str(number)[:8]) if number else ():
                    text = text.replace(form, f"<{word} of {Path(uri).name}>")
        table = self.thief.stats()["generation"]
        for own, word in ((str(self.own), "<own>"), (self.thief.owner, "<thief>"), (table, "<table>")):
            text = text.replace(str(own), word)
        text = text.replace(self.thief.collection, "<collection>")
        text = re.sub(r"0x[0-9a-f]{8,}", "<address>", text)
        text = re.sub(r"^ ?\w.*: \d+ of \S+ \w+, \d+/s.*\n?", "", text, flags=re.MULTILINE)  # progress, if it was slow
        return re.sub(r"""((?:milli)?seconds['"]?[=:] ?|\bin )[0-9.e-]+""", r"\1<time>", text)


@dataclass(frozen=True)
class Loot:
    """What the thief has learned of one of the victim's pictures."""

    item: Item
    folder: Path
    """With the victim's files, which both can read."""
    secrets: frozenset[str]
    """Everything that only the victim's rows say."""


def guesses(loot: Loot) -> list[Guess]:
    """What a thief may have heard, and some of what it may try."""
    item = loot.item
    known: list[Guess] = [item.item_id, str(item.item_id), str(item.item_id).upper(), str(item.item_id)[:8]]
    known += [LIBRARY]
    known += [item.item_id.hex, str(item.asset_id), item.uri, str(loot.folder), Path(item.uri).name, str(item.sha256)]
    return known


def attempt(call: Callable[[], object]) -> object:
    """What came out of it, be it a refusal."""
    try:
        return call()
    except SeemoryError as error:
        return f"{type(error).__name__}: {error}"
    except (TypeError, AttributeError, psycopg.Error) as error:  # a text where an id is needed
        return type(error).__name__


def assert_no_secret(said: str, loot: Loot, given: str) -> None:
    leaked = [secret for secret in loot.secrets if secret in said and secret.lower() not in given.lower()]
    assert not leaked, f"{given} brought {leaked}:\n{said}"


@pytest.fixture(scope="session")
def victims_folder(tmp_path_factory: pytest.TempPathFactory, package_photographs: dict[str, Path]) -> Path:
    folder = tmp_path_factory.mktemp("victims-private-folder")
    for name in ("cat", "coffee", "rocket"):
        path = package_photographs[name]
        shutil.copy(path, folder / f"private-{name}{path.suffix}")
    shutil.copy(package_photographs["cat"], folder / "private-cat-again.png")
    (folder / "private-damaged.jpg").write_bytes(b"\xff\xd8 damaged")
    return folder


def _memory(home: Path, owner: str, collection: str) -> Memory:
    return Memory(read_settings(home=home, owner=owner, collection=collection), model="seemory-mini")


@pytest.fixture(scope="session")
def victim(home: Path, victims_folder: Path) -> Iterator[Memory]:
    with _memory(home, f"victim-{uuid4()}", f"shared-{uuid4()}") as memory:
        assert memory.index(victims_folder).indexed == 4
        (biography := victims_folder.parent / f"{victims_folder.name}.txt").write_text("private-biography")
        assert memory.advisors.add(LIBRARY, victims_folder, biography=biography).added == 3
        assert memory.remember(SAID).new
        yield memory


@pytest.fixture(scope="session")
def loot(victim: Memory, victims_folder: Path, eye: psycopg.Connection) -> Loot:
    items = list(victim.items())
    cat = next(item for item in items if item.uri.endswith("private-cat.png"))
    secrets = {str(item.item_id) for item in items} | {str(item.asset_id) for item in items}
    secrets |= {item.uri for item in items} | {victim.owner, LIBRARY, "private-biography"}
    return Loot(cat, victims_folder, frozenset(secrets))


@pytest.fixture(scope="session")
def new_worlds(
    home: Path,
    victim: Memory,
    tmp_path_factory: pytest.TempPathFactory,
    package_photographs: dict[str, Path],
    eye: psycopg.Connection,
) -> Iterator[Callable[[], tuple[World, World]]]:
    """Makes a thief beside the victim, and the same thief alone: whatever it does must come out the same."""
    made: list[World] = []

    def make() -> tuple[World, World]:
        pair = []
        for name, collection in (("beside", victim.collection), ("alone", f"alone-{uuid4()}")):
            own = tmp_path_factory.mktemp(name)
            for picture in ("cat", "flower", "temple"):
                shutil.copy(package_photographs[picture], own / f"own-{picture}{package_photographs[picture].suffix}")
            (own / "own-damaged.jpg").write_bytes(b"\xff\xd8 damaged as well")
            thief = _memory(home, f"thief-{uuid4()}", collection)
            assert dict(thief.index(own).counts) == {"indexed": 3, "failed": 1}, "copied from another owner?"
            pair.append(World(thief, own, eye))
        made.extend(pair)
        return pair[0], pair[1]

    yield make
    for world in made:
        world.thief.close()


@pytest.fixture(scope="session")
def worlds(new_worlds: Callable[[], tuple[World, World]]) -> tuple[World, World]:
    """A pair of worlds for attacks that add nothing to the thief's own."""
    return new_worlds()
