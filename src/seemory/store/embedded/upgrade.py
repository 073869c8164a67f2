"""The embedded server's data folder from one major version of Postgres to the newest one here, without loss.

pg_upgrade copies the old cluster into a new one beside it; every row of both is read and compared; then the folders are
exchanged (swap.py). Until the exchange the old cluster is what is served, whatever happens.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier

from seemory.errors import StoreError, UsageError
from seemory.store.embedded.cluster import Cluster, private_folder
from seemory.store.embedded.programs import Programs, major_of, newest, programs_for, programs_in
from seemory.store.embedded.survey import databases, differences, survey
from seemory.store.embedded.swap import Swap
from seemory.store.embedded.users import Users
from seemory.telemetry import Progress, ProgressListener, ignore

_ROOM_FOR_ITSELF = 300_000_000  # an empty cluster, its log, and pg_upgrade's dumps of the schema

_INDEXES = """
SELECT format('%I.%I', n.nspname, c.relname), n.nspname::text, c.relname::text,
       format('SELECT 1 FROM %1$I.%2$I ORDER BY %3$s OPERATOR(%4$I.%5$s) '
              '(SELECT %3$s FROM %1$I.%2$I WHERE %3$s IS NOT NULL LIMIT 1) LIMIT 1',
              tn.nspname, t.relname, pg_get_indexdef(i.indexrelid, 1, false), pn.nspname, o.oprname)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
JOIN pg_am m ON m.oid = c.relam AND m.amname IN ('hnsw', 'ivfflat')
JOIN pg_opclass oc ON oc.oid = i.indclass[0]
JOIN pg_amop ao ON ao.amopfamily = oc.opcfamily AND ao.amoppurpose = 'o' AND ao.amoplefttype = oc.opcintype
JOIN pg_operator o ON o.oid = ao.amopopr JOIN pg_namespace pn ON pn.oid = o.oprnamespace
WHERE c.relkind = 'i'"""


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What was done."""

    before: str
    """The version before, such as `16.14`."""
    after: str
    tables: int
    rows: int
    """All of them were compared, before the new cluster took the old one's place."""
    rebuilt: Sequence[str]
    """Approximate indexes that had to be built anew."""
    kept: Path | None
    """Where the old cluster is."""
    seconds: float


def upgrade(
    home: Path, *, old_programs: Path | None = None, keep_old: bool = True, listen: ProgressListener = ignore
) -> Upgraded | None:
    """What was upgraded; None if the data folder is of the newest major version already, or is not there.

    Args:
        home: the data folder; nobody may use its server meanwhile, and whoever comes waits.
        old_programs: where the old major's programs are, if not in the wheel: a `bin`, or a folder above one.
        keep_old: keep the old cluster beside the new one; else it, and any kept before, is deleted.
        listen: called at each stage (`check`, `make`, `move`, `compare`, `exchange`), and with the rows read.

    Raises:
        UsageError: somebody uses the server, the disk is too small, or the old programs are not where they were said.
        DatabaseUnreachable: a server did not start, or its programs are not here.
        StoreError: pg_upgrade refused, or the new cluster does not hold what the old one does. The old one is served.
    """
    begun = time.monotonic()
    home = home.expanduser().resolve()
    swap, users = Swap(home), Users(home)
    if not (swap.old.exists() or swap.folder.exists()):
        return None
    with users.gate():
        users.enter()
        if not users.leave():
            raise UsageError(f"another process uses the memory in {home}: end it, then run this again")
        swap.settle()
        major = major_of(swap.old)
        if major is None or major == newest().major:
            for folder in [] if keep_old else kept_folders(home):
                swap.discard(folder)
            return None
        before, after = _old_programs(swap.old, major, old_programs), newest()
        kept = home / f"postgres.{major}" if keep_old else None
        if kept and kept.exists():
            raise UsageError(f"{kept} is in the way, an older upgrade's: remove it or move it away, or use --drop-old")
        _require_room(swap)
        try:
            done = _upgrade(swap, before, after, kept, listen)
        except BaseException:
            swap.settle()
            raise
        for folder in [] if keep_old else kept_folders(home):
            swap.discard(folder)
    tables, rows, rebuilt = done
    return Upgraded(before.version, after.version, tables, rows, rebuilt, kept, time.monotonic() - begun)


def kept_folders(home: Path) -> list[Path]:
    """Old clusters that upgrades have left, oldest first."""
    limit = major_of(home / "postgres")
    found = [(number, path) for path in home.glob("postgres.*") if (number := _kept_as(path))]
    return [path for number, path in sorted(found) if limit is not None and number < limit]


def bytes_in(folder: Path) -> int:
    """Bytes of the files below a folder; one that goes away meanwhile counts as none."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except OSError:
            continue
    return total


def _upgrade(
    swap: Swap, before: Programs, after: Programs, kept: Path | None, listen: ProgressListener
) -> tuple[int, int, list[str]]:
    home = swap.home
    old, new = Cluster(home, swap.old), Cluster(home, swap.new)
    for path in (swap.old, before.folder / "postgres", after.folder / "postgres"):
        old.account.let_through(path)
    listen(Progress("check", 0, unit="rows"))
    _require_nobody_connected(old)
    try:
        # An ordinary start and stop first: whatever a crash left to recover is recovered by the old major's own rules.
        with _running(old, before):
            held = survey(lambda name: old.url(role="postgres", database=name), stage="check", listen=listen)
        listen(Progress("make", 0, unit="rows"))
        swap.folder.mkdir(mode=0o700)
        swap.work.mkdir(mode=0o700)
        for folder in (swap.folder, swap.work):
            old.account.own(folder)
        new.initialise(after, _storage_options(old, before, after))
        listen(Progress("move", 0, unit="rows"))
        _move(swap, old, before, after)
        with _running(new, after):
            _finish_extensions(new)
            rebuilt = _mend_indexes(new)
            listen(Progress("compare", 0, held.count, unit="rows"))
            holds = survey(lambda name: new.url(role="postgres", database=name), stage="compare", listen=listen)
            if unlike := differences(held, holds):
                raise StoreError(f"the new cluster is not like the old one, which stays: {'; '.join(unlike[:5])}")
    except psycopg.Error as error:
        raise StoreError(f"the upgrade failed, and the memory in {home} is as it was: {error}") from error
    except (subprocess.SubprocessError, OSError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip()
        raise StoreError(f"the upgrade failed, and the memory in {home} is as it was: {said}") from error
    listen(Progress("exchange", 0, 2, unit="folders"))
    try:
        swap.commit(kept, lambda: listen(Progress("exchange", 1, 2, unit="folders")))
    except OSError as error:
        raise StoreError(f"the folders could not be exchanged, the next command tries again: {error}") from error
    return len(held.rows), held.count, rebuilt


def _old_programs(data: Path, major: int, given: Path | None) -> Programs:
    if given is None or major > newest().major:
        return programs_for(data)
    found = programs_in(given)
    for programs in found:
        if programs.major == major:
            return programs
    there = " and ".join(programs.version for programs in found) or "none"
    raise UsageError(f"{data} needs the programs of PostgreSQL {major}; {given} has {there}")


def _require_room(swap: Swap) -> None:
    needed = bytes_in(swap.old) - bytes_in(swap.old / "pg_wal") + _ROOM_FOR_ITSELF
    free = shutil.disk_usage(swap.home).free
    if free < needed:
        raise UsageError(
            f"the upgrade makes a copy before it drops anything and needs {needed / 1e9:,.1f} GB; the disk of "
            f"{swap.home} has {free / 1e9:,.1f} GB free: make room, or move the data folder to a larger disk"
        )


def _require_nobody_connected(old: Cluster) -> None:
    """A server kept warm has no counted users, but somebody's psql may be on it: that is not ours to cut off."""
    if not old.accepts():
        return
    with psycopg.connect(old.url(role="postgres", database="postgres"), autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchone()
    if row and row[0]:
        raise UsageError(
            f"{row[0]} other connections are open to the server of {old.home}: end those programs, or their "
            f"connections by seemory db stop, then run this again"
        )


@contextmanager
def _running(cluster: Cluster, programs: Programs) -> Iterator[None]:
    """Have it run, and stopped in good order afterwards."""
    cluster.bring_up(programs)
    try:
        yield
    finally:
        cluster.stop(programs)


def _storage_options(old: Cluster, before: Programs, after: Programs) -> list[str]:
    """What the files of both clusters must have alike: checksums, and the size of a piece of the log."""
    said = old.run(before, "pg_controldata", ["-D", str(old.data)])
    control = dict(re.findall(r"^([^:\n]+): +(.*)$", said, re.MULTILINE))
    options = [f"--wal-segsize={int(control['Bytes per WAL segment']) // 2**20}"]
    if int(control["Data page checksum version"]):
        return [*options, "--data-checksums"]
    return [*options, "--no-data-checksums"] if after.major >= 18 else options  # before 18, none is the default


def _move(swap: Swap, old: Cluster, before: Programs, after: Programs) -> None:
    if swap.sockets != swap.work:
        private_folder(swap.sockets, old.account)
    arguments = ["--old-bindir", str(before.folder), "--new-bindir", str(after.folder), "--username", "postgres"]
    arguments += ["--old-datadir", str(swap.old), "--new-datadir", str(swap.new), "--socketdir", str(swap.sockets)]
    arguments += ["--old-port", "5432", "--new-port", "5433", "--copy"]
    try:
        old.run(after, "pg_upgrade", arguments, cwd=str(swap.work))
    except subprocess.CalledProcessError as error:
        lines = [line for line in str(error.stderr).splitlines() if line.strip("-") and not line.endswith("  ok")]
        said = "\n".join([*lines, _last_words(swap.new)])
        raise StoreError(
            f"pg_upgrade refused, and the memory in {swap.home} is as it was: {said[-2500:]}\n"
            f"There is another way: seemory db backup FILE, then seemory db restore FILE --home NEW"
        ) from error


def _last_words(new: Path) -> str:
    """What pg_upgrade put into files rather than print: the lists of what it minds, or else the end of its log."""
    written = new / "pg_upgrade_output.d"
    files = sorted(written.rglob("*.txt")) or sorted(written.rglob("pg_upgrade_*.log"))
    return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-500:]}" for path in files)


def _finish_extensions(new: Cluster) -> None:
    """Have every extension at the version that came with the new programs, and the planner's counts made anew."""
    for name in databases(lambda name: new.url(role="postgres", database=name)):
        with psycopg.connect(new.url(role="postgres", database=name), autocommit=True) as connection:
            behind = connection.execute(
                "SELECT e.extname FROM pg_extension e JOIN pg_available_extensions a ON a.name = e.extname "
                "WHERE a.default_version <> e.extversion"
            ).fetchall()
            for (extension,) in behind:
                connection.execute(SQL("ALTER EXTENSION {} UPDATE").format(Identifier(extension)))
            connection.execute("ANALYZE")


def _mend_indexes(new: Cluster) -> list[str]:
    """Names of the approximate indexes built anew: pgvector refuses those whose form on disk it does not know."""
    rebuilt = []
    for name in databases(lambda name: new.url(role="postgres", database=name)):
        with psycopg.connect(new.url(role="postgres", database=name), autocommit=True) as connection:
            connection.execute("SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off")
            for shown, schema, index, ask in connection.execute(_INDEXES).fetchall():
                try:
                    connection.execute(ask.encode())
                except psycopg.errors.InternalError:
                    connection.execute(SQL("REINDEX INDEX {}").format(Identifier(schema, index)))
                    connection.execute(ask.encode())
                    rebuilt.append(shown)
    return rebuilt


def _kept_as(path: Path) -> int | None:
    """The major version under which an upgrade kept that folder; None for anything else."""
    number = path.name.removeprefix("postgres.")
    return int(number) if number.isdecimal() and path.is_dir() and major_of(path) == int(number) else None
