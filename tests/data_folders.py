"""Data folders for tests: one is made, which takes seconds, and the others are copies of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg

from seemory.store.connect import open_database, unbound_url


def make_home(home: Path) -> Path:
    """A new data folder with a stopped server that does not wait for the disk.

    Tests kill programs, which loses nothing that the kernel has been given, and none pulls a plug. That a folder of
    Seemory's own making does wait is shown in tests/store/test_embedded.py.
    """
    with open_database(None, home=home), psycopg.connect(unbound_url(home), autocommit=True) as superuser:
        superuser.execute("ALTER SYSTEM SET fsync = off")
    return home


def copy_home(home: Path, copy: Path) -> Path:
    """Another data folder like that one, whose server is stopped."""
    copy.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(home / "postgres"), str(copy)], check=True)
    return copy
