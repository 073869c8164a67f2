"""How a service begins: with its database, a key for whoever may reach it, and its encoder loaded; or it waits."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

from seemory.errors import DatabaseUnreachable, SeemoryError, UsageError
from seemory.memory import Memory
from seemory.service.guard import is_loopback
from seemory.settings import ServiceSettings
from seemory.store.keys import Keys

log = logging.getLogger(__name__)

_AGAIN_S: Final = 2.0


class Beginning:
    """Makes ready what the first request needs."""

    def __init__(
        self, memory: Memory, options: ServiceSettings, say: Callable[[str], None], serving: Callable[[], str]
    ) -> None:
        """Nothing is tried yet.

        Args:
            memory: what is served.
            options: who may ask.
            say: told that it serves, or what it waits for.
            serving: what is said then.
        """
        self.done = Event()
        """It is ready."""
        self._memory, self._options, self._say, self._serving = memory, options, say, serving
        self._ended = Event()
        self._error: SeemoryError | None = None

    def begin(self, *, waiting: bool, give_up: Callable[[], None]) -> None:
        """Be ready, or, if the database does not answer and may be waited for, go on trying beside the requests.

        Args:
            waiting: whether it may be waited for.
            give_up: called where something else turns out to be wrong meanwhile; `end` raises it.

        Raises:
            UsageError: others than this machine can reach it, and there is no key.
            SeemoryError: the memory cannot be opened, or its encoder not be loaded.
        """
        try:
            self._try()
        except DatabaseUnreachable as error:
            if not waiting:
                raise
            self._say(f"The database does not answer yet, and is waited for: {error}")
            Thread(target=self._go_on, args=[give_up], name="beginning", daemon=True).start()

    def end(self) -> None:
        """Try no more. Raises what was wrong."""
        self._ended.set()
        if self._error is not None:
            raise self._error

    def _try(self) -> None:
        require_keys(self._options, Keys(self._memory.database))
        self._memory.encoder.load()
        said = self._serving()
        self.done.set()
        self._say(said)

    def _go_on(self, give_up: Callable[[], None]) -> None:
        while not self._ended.wait(_AGAIN_S):
            try:
                return self._try()
            except DatabaseUnreachable as error:
                log.warning("the database does not answer yet: %s", error)
            except SeemoryError as error:
                self._error = error
                return give_up()


def require_keys(options: ServiceSettings, keys: Keys) -> None:
    """Refuse to answer just anybody who can reach the address.

    Raises:
        UsageError: others than this machine can, there is no key yet, and it was not said that nobody needs one.
    """
    if options.keys != "none" and not is_loopback(options.host) and not keys.any():
        raise UsageError(
            f"{options.host!r} is not this machine alone, and there is no key yet that would tell who asks: make one "
            f"(seemory keys create --owner NAME --scope read), or serve on 127.0.0.1; if whoever reaches the port may "
            f"do everything, say --keys none"
        )
