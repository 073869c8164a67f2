"""What the database's own catalogue says: found there, so that a table, function or view of tomorrow is held to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from store.conftest import TcpServer

from seemory.errors import StoreError
from seemory.memory import Memory
from seemory.store.connect import Database, open_database, unbound_url
from seemory.store.generations import Generations

from .conftest import OWNED

# Nobody's: names of collections and encoders, which every owner may see, and the schema's own book.
# Saved queries have no owner either, but a policy: only operators read them.
OWNERLESS = {"collection", "generation", "schema_migration", "saved_query"}
OWN = "(owner_id = current_setting('seemory.owner'::text, true))"


@pytest.fixture(params=["embedded", "superuser's URL", "server, ordinary role", "server, superuser's URL"])
def place(
    request: pytest.FixtureRequest, home: Path, victim: Memory, tcp_server: TcpServer
) -> Iterator[tuple[Database, psycopg.Connection]]:
    """Seemory's connections, and a superuser's to the same database, with a generation in it."""
    if "server" in request.param:
        role = f"app{uuid4().hex[:8]}" if "ordinary" in request.param else None
        name = tcp_server.new_database(role=role)
        url, above = tcp_server.url(role or "boss", name), tcp_server.url("boss", name)
    else:
        above = unbound_url(home)
        url = None if request.param == "embedded" else above
    with open_database(url, home=home) as database, psycopg.connect(above, autocommit=True) as eye:
        Generations(database).create(f"c-{uuid4()}", "visual", model="m", fingerprint="f", dim=8)
        yield database, eye


def test_each_table_has_an_owner_with_a_forced_policy_or_is_known_to_have_none(
    place: tuple[Database, psycopg.Connection],
) -> None:
    _, eye = place
    tables = "SELECT relname FROM pg_class WHERE relnamespace = 'seemory'::regnamespace AND relkind NOT IN ('i', 'S')"
    owned = {name for (name,) in eye.execute(OWNED)}
    assert {"asset", "item", "collection_owner"} <= owned
    assert any("_memory_v" in name for name in owned)
    assert {name for (name,) in eye.execute(tables)} - owned == OWNERLESS
    for table in owned:
        forced = eye.execute(
            "SELECT relrowsecurity, relforcerowsecurity FROM pg_class "
            "WHERE relnamespace = 'seemory'::regnamespace AND relname = %s",
            [table],
        ).fetchone()
        assert forced == (True, True), table
        policies = eye.execute(
            "SELECT permissive, cmd, roles, qual, with_check, policyname FROM pg_policies "
            "WHERE schemaname = 'seemory' AND tablename = %s ORDER BY policyname",
            [table],
        ).fetchall()
        own = [policy for policy in policies if policy[5] == "owner"]
        mine = ("SELECT", ["public"], OWN, None) if table == "rollout" else ("ALL", ["public"], OWN, OWN)
        assert [policy[:5] for policy in own] == [("PERMISSIVE", *mine)], table
        others = [policy[5] for policy in policies if policy[5] != "owner"]
        assert others == (["operator"] if table in ("api_key", "collection_owner", "rollout") else []), table
        key = eye.execute(
            "SELECT a.attname FROM pg_index i "
            "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
            "WHERE i.indrelid = format('seemory.%%I', %s::text)::regclass AND i.indisunique",
            [table],
        ).fetchall()
        assert set(key) == {("owner_id",)}, f"{table} has a key that tells one owner of another's rows"
        nullable = eye.execute(
            "SELECT is_nullable FROM information_schema.columns "
            "WHERE table_schema = 'seemory' AND table_name = %s AND column_name = 'owner_id'",
            [table],
        ).fetchone()
        assert nullable == ("NO",), table


def test_what_only_operators_read(place: tuple[Database, psycopg.Connection]) -> None:
    database, eye = place
    forced = "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = 'seemory.saved_query'::regclass"
    assert eye.execute(forced).fetchone() == (True, True)
    eye.execute("INSERT INTO seemory.saved_query SELECT max(id), 1, 'a secret' FROM seemory.collection")
    with database.transaction("anna") as connection:
        assert connection.execute("SELECT count(*) FROM seemory.saved_query").fetchone() == (0,)
        connection.execute("SELECT set_config('seemory.operator', 'on', true)")
        assert ("a secret",) in connection.execute("SELECT words FROM seemory.saved_query").fetchall()


def test_the_role_is_bound_and_stays_bound(place: tuple[Database, psycopg.Connection]) -> None:
    database, eye = place
    role = eye.execute(
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolreplication FROM pg_roles WHERE rolname = %s",
        [database.role],
    ).fetchone()
    assert role == (False, False, False, False)
    may_become = eye.execute(
        "SELECT rolname FROM pg_roles WHERE pg_has_role(%s, oid, 'MEMBER') AND rolname <> 'pg_database_owner'",
        [database.role],
    )
    assert may_become.fetchall() == [(database.role,)]
    with database.transaction("anna") as connection:
        assert connection.execute("SELECT current_user").fetchone() == (database.role,)
        assert connection.execute("SELECT row_security_active('seemory.item')").fetchone() == (True,)


def test_nothing_in_the_schema_runs_as_somebody_else(place: tuple[Database, psycopg.Connection]) -> None:
    _, eye = place
    definers = eye.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'seemory'::regnamespace AND prosecdef"
    ).fetchall()
    assert definers == []
    views = "SELECT relname FROM pg_class WHERE relnamespace = 'seemory'::regnamespace AND relkind IN ('v', 'm')"
    assert eye.execute(views).fetchall() == [], "a view reads as its owner, unless it is a security_invoker"
    triggers = eye.execute(
        "SELECT DISTINCT p.proname, p.prosecdef FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid "
        "JOIN pg_proc p ON p.oid = t.tgfoid WHERE relnamespace = 'seemory'::regnamespace AND NOT tgisinternal"
    ).fetchall()
    assert set(triggers) <= {("set_written", False)}, "which notes the transaction's number, and runs as who writes"


def test_nobody_else_was_granted_anything(place: tuple[Database, psycopg.Connection]) -> None:
    database, eye = place
    for kind, grants in (
        ("table", "SELECT DISTINCT grantee FROM information_schema.role_table_grants WHERE table_schema = 'seemory'"),
        (
            "schema",
            "SELECT DISTINCT pg_get_userbyid((aclexplode(nspacl)).grantee) FROM pg_namespace WHERE nspname = 'seemory'",
        ),
    ):
        assert {name for (name,) in eye.execute(grants)} <= {database.role}, kind


def test_no_owner_set_means_no_rows_in_any_table(home: Path, victim: Memory, eye: psycopg.Connection) -> None:
    with open_database(None, home=home) as database:
        for (table,) in eye.execute(OWNED).fetchall():
            for owner in (None, "nobody"):
                with database.transaction(owner) as connection:
                    assert connection.execute(f"SELECT count(*) FROM seemory.{table}").fetchone() == (0,), table
                    assert connection.execute(f"UPDATE seemory.{table} SET owner_id = owner_id").rowcount == 0
                    assert connection.execute(f"DELETE FROM seemory.{table}").rowcount == 0
        with pytest.raises(StoreError, match="row-level security"), database.transaction("nobody") as connection:  # noqa: PT012
            connection.execute("SELECT set_config('seemory.operator', 'on', true)")
            connection.execute(
                "INSERT INTO seemory.collection_owner SELECT 'planted', id FROM seemory.collection LIMIT 1"
            )
