from __future__ import annotations

import os
import random
import subprocess
import threading
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from time import monotonic
from uuid import uuid4

import psycopg
import pytest

from seemory.errors import DatabaseBusy, DatabaseUnreachable, StoreError, UsageError
from seemory.store.connect import Database, PoolSize, open_database, psql_command
from seemory.store.generations import Generations
from seemory.store.server import require_versions

from .conftest import TcpServer


def test_role_is_bound_by_row_level_security(database: Database) -> None:
    with database.transaction(None) as connection:
        row = connection.execute("SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
        assert row.fetchone() == ("seemory", False, False)


def test_owner_is_set_for_the_transaction_only(database: Database) -> None:
    def now_set(owner: str | None) -> str | None:
        with database.transaction(owner) as connection:
            return connection.execute("SELECT current_setting('seemory.owner', true)").fetchone()[0]

    assert now_set("anna") == "anna"
    assert not any(now_set(None) for _ in range(10))


@pytest.mark.parametrize("owner", ["", "a\0b", "\udcff"])
def test_owner_without_a_name_is_refused(database: Database, owner: str) -> None:
    with pytest.raises(UsageError, match="owner"), database.transaction(owner):
        pass


def test_owner_may_have_any_other_name(database: Database) -> None:
    name = "'; DROP SCHEMA seemory CASCADE; -- ÄÖ\n☃"
    with database.transaction(name) as connection:
        assert connection.execute("SELECT current_setting('seemory.owner')").fetchone() == (name,)


def test_error_in_a_transaction_rolls_back_and_the_pool_goes_on(database: Database) -> None:
    name = f"lost-{uuid4()}"
    with pytest.raises(StoreError, match="division by zero"), database.transaction(None) as connection:  # noqa: PT012
        connection.execute("INSERT INTO seemory.collection (name) VALUES (%s)", [name])
        connection.execute("SELECT 1 / 0")
    assert name not in Generations(database).collections()


def test_connection_that_died_in_the_pool_is_replaced(database: Database, superuser: psycopg.Connection) -> None:
    with database.transaction(None) as connection:
        pid = connection.info.backend_pid
    superuser.execute("SELECT pg_terminate_backend(%s::int, 5000::bigint)", [pid])
    with database.transaction(None) as connection:
        assert connection.info.backend_pid != pid


def test_all_connections_that_died_in_the_pool_are_replaced_at_once(
    database: Database, superuser: psycopg.Connection
) -> None:
    """As by a restart of the server: nobody waits once for each of them."""
    with ExitStack() as all_at_once:
        pids = {all_at_once.enter_context(database.transaction(None)).info.backend_pid for _ in range(PoolSize().most)}
    assert len(pids) == PoolSize().most
    for pid in pids:
        superuser.execute("SELECT pg_terminate_backend(%s::int, 5000::bigint)", [pid])
    before = monotonic()
    with database.transaction(None) as connection:
        assert connection.info.backend_pid not in pids
    assert monotonic() - before < PoolSize().wait_s / 3


def test_connection_that_died_under_a_pipeline_is_replaced(database: Database, superuser: psycopg.Connection) -> None:
    """What it died of may be read before its end is seen: it then looks busy, and not closed. Chance decides."""
    chance = random.Random(7)
    for _ in range(30):
        with database.transaction(None) as connection:
            pid = connection.info.backend_pid
        kill = partial(superuser.execute, "SELECT pg_terminate_backend(%s::int)", [pid])
        killer = threading.Timer(chance.random() / 200, kill)
        killer.start()
        with suppress(DatabaseUnreachable):
            for _ in range(10):
                with database.reading("anna") as reading:
                    assert reading.rows("SELECT 1") == [(1,)]
        killer.join()
    with database.reading("anna") as reading:
        assert reading.rows("SELECT 1") == [(1,)]


def test_more_threads_than_connections(database: Database) -> None:
    counts: list[int] = []

    def ask() -> None:
        with database.transaction("anna") as connection:
            counts.append(connection.execute("SELECT 1").fetchone()[0])

    threads = [threading.Thread(target=ask) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [1] * 24


def test_closed_database_says_so(home: Path) -> None:
    database = open_database(None, home=home)
    database.close()
    database.close()
    with pytest.raises(DatabaseUnreachable, match="closed"), database.transaction("anna"):
        pass


def test_psql_speaks_to_the_database(database: Database) -> None:
    command = [*psql_command(database.url), "-XAtc", "SELECT 40 + 2"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "42\n"


def test_nobody_at_the_url(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreachable, match=r"no connection to postgresql://anna@127\.0\.0\.1:1/x") as caught:
        open_database("postgresql://anna:secret@127.0.0.1:1/x", home=tmp_path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://x/y", "not a url", "postgresql://h:port/x", "postgresql://x/y?nonsense=1"])
def test_what_is_no_url(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreError):
        open_database(url, home=tmp_path)


# -- servers of others -----------------------------------------------------------------------------------------------


def test_ordinary_role_on_a_server_with_pgvector(tcp_server: TcpServer, tmp_path: Path) -> None:
    role = f"app{uuid4().hex[:8]}"
    name = tcp_server.new_database(role=role)
    for _ in range(2):
        with open_database(tcp_server.url(role, name), home=tmp_path) as database:
            with database.transaction(None) as connection:
                assert connection.execute("SELECT current_user").fetchone() == (role,)
            Generations(database).create("photos", "visual", model="m", fingerprint="f", dim=8)
    assert not (tmp_path / "postgres").exists()


def test_superuser_is_changed_for_a_role_that_is_bound(tcp_server: TcpServer, tmp_path: Path) -> None:
    name = tcp_server.new_database(extension=False)
    for _ in range(2):
        with (
            open_database(tcp_server.url("boss", name), home=tmp_path) as database,
            database.transaction(None) as connection,
        ):
            row = connection.execute("SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user")
            assert row.fetchone() == ("seemory", False)


def test_role_above_the_policies_that_may_not_make_another(tcp_server: TcpServer, tmp_path: Path) -> None:
    role = f"app{uuid4().hex[:8]}"
    name = tcp_server.new_database(role=role)
    tcp_server.run(f"ALTER ROLE {role} BYPASSRLS")
    with pytest.raises(StoreError, match="connect as a role without SUPERUSER and BYPASSRLS"):
        open_database(tcp_server.url(role, name), home=tmp_path)


@pytest.mark.parametrize("privilege", ["SUPERUSER", "BYPASSRLS"])
def test_role_seemory_that_somebody_raised_above_the_policies(
    tcp_server: TcpServer, tmp_path: Path, privilege: str
) -> None:
    name = tcp_server.new_database()
    open_database(tcp_server.url("boss", name), home=tmp_path).close()
    tcp_server.run(f"ALTER ROLE seemory {privilege} PASSWORD 'se@cret'")
    try:
        for user in ("boss", "seemory"):
            with pytest.raises(StoreError, match="ALTER ROLE seemory NOSUPERUSER NOBYPASSRLS"):
                open_database(tcp_server.url(user, name), home=tmp_path)
    finally:
        tcp_server.run("ALTER ROLE seemory NOSUPERUSER NOBYPASSRLS")
    open_database(tcp_server.url("seemory", name), home=tmp_path).close()


def test_role_of_the_environment_is_not_lost_on_the_way(
    tcp_server: TcpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lowered by PGOPTIONS alone: our own options take that variable's place, and must not raise the role again."""
    role = f"app{uuid4().hex[:8]}"
    name = tcp_server.new_database(role=role)
    monkeypatch.setenv("PGOPTIONS", f"-c role={role}")
    with (
        open_database(tcp_server.url("boss", name), home=tmp_path) as database,
        database.transaction("anna") as connection,
    ):
        assert connection.execute("SELECT current_user").fetchone() == (role,)


def test_connection_that_lost_its_role_on_the_way_is_given_it_again(tcp_server: TcpServer, tmp_path: Path) -> None:
    """As behind a pooler that drops what connections start with."""
    name = tcp_server.new_database()
    with open_database(tcp_server.url("boss", name), home=tmp_path) as database:
        for _ in range(10):  # whichever connections the pool has made
            with database.transaction(None) as connection:
                connection.execute("SET ROLE boss")
        for owner in (None, "anna"):
            with database.transaction(owner) as connection:
                assert connection.execute("SELECT current_user").fetchone() == ("seemory",)


def test_role_that_may_not_make_the_extension(tcp_server: TcpServer, tmp_path: Path) -> None:
    role = f"app{uuid4().hex[:8]}"
    name = tcp_server.new_database(role=role, extension=False)
    with pytest.raises(StoreError, match="CREATE EXTENSION vector"):
        open_database(tcp_server.url(role, name), home=tmp_path)


def test_role_that_may_not_make_the_schema(tcp_server: TcpServer, tmp_path: Path) -> None:
    role = f"app{uuid4().hex[:8]}"
    tcp_server.new_database(role=role)
    name = tcp_server.new_database()
    with pytest.raises(StoreError, match="GRANT CREATE ON DATABASE"):
        open_database(tcp_server.url(role, name), home=tmp_path)


def test_old_pgvector_is_refused(tcp_server: TcpServer, tmp_path: Path) -> None:
    name = tcp_server.new_database()
    tcp_server.run("UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'", database=name)
    with pytest.raises(StoreError, match=r"0\.7\.4.*0\.8"):
        open_database(tcp_server.url("boss", name), home=tmp_path)


def test_server_without_pgvector_installed(tcp_server: TcpServer, tmp_path: Path) -> None:
    name = tcp_server.new_database(extension=False)
    if tcp_server_version(tcp_server) < 18:
        pytest.skip("older servers cannot be told to look for extensions elsewhere")
    url = tcp_server.url("boss", name) + "?options=-c%20extension_control_path%3D/nowhere"
    with pytest.raises(StoreError, match="no pgvector"):
        open_database(url, home=tmp_path)


def tcp_server_version(server: TcpServer) -> int:
    with psycopg.connect(server.url("boss")) as connection:
        return connection.info.server_version // 10_000


def test_old_postgres_is_refused() -> None:
    with pytest.raises(StoreError, match=r"PostgreSQL 14; Seemory needs 15"):
        require_versions(140_011, None)
    require_versions(150_000, "0.8.0")
    require_versions(190_000, "1.0")


def test_wrong_password(tcp_server: TcpServer, tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreachable, match="password authentication failed") as caught:
        open_database(tcp_server.url("boss").replace("se%40cret", "hunter2"), home=tmp_path)
    assert "hunter2" not in str(caught.value)


def test_extension_in_a_schema_of_its_own(tcp_server: TcpServer, tmp_path: Path) -> None:
    role = f"app{uuid4().hex[:8]}"
    name = tcp_server.new_database(role=role, extension=False)
    tcp_server.run(
        'CREATE SCHEMA "Ext x"', 'CREATE EXTENSION vector SCHEMA "Ext x"', f'GRANT USAGE ON SCHEMA "Ext x" TO {role}',
        database=name,
    )  # fmt: skip
    with open_database(tcp_server.url(role, name), home=tmp_path) as database:
        assert Generations(database).create("photos", "visual", model="m", fingerprint="f", dim=8).state == "live"


def test_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseUnreachable, match="data folder"):
        open_database(None, home=tmp_path / "file" / "home")


def test_forked_child_leaves_its_parents_connections_alone(database: Database) -> None:
    child = os.fork()
    if child == 0:
        database.close()
        os._exit(0)
    os.waitpid(child, 0)
    with database.transaction("anna") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_pool_that_is_taken_is_told_from_a_server_that_is_away(home: Path) -> None:
    with open_database(None, home=home, pool=PoolSize(most=1, wait_s=0.2)) as database:
        with (
            database.transaction("somebody"),
            pytest.raises(DatabaseBusy, match=r"all 1 connections .* in use for 0\.2 s.*database\.connections"),
            database.transaction("somebody else"),
        ):
            pass
        with database.transaction("somebody else") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
