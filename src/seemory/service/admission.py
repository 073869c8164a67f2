"""Who asks: the owner of the key that a request shows, or, where no key is needed, the service's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from starlette.requests import Request

from seemory.service.rates import Rates
from seemory.service.refusals import Refused
from seemory.store.keys import SCOPES, Keys, Scope

_BY_WAY_OF_OTHERS: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
FROM_A_PAGE: Final = "from_a_page"
"""In a request's state: a page of another origin asks, one that may, with a key of its own."""


COOKIE: Final = "seemory_key"
"""In which a browser keeps the key that somebody signed in with."""


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a request is answered, and how far it may go."""

    owner: str
    scope: Scope
    key: UUID | None = None
    """None: it came without one."""

    def require(self, scope: Scope) -> None:
        """Nothing. Raises Refused where the key does not go so far."""
        if SCOPES.index(self.scope) < SCOPES.index(scope):
            raise Refused(403, "Scope", f"this key is for {self.scope!r}, and this needs one for {scope!r}")


class Admission:
    """Tells who asks. Keys are looked up for each request: a revoked one opens nothing from that moment on."""

    def __init__(self, keys: Callable[[], Keys], rates: Rates, *, owner: str, here: bool, all_: bool) -> None:
        """Nobody has asked yet.

        Args:
            keys: those there are.
            rates: how often a key may ask.
            owner: whose memory is answered from where no key is needed.
            here: whether a request straight from this machine needs none.
            all_: whether no request needs one.
        """
        self._keys = keys
        self._rates = rates
        self._here = Caller(owner, "admin") if here or all_ else None
        self._all = all_

    @property
    def without_key(self) -> bool:
        """Whether some requests need no key."""
        return self._here is not None

    def needs_look(self, request: Request) -> bool:
        """Whether the database has to be asked who this is."""
        return "authorization" in request.headers or _signed_in(request) is not None

    def _of_key(self, secret: str) -> Caller:
        key = self._keys().find(secret.strip())
        if key is None:
            raise _unknown("there is no such key, or it was revoked")
        return Caller(key.owner, key.scope, key.id)

    def caller(self, request: Request, scope: Scope, *, counted: bool = True) -> Caller:
        """Who asks; unless told otherwise, it counts among those that a key may make in a minute.

        Raises:
            Refused: 401 without a key that opens anything, 403 with one for less than `scope`, 429 with one that has
                asked too often.
        """
        if "authorization" in request.headers:
            found = self._of_key(bearer(request))
        elif (secret := _signed_in(request)) is not None:
            found = self._of_key(secret)
        else:
            found = self._without(request)
        found.require(scope)
        if counted and found.key is not None and (wait_s := self._rates.wait_s(found.key)):
            raise Refused(429, "TooOften", "this key has asked as often as it may: try again later", retry_s=wait_s)
        return found

    def _without(self, request: Request) -> Caller:
        if self._here is None:
            raise _unknown("show a key, as `Authorization: Bearer KEY`")
        if getattr(request.state, FROM_A_PAGE, False):
            raise _unknown("a page of another origin needs a key: `Authorization: Bearer KEY`")
        if not self._all and any(name in request.headers for name in _BY_WAY_OF_OTHERS):
            raise _unknown("a request that a proxy passes on needs a key: `Authorization: Bearer KEY`")
        return self._here


def bearer(request: Request) -> str:
    """The key that a request shows in its header. Raises Refused where it shows none, or several."""
    shown = request.headers.getlist("authorization")
    kind, _, secret = shown[0].partition(" ") if shown else ("", "", "")
    if len(shown) != 1 or kind.lower() != "bearer":
        raise _unknown("show one key, as `Authorization: Bearer KEY`")
    return secret.strip()


def _signed_in(request: Request) -> str | None:
    """The key with which somebody has signed in on the page. To pages of other origins it means nothing."""
    return None if getattr(request.state, FROM_A_PAGE, False) else request.cookies.get(COOKIE)


def _unknown(message: str) -> Refused:
    return Refused(401, "NoKey", message)
