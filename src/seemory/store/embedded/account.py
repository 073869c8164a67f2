"""Under which account the embedded server runs: Postgres refuses to run as root."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seemory.errors import DatabaseUnreachable

_SERVICE_ACCOUNTS = ("seemory", "postgres", "pgserver", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """The account of the server's processes and files; None means: our own."""

    uid: int | None = None
    gid: int | None = None

    def subprocess_options(self) -> dict[str, Any]:
        """What makes `subprocess.run` run as this account."""
        return {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give it a folder."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def let_through(self, path: Path) -> None:
        """Let it reach a folder: "may pass" for others is added to the folders above, where root's own lack it.

        Passing is not reading: nobody can list those folders because of this.
        """
        if self.uid is None:
            return
        for folder in path.resolve().parents:
            mode = folder.stat().st_mode
            if not mode & stat.S_IXOTH:
                folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def account_for(home: Path, data: Path) -> Account:
    """Our own account, or, if we are root, the one whose data or data folder it is, or else a service account.

    An account is chosen, never made: the password file of somebody's machine is not ours to write.
    """
    if os.name != "posix" or os.geteuid() != 0:
        return Account()
    import pwd

    for folder in (data, home):
        if folder.exists() and (owner := folder.stat()).st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
    for name in _SERVICE_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise DatabaseUnreachable(
        f"Postgres cannot run as root, and there is none of the accounts {', '.join(_SERVICE_ACCOUNTS)} to run it as: "
        f"make one (useradd seemory), or run as an ordinary user"
    )
