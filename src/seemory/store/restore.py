# ruff: noqa: S608 - the names in the counting statement are checked to be plain words
"""A backup back into a database, in one transaction: what was there before stays until the new rows were counted."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import psycopg

from seemory.errors import StoreError, UsageError
from seemory.store.address import shown
from seemory.store.backup import Manifest, command_environment, read_manifest
from seemory.store.embedded.programs import client_program
from seemory.store.migrate import migrate, pending
from seemory.telemetry import Progress, ProgressListener, ignore

_BLOCK = 1 << 20
_HEADER_ENDS = (b"CREATE ", b"COPY ", b"ALTER ", b"SELECT pg_catalog.setval")

# Row-level security hides the rows from their table's owner too; NO FORCE ends with this transaction, like the table.
_REQUIRE_EMPTY = b"""
DO $check$ DECLARE name text; held boolean; BEGIN
    FOREACH name IN ARRAY ARRAY['asset', 'advisor'] LOOP
        CONTINUE WHEN to_regclass('seemory.' || name) IS NULL;
        EXECUTE format('LOCK TABLE seemory.%I IN ACCESS EXCLUSIVE MODE', name);
        EXECUTE format('ALTER TABLE seemory.%I NO FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('SELECT EXISTS (SELECT FROM seemory.%I)', name) INTO held;
        IF held THEN
            RAISE EXCEPTION 'not empty' USING ERRCODE = 'SE001';
        END IF;
    END LOOP;
END $check$;
"""
_NOT_EMPTY = "SE001"

# The numbers of transactions in the file are another server's. All rows get that of this one, and none is written anew.
_WRITTEN_NOW = b"""
DO $written$ DECLARE name regclass; BEGIN
    FOR name IN SELECT attrelid::regclass FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                WHERE c.relnamespace = 'seemory'::regnamespace AND c.relkind = 'r' AND a.attname = 'written' LOOP
        EXECUTE format('ALTER TABLE %s DROP COLUMN written', name);
        EXECUTE format('ALTER TABLE %s ADD COLUMN written xid8 NOT NULL DEFAULT pg_current_xact_id()', name);
    END LOOP;
END $written$;
"""


def restore(
    conninfo: str, file: Path, *, replace: bool = False, encrypted: bool = False, listen: ProgressListener = ignore
) -> Manifest:
    """What was restored from `file`; where anything is amiss, the database is as it was before.

    Args:
        conninfo: how the memory's own connections are made: as the role that owns the schema.
        file: a backup.
        replace: throw away what the database remembers now.
        encrypted: whether those connections speak TLS.
        listen: called with the megabytes read.

    Raises:
        UsageError: it is no whole backup, or the memory is not empty and `replace` is not set.
        MigrationFailed: a newer Seemory made it.
        StoreError: Postgres refused something, or counts differ from those of the backup.
    """
    manifest = read_manifest(file)
    pending(manifest.migrations)
    address, environment = command_environment(conninfo)
    command = [
        client_program("psql", encrypted=encrypted),
        "--no-psqlrc",
        "--quiet",
        "--no-password",
        "--dbname",
        address,
    ]
    command += ["--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose", "--output=/dev/null"]
    with tempfile.TemporaryFile("w+") as said:
        psql = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said, env=environment)
        assert psql.stdin is not None
        try:
            # Only the last line commits: were the pipe to end before it, whatever the reason, Postgres would roll back.
            with suppress(BrokenPipeError), psql.stdin as script:
                _write(script, file, manifest, replace, listen)
        except BaseException:
            psql.kill()
            raise
        finally:
            psql.wait()
        said.seek(0)
        complaint = said.read()
    if _NOT_EMPTY in complaint:
        raise UsageError("this memory is not empty: restore into a new data folder, or use --replace to lose it")
    if psql.returncode:
        raise StoreError(f"nothing was restored, {shown(conninfo)} is as it was: {complaint[-1000:].strip()}")
    with psycopg.connect(conninfo, connect_timeout=10) as connection:
        migrate(connection)
        connection.execute("SELECT seemory.note_writing(table_name) FROM seemory.generation")  # a cluster's do not
    return manifest


def _write(script: IO[bytes], file: Path, manifest: Manifest, replace: bool, listen: ProgressListener) -> None:
    """The whole transaction, in psql's language."""
    script.write(b"BEGIN;\nSET LOCAL lock_timeout = '60s';\nSET LOCAL client_min_messages = warning;\n")
    script.write(b"" if replace else _REQUIRE_EMPTY)
    script.write(b"DROP SCHEMA IF EXISTS seemory CASCADE;\n")
    done = 0
    for section in ("pre-data", "data"):
        for part in _section(file, section):
            script.write(part)
            done += len(part)
            listen(Progress("restore", done // 1_000_000, unit="MB"))
    script.write(_counts_check(manifest))  # before the last section, which turns row-level security on
    script.write(_WRITTEN_NOW)
    for part in _section(file, "post-data"):
        script.write(part)
    script.write(b"COMMIT;\n")


def _section(file: Path, section: str) -> Iterator[bytes]:
    """The statements of one section, without a setting that servers before PostgreSQL 17 do not know."""
    command = [client_program("pg_restore"), "--no-owner", "--no-privileges", f"--section={section}", "--file=-"]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([*command, str(file)], stdout=subprocess.PIPE, stderr=said)
        assert process.stdout is not None
        try:
            with process.stdout as stream:
                for line in stream:
                    if not line.startswith(b"SET transaction_timeout"):
                        yield line
                    if line.startswith(_HEADER_ENDS):
                        break
                while part := stream.read(_BLOCK):
                    yield part
        finally:
            process.wait()  # a reader that went away ends it by the closed pipe
        if process.returncode:
            said.seek(0)
            raise StoreError(f"pg_restore cannot read {file}: {said.read()[-500:].strip()}")


def _counts_check(manifest: Manifest) -> bytes:
    checks = "".join(
        f"    SELECT count(*) INTO n FROM seemory.{name};\n"
        f"    IF n <> {int(rows)} THEN RAISE EXCEPTION 'table {name} has % rows and not {int(rows)}', n; END IF;\n"
        for name, rows in manifest.rows.items()
        if re.fullmatch("[a-z0-9_]+", name)  # all of ours are called so
    )
    return f"\nDO $check$ DECLARE n bigint; BEGIN\n{checks}END $check$;\n".encode()
