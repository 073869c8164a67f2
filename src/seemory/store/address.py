"""A database's address as it may be shown, and what a refused connection means for whoever gave it."""

from __future__ import annotations

import re
from functools import cache
from urllib.parse import unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from seemory.errors import StoreError

_SECRET = ("password", "sslpassword")

_HOSTS = re.compile(r"((\[[0-9a-fA-F:.%]*\]|[^:,]*)(:[0-9]*)?(,|$))*")  # host:port,host:port

_ENCODED = re.compile(r"([A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")  # RFC 3986, 3.2.1
_UNENCODED = (
    "the connection failed; what was said of it may hold parts of the password, which has characters that an address "
    "must have as %XX (%40 for @, %2F for /, %3A for :): write it so to see more"
)

_FULL = r"remaining connection slots|too many clients|too many connections"

# What libpq says → what to do about it.
_ADVICE = (
    (
        r"certificate verify failed",
        "the server's certificate is not signed by an authority you trust: give the right one's certificate with "
        "sslrootcert=FILE in the URL (sslrootcert=system takes the authorities of this machine)",
    ),
    (
        r"does not match host name",
        "connect by a name that stands in the server's certificate, or have one made for this name",
    ),
    (
        r"server does not support SSL, but SSL was required",
        "turn ssl on in the server's postgresql.conf, or take sslmode out of the URL to send everything in the clear",
    ),
    (
        _FULL,
        "all of the server's connections are taken: end some of the programs that use it, or raise max_connections",
    ),
    (
        r"no encryption|SSL (connection is )?required|requires SSL",
        "the server lets nobody in unencrypted: use sslmode=verify-full (or sslmode=require) in the URL",
    ),
)


def shown(url: str) -> str:
    """The address as it may be shown: without a password, even where the password broke the address."""
    scheme, rest = _parts(url)
    if scheme is None:  # "host=… password=…"
        try:
            words = conninfo_to_dict(url)
        except (psycopg.Error, UnicodeError):
            return "the database"
        return " ".join(f"{name}={value}" for name, value in words.items() if name not in _SECRET)
    user, _, address = _credentials(rest)
    place, question, query = address.partition("?")
    query = "&".join(pair for pair in query.split("&") if unquote(pair.partition("=")[0]) not in _SECRET)
    return f"{scheme}://{'' if user is None else user + '@'}{place}{question if query else ''}{query}"


def checked(url: str) -> str:
    """The address itself.

    Raises:
        StoreError: it holds bytes that are no text, which psycopg's own error would show with all that is about them.
    """
    try:
        unquote(url, errors="strict").encode()
    except UnicodeError:
        message = f"{shown(url)}: it holds bytes that are no UTF-8 text: write each character as its UTF-8 bytes, %XX"
        raise StoreError(message.encode(errors="replace").decode()) from None
    return url


def explained(url: str, error: Exception) -> str:
    """What went wrong with a connection, and what to do; no part of a password is in it."""
    said = _without_secrets(str(error).strip(), url)
    advice = next((f"; {advice}" for pattern, advice in _ADVICE if re.search(pattern, str(error))), "")
    return f"{shown(url)}: {said}{advice}"


def is_full(error: Exception) -> bool:
    """Whether a server refused a connection because all that it has are taken: it is there, and busy."""
    return re.search(_FULL, str(error)) is not None


def _parts(url: str) -> tuple[str | None, str]:
    """(scheme, what follows); without a scheme it is no URL to libpq."""
    found = re.match(r"(postgres(?:ql)?)://", url)
    return (found[1], url[found.end() :]) if found else (None, url)


def _credentials(rest: str) -> tuple[str | None, str, str]:
    """(user, password, what follows) of a URL after its scheme.

    A password may contain what should have been percent-encoded. Then libpq reads the rest of it as host, port or
    database and names that in its message, so everything up to the last @ is taken for the password. The @ of a
    parameter that libpq knows is the only one that may stand behind it.
    """
    before_path = rest.partition("/")[0]
    for end in [*(found.start() for found in re.finditer(r"\?", rest)), len(rest)]:
        credentials, at, place = rest[:end].rpartition("@")
        is_address = _HOSTS.fullmatch(place.partition("/")[0]) and _are_parameters(rest[end + 1 :])
        if is_address and (at or "@" not in before_path):
            break
    else:
        credentials, at, place = rest.rpartition("@")
        end = len(rest)
    if not at:
        return None, "", rest
    user, _, password = credentials.partition(":")
    return user, password, place + rest[end:]


def _are_parameters(text: str) -> bool:
    return not text or all(unquote(pair.partition("=")[0]) in _parameter_names() for pair in text.split("&"))


@cache
def _parameter_names() -> frozenset[str]:
    return frozenset(option.keyword.decode() for option in Conninfo.get_defaults()) | {"ssl"}


def _without_secrets(message: str, url: str) -> str:
    scheme, rest = _parts(url)
    try:
        words = conninfo_to_dict(url)
    except (psycopg.Error, UnicodeError):
        if scheme is None:  # which word of it is the password, nobody can say
            return "it is neither postgresql://… nor name=value pairs"
        words = {}
    if scheme is not None and not _ENCODED.fullmatch(_credentials(rest)[1]):
        # Then libpq may take a part of it for a host or a parameter, and name that, in more ways than can be foreseen.
        return _UNENCODED
    secrets = [str(words[name]) for name in _SECRET if words.get(name)]
    if scheme is not None:
        secrets += [_credentials(rest)[1], *re.findall(r"password=([^&]+)", rest)]
    whole = {text for secret in secrets for text in (secret, unquote(secret))}
    pieces = {piece for text in whole for piece in re.split(r"[@/:?#&\s]", text)}
    for text in sorted(whole | pieces, key=len, reverse=True):
        if text:
            message = re.sub(rf"(?<!\w){re.escape(text)}(?!\w)", "…", message)
    return message
