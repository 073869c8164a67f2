"""What Citus demands of the schema, read in the catalogue of any migrated database; no Citus is needed for it."""

from __future__ import annotations

import psycopg
import pytest
from click.testing import CliRunner

from seemory.cli import cli
from seemory.errors import UsageError
from seemory.store.connect import Database
from seemory.store.distribution import distribute, is_distributed, planned_rows
from seemory.types import Generation

# Tables on every node, though they have an owner: an operator's lists that are joined with others of that kind.
EVERYWHERE = ["rollout"]

_OWNED = """
owned AS (SELECT c.oid, c.relname, a.attnum AS owner FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
          WHERE c.relnamespace = 'seemory'::regnamespace AND c.relkind IN ('r', 'p') AND a.attname = 'owner_id'
            AND NOT a.attisdropped AND c.relname <> ALL (%(everywhere)s))"""

_OFFENCES = {
    "a unique index that does not begin with owner_id": f"""
        WITH {_OWNED} SELECT o.relname || ': ' || x.indexrelid::regclass FROM owned o JOIN pg_index x
        ON x.indrelid = o.oid WHERE (x.indisunique OR x.indisexclusion) AND x.indkey[0] <> o.owner""",
    "no primary key": f"""
        WITH {_OWNED} SELECT o.relname FROM owned o
        WHERE NOT EXISTS (SELECT FROM pg_index x WHERE x.indrelid = o.oid AND x.indisprimary)""",
    "a foreign key between owners' tables without owner_id on both sides": f"""
        WITH {_OWNED} SELECT o.relname || ': ' || k.conname FROM pg_constraint k
        JOIN owned o ON o.oid = k.conrelid JOIN owned r ON r.oid = k.confrelid
        WHERE k.contype = 'f' AND NOT EXISTS (
            SELECT FROM unnest(k.conkey, k.confkey) AS pair (here, there) WHERE here = o.owner AND there = r.owner)""",
    "a foreign key from a table of every node to an owner's": f"""
        WITH {_OWNED} SELECT k.conrelid::regclass || ': ' || k.conname FROM pg_constraint k
        JOIN owned r ON r.oid = k.confrelid
        WHERE k.contype = 'f' AND k.conrelid NOT IN (SELECT oid FROM owned)""",
    "a trigger": f"""
        WITH {_OWNED} SELECT o.relname || ': ' || t.tgname FROM owned o JOIN pg_trigger t ON t.tgrelid = o.oid
        WHERE NOT t.tgisinternal AND t.tgfoid <> 'seemory.set_written'::regproc""",  # which distribute() takes away
    "a column counted by a sequence": f"""
        WITH {_OWNED} SELECT o.relname || ': ' || a.attname FROM owned o JOIN pg_attribute a ON a.attrelid = o.oid
        LEFT JOIN pg_attrdef d ON d.adrelid = o.oid AND d.adnum = a.attnum
        WHERE a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE '%%nextval(%%'""",
    "a policy that is not forced": f"""
        WITH {_OWNED} SELECT o.relname FROM owned o JOIN pg_class c ON c.oid = o.oid
        WHERE NOT c.relrowsecurity OR NOT c.relforcerowsecurity""",
    "a function that sets something for longer than its transaction": """
        SELECT p.oid::regprocedure::text FROM pg_proc p
        WHERE p.pronamespace = 'seemory'::regnamespace AND p.prokind = 'f' AND p.prosrc ~* ANY (ARRAY[
            'set_config\\s*\\([^;]*,\\s*false\\s*\\)',
            '(^|;|begin)\\s*set\\s+(session\\s+|(?!local\\s))[a-z_.]+\\s*(=|to)'])""",
}


def offences(connection: psycopg.Connection) -> dict[str, list[str]]:
    found = {
        name: [row[0] for row in connection.execute(statement, {"everywhere": EVERYWHERE})]
        for name, statement in _OFFENCES.items()
    }
    return {name: tables for name, tables in found.items() if tables}


def test_nothing_in_the_schema_is_refused_by_citus(superuser: psycopg.Connection, generation: Generation) -> None:
    with superuser.transaction(force_rollback=True):
        assert superuser.execute("SELECT to_regclass(%s) IS NOT NULL", [f"seemory.{generation.table}"]).fetchone()[0]
        assert offences(superuser) == {}


OWNED = "owner_id text NOT NULL CHECK (owner_id <> '')"


@pytest.mark.parametrize(
    ("statement", "offence"),
    [
        (f"CREATE TABLE seemory.bad ({OWNED}, id uuid PRIMARY KEY)", "unique index"),
        (f"CREATE TABLE seemory.bad ({OWNED}, id uuid, PRIMARY KEY (owner_id, id), UNIQUE (id))", "unique index"),
        (f"CREATE TABLE seemory.bad ({OWNED}, id uuid, PRIMARY KEY (id, owner_id))", "unique index"),
        (f"CREATE TABLE seemory.bad ({OWNED}, id uuid)", "no primary key"),
        (
            "CREATE UNIQUE INDEX ON seemory.item (id); CREATE TABLE seemory.bad "
            f"({OWNED}, id uuid REFERENCES seemory.item (id), PRIMARY KEY (owner_id, id))",
            "without owner_id on both sides",
        ),
        (
            "CREATE TABLE seemory.bad "
            "(who text, id uuid, FOREIGN KEY (who, id) REFERENCES seemory.item (owner_id, id))",
            "from a table of every node",
        ),
        (
            "CREATE FUNCTION seemory.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
            "CREATE TRIGGER t BEFORE INSERT ON seemory.item FOR EACH ROW EXECUTE FUNCTION seemory.f()",
            "a trigger",
        ),
        (f"CREATE TABLE seemory.bad ({OWNED}, n bigserial, PRIMARY KEY (owner_id, n))", "sequence"),
        (
            f"CREATE TABLE seemory.bad ({OWNED}, n bigint GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (owner_id, n))",
            "sequence",
        ),
        (f"CREATE TABLE seemory.bad ({OWNED} PRIMARY KEY)", "policy"),
        (
            "CREATE FUNCTION seemory.f() RETURNS void LANGUAGE plpgsql AS 'BEGIN SET work_mem = 64; END'",
            "longer than its transaction",
        ),
        (
            "CREATE FUNCTION seemory.f() RETURNS text LANGUAGE sql AS "
            "$$SELECT set_config('seemory.owner', 'anna', false)$$",
            "longer than its transaction",
        ),
    ],
)
def test_what_citus_would_refuse_is_seen(
    superuser: psycopg.Connection, database: Database, statement: str, offence: str
) -> None:
    if database.distributed:
        pytest.skip("Citus refuses it by itself")
    with superuser.transaction(force_rollback=True):
        superuser.execute(statement)
        assert any(offence in name for name in offences(superuser))


def test_database_without_citus_is_left_alone(superuser: psycopg.Connection, database: Database) -> None:
    if database.distributed:
        pytest.skip("this one has Citus")
    assert not is_distributed(superuser)
    with pytest.raises(UsageError, match="CREATE EXTENSION citus"):
        distribute(superuser)
    with pytest.raises(UsageError, match="0 shards"):
        distribute(superuser, shards=0)


def test_distributing_again_changes_nothing(superuser: psycopg.Connection, database: Database) -> None:
    if not database.distributed:
        pytest.skip("needs SEEMORY_TEST_CITUS_URL")
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        first = distribute(connection, dry_run=True)
        second = distribute(connection)
    assert all(placement.done_before for placement in first + second)
    assert {p.table for p in second if p.kind == "distributed"} >= {"asset", "item", "collection_owner"}
    assert {p.table for p in second if p.kind == "reference"} >= {"collection", "generation"}
    forced = superuser.execute(
        "SELECT bool_and(relforcerowsecurity) FROM pg_class WHERE oid = ANY (%s::regclass[])",
        [[f"seemory.{p.table}" for p in second if p.kind == "distributed"]],
    )
    assert forced.fetchone() == (True,)


def test_embedded_server_is_no_cluster(monkeypatch: pytest.MonkeyPatch, shared_home: object) -> None:
    monkeypatch.setenv("SEEMORY_HOME", str(shared_home))
    result = CliRunner().invoke(cli, ["db", "distribute"])
    assert "coordinator of a Citus cluster" in str(result.exception) + result.output


def test_rows_that_the_shards_expect_are_added_up() -> None:
    task = {"Remote Plan": [[{"Plan": {"Plan Rows": 7}}]]}
    assert planned_rows({"Plan Rows": 3}) == 3
    assert planned_rows({"Plan Rows": 0, "Distributed Query": {"Job": {"Tasks": [task, task]}}}) == 14
