"""Backups: everything comes back, a damaged file is refused, and a restore that ends early changed nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from data_folders import copy_home

from seemory.errors import MigrationFailed, StoreError, UsageError
from seemory.store.backup import back_up, read_manifest
from seemory.store.connect import Database, open_database, stop_embedded, unbound_url
from seemory.store.embedded.programs import client_program
from seemory.store.generations import Generations
from seemory.store.items import Items
from seemory.store.libraries import Libraries, Made, Reference
from seemory.store.query import Query
from seemory.store.restore import restore

from .conftest import DIM, TcpServer, outcome, unit
from .test_sql_functions import fill

RESTORE = """
import sys
from pathlib import Path
from seemory.store.connect import open_database
from seemory.store.embedded.programs import client_program
from seemory.store.restore import restore
with open_database(None, home=Path(sys.argv[1])) as database:
    restore(database.conninfo, Path(sys.argv[2]), replace=True)
"""


@pytest.fixture
def own(pristine: Path, tmp_path: Path) -> Iterator[Path]:
    """A data folder of the test's own."""
    home = copy_home(pristine, tmp_path / "own")
    yield home
    stop_embedded(home)


def remember(database: Database, owner: str, *seeds: int, collection: str = "photos") -> None:
    generation = Generations(database).create(collection, "visual", model="test", fingerprint="f" * 64, dim=DIM)
    Items(database, owner).write(collection, generation, [outcome(f"/{owner}/{seed}", seed) for seed in seeds])


def everything(database: Database, owner: str, collection: str = "photos") -> list[Any]:
    """The items, their small pictures and their vectors."""
    items, generation = Items(database, owner), Generations(database).live(collection)
    if generation is None:
        return []
    listed = items.listing(collection)
    vectors = Query(database, owner).vectors(generation, [item.item_id for item in listed])
    return [(item, items.thumbnail(item.item_id), vectors[item.item_id].tobytes()) for item in listed]


def shelves(database: Database) -> list[Any]:
    """All there is of a library."""
    libraries = Libraries(database, "anna")
    [(work, vector)] = libraries.shelf("ansel", "f")
    assert vector is not None
    parts = libraries.proof("ansel", work.sha256), libraries.profiles("ansel", "f", "formulas")
    return [libraries.advisors(), work, vector.tobytes(), *parts]


def test_a_lost_data_folder_comes_back_with_the_same_ids(own: Path, tmp_path: Path) -> None:
    file, again = tmp_path / "memory.backup", tmp_path / "again"
    with open_database(None, home=own) as database:
        remember(database, "anna", 1, 2, 3)
        remember(database, "bert", 4, collection="other")
        before = everything(database, "anna"), everything(database, "bert", "other")
        libraries = Libraries(database, "anna")
        libraries.save("ansel", "a photographer")
        libraries.keep("ansel", Reference(b"s" * 32, "/a.jpg", "Title", width=3, height=2), b"proof")
        libraries.note(b"s" * 32, Made(unit(1), {"scores": [1.5]}), "f", "formulas")
        works = shelves(database)
        manifest = back_up(unbound_url(own), file)
    assert (manifest.assets, manifest.items, manifest.vectors) == (4, 4, 4)
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []
    assert file.stat().st_mode & 0o077 == 0
    shutil.rmtree(own)
    try:
        with open_database(None, home=again) as database:
            Libraries(database, "bert").save("a library and nothing else", None)
            with pytest.raises(UsageError, match="not empty"):
                restore(database.conninfo, file)
            Libraries(database, "bert").remove("a library and nothing else")
            assert restore(database.conninfo, file) == manifest
            assert shelves(database) == works
            assert (everything(database, "anna"), everything(database, "bert", "other")) == before
            assert everything(database, "thief") == everything(database, "anna", "other") == []
            generation = Generations(database).live("photos")
            assert generation is not None
            assert Query(database, "anna").nearest(generation, unit(2), limit=1)[0].item.uri == "/anna/2"
            remember(database, "anna", 5)
            with pytest.raises(UsageError, match="--replace"):
                restore(database.conninfo, file)
            assert len(everything(database, "anna")) == 4
            restore(database.conninfo, file, replace=True)
            assert everything(database, "anna") == before[0]
            with pytest.raises(StoreError, match="row-level security"), database.transaction("bert") as connection:
                connection.execute("UPDATE seemory.item SET owner_id = 'anna'")
    finally:
        stop_embedded(again)


def test_damaged_files_are_refused_and_nothing_is_lost(own: Path, tmp_path: Path) -> None:
    file, damaged = tmp_path / "memory.backup", tmp_path / "damaged"
    with open_database(None, home=own) as database:
        remember(database, "anna", 1, 2)
        before = everything(database, "anna")
        manifest = back_up(unbound_url(own), file)
        whole = file.read_bytes()
        flipped = bytearray(whole)
        flipped[manifest.size // 2] ^= 1
        for bad in (b"", whole[: len(whole) // 2], whole[:-1], whole[: manifest.size], whole + b"\n", bytes(flipped)):
            damaged.write_bytes(bad)
            with pytest.raises(UsageError, match="no whole backup"):
                restore(database.conninfo, damaged, replace=True)
        for text in ("[]", "{}", '{"format": "seemory-backup-1"}', "null"):
            damaged.write_text(text)
            with pytest.raises(UsageError, match="no whole backup"):
                read_manifest(damaged)
        with pytest.raises(UsageError, match="cannot be read"):
            restore(database.conninfo, tmp_path / "nowhere")
        with pytest.raises(UsageError, match="cannot be written"):
            back_up(unbound_url(own), tmp_path / "nowhere" / "file")
        assert everything(database, "anna") == before


def forged(file: Path, **changed: Any) -> Path:
    """The backup with another manifest."""
    dump, _, line = file.read_bytes().rpartition(b"\n")
    other = file.with_name("forged")
    other.write_bytes(dump + b"\n" + json.dumps(json.loads(line) | changed).encode())
    return other


def test_wrong_counts_and_newer_schemas_leave_everything(own: Path, tmp_path: Path) -> None:
    file = tmp_path / "memory.backup"
    with open_database(None, home=own) as database:
        remember(database, "anna", 1, 2)
        before = everything(database, "anna")
        manifest = back_up(unbound_url(own), file)
        with pytest.raises(StoreError, match="table item has 2 rows and not 3"):
            restore(database.conninfo, forged(file, rows={**manifest.rows, "item": 3}), replace=True)
        newer = [*manifest.migrations, (9999, "9999_future", "0" * 64)]
        with pytest.raises(MigrationFailed, match="9999_future"):
            restore(database.conninfo, forged(file, migrations=newer), replace=True)
        assert everything(database, "anna") == before


def test_pg_restore_takes_the_file_as_it_is(own: Path, tmp_path: Path) -> None:
    file = tmp_path / "memory.backup"
    with open_database(None, home=own) as database:
        remember(database, "anna", 1)
        back_up(unbound_url(own), file)
        url = database.url
        with psycopg.connect(unbound_url(own), autocommit=True) as connection:
            connection.execute("CREATE DATABASE second OWNER seemory")
        second = url.replace("@/seemory", "@/second")
        command = [client_program("pg_restore"), "--no-owner", "--exit-on-error", "--dbname", second, str(file)]
        subprocess.run(command, check=True, capture_output=True)
        with psycopg.connect(second) as connection:
            connection.execute("SET seemory.owner = 'anna'")
            assert connection.execute("SELECT count(*) FROM seemory.item").fetchone() == (1,)


def test_killed_in_the_middle_the_old_state_stays(own: Path, tmp_path: Path) -> None:
    """The backup holds 20,000 rows; the process is killed when they are being copied."""
    file = tmp_path / "memory.backup"
    with open_database(None, home=own) as database:
        remember(database, "anna", 1)
        generation = Generations(database).live("photos")
        assert generation is not None
        with database.transaction("big") as connection:
            fill(connection, generation, "big", 20_000)
        assert back_up(unbound_url(own), file).items == 20_001
        with database.transaction("big") as connection:
            connection.execute("DELETE FROM seemory.asset WHERE owner_id = 'big'")
        remember(database, "anna", 2)
        before = everything(database, "anna")
        with psycopg.connect(unbound_url(own), autocommit=True) as watch:
            process = subprocess.Popen([sys.executable, "-c", RESTORE, str(own), str(file)])
            copying = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY seemory.%' AND state = 'active'"
            while watch.execute(copying).fetchone() == (0,):
                assert process.poll() is None, "the restore ended before it was seen to copy"
                time.sleep(0.002)
            process.kill()
            process.wait()
        assert everything(database, "anna") == before
        assert everything(database, "big") == []
        restore(database.conninfo, file, replace=True)
        assert len(everything(database, "anna")) == 1
        assert Items(database, "big").stats("photos")["embedded"] == 20_000


def test_somebodys_own_server(own: Path, tcp_server: TcpServer, tmp_path: Path) -> None:
    """From the embedded server to another, older or not, as an ordinary role; and from there, as one who sees all."""
    file, second = tmp_path / "memory.backup", tmp_path / "second.backup"
    with open_database(None, home=own) as database:
        remember(database, "anna", 1, 2)
        before = everything(database, "anna")
        back_up(unbound_url(own), file)
    role = f"worker_{tcp_server.port}_{id(file)}"
    name = tcp_server.new_database(role=role)
    with open_database(tcp_server.url(role, name), home=tmp_path) as database:
        restore(database.conninfo, file)
        assert everything(database, "anna") == before
        with pytest.raises(StoreError, match="BYPASSRLS"):
            back_up(database.url, second)
        assert not second.exists()
        assert back_up(tcp_server.url("boss", name), second).items == 2
        remember(database, "anna", 3)
        restore(database.conninfo, second, replace=True)
        assert everything(database, "anna") == before
