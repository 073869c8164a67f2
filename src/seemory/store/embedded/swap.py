"""The folders of an upgrade, and the exchange of the old cluster for the new one that no kill can leave half done.

    postgres            what is served
    postgres.upgrade/   the new cluster while it is made (data), the tool's own files (work), and `ready`
    postgres.16         the old cluster, kept after the exchange

Two renames are needed, and between them nothing has the name `postgres`. `ready` is written before the first one, so
whoever comes after a kill knows that the second is still to be done. In all other states what was begun is thrown away.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seemory.store.durable import sync_folder
from seemory.store.embedded.cluster import Cluster, socket_folder_for
from seemory.store.embedded.postmaster import read_postmaster
from seemory.store.embedded.programs import newest


class Swap:
    """The folders of one data folder's upgrade; every call is made behind the gate of users.py."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.old = home / "postgres"
        self.folder = home / "postgres.upgrade"
        self.new = self.folder / "data"
        self.work = self.folder / "work"
        self._ready = self.folder / "ready"

    @property
    def sockets(self) -> Path:
        """Where the servers that pg_upgrade starts have their sockets, so that nobody else meets them."""
        return socket_folder_for(self.work)

    def settle(self) -> None:
        """Finish an exchange that was begun, or throw away what was only prepared; no more than a look if neither."""
        if not self.folder.exists():
            return
        self._end_leftovers()
        if self._ready.exists() and self.new.exists() and not self.old.exists():
            self.new.rename(self.old)
            sync_folder(self.home)
        self.clear()

    def clear(self) -> None:
        """Remove the folder; `ready` goes first, so that nothing half removed is ever taken for whole."""
        self._ready.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        for sockets in (self.sockets, socket_folder_for(self.new)):
            if self.home not in sockets.parents:
                shutil.rmtree(sockets, ignore_errors=True)

    def discard(self, kept: Path) -> None:
        """Delete an old cluster; moved aside first, so that a killed deletion is carried on by the next `settle`."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        kept.rename(self.folder / kept.name)
        self.clear()

    def commit(self, kept: Path | None, between: Callable[[], None]) -> None:
        """Put the new cluster into the old one's place; the old one is moved to `kept`, or deleted if that is None.

        Args:
            kept: a path in the data folder where nothing is.
            between: called after the first rename and before the second.
        """
        self._ready.touch()
        sync_folder(self.folder)
        sync_folder(self.home)
        self.old.rename(kept or self.folder / "old")
        sync_folder(self.home)
        between()
        self.new.rename(self.old)
        sync_folder(self.home)
        self.clear()

    def _end_leftovers(self) -> None:
        """End what a killed upgrade left running: pg_upgrade, its tools, and the servers that they started."""
        deadline = time.monotonic() + 60
        self._kill_all_in(self.work, deadline)  # first of all, so that they start nothing more
        if read_postmaster(self.new):
            Cluster(self.home, self.new).stop(newest(), at_once=True)
        self._kill_all_in(self.new, deadline)
        old = Cluster(self.home, self.old)
        while time.monotonic() < deadline and _processes_in(self.old):
            postmaster = read_postmaster(self.old)
            if postmaster and postmaster.socket_folder == old.socket_folder():
                return  # an ordinary server; ours to use
            if postmaster:  # in upgrade mode
                old.stop(newest())  # any pg_ctl can
            else:
                time.sleep(0.02)  # it has not said yet what it is

    def _kill_all_in(self, folder: Path, deadline: float) -> None:
        while time.monotonic() < deadline and (left := _processes_in(folder)):
            for process in left:
                process.kill()
            time.sleep(0.02)


def _processes_in(folder: Path) -> list[Any]:
    """The processes whose working folder it is."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
