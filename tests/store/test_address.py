from __future__ import annotations

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seemory.store.address import explained, shown


@pytest.mark.parametrize(
    ("url", "is_shown"),
    [
        ("postgresql://a:b%40c@h:1/d?password=x&host=y", "postgresql://a@h:1/d?host=y"),
        ("postgresql://a:b@h/d?sslpassword=x&sslmode=require", "postgresql://a@h/d?sslmode=require"),
        ("postgresql://a:b@h/d?pass%77ord=x", "postgresql://a@h/d"),
        ("postgresql://a:b@h1:1,h2:2/d", "postgresql://a@h1:1,h2:2/d"),
        ("postgresql:///d?host=/run", "postgresql:///d?host=/run"),
        ("postgresql://h:5432/d?application_name=a@b", "postgresql://h:5432/d?application_name=a@b"),
        ("postgresql://h1:1,[::1]:2/d?application_name=a@b", "postgresql://h1:1,[::1]:2/d?application_name=a@b"),
        ("postgresql://a@h/d", "postgresql://a@h/d"),
        ("host=h user=a password=b sslpassword=c", "user=a host=h"),
        ("b", "the database"),
        # passwords that should have been percent-encoded
        ("postgresql://a:hush@word@h/d", "postgresql://a@h/d"),
        ("postgresql://a:hush/word@h/d", "postgresql://a@h/d"),
        ("postgresql://a:12/34@h/d", "postgresql://a@h/d"),
        ("postgresql://a:hush/?word@h/d", "postgresql://a@h/d"),
        ("postgresql://a:hush?word@h/d", "postgresql://a@h/d"),
        ("postgresql://a:hush#word@h/d", "postgresql://a@h/d"),
        ("postgresql://a:hush:word@h/d", "postgresql://a@h/d"),
        ("postgresql://a:hush[word@h/d", "postgresql://a@h/d"),
    ],
)
def test_address_is_shown_without_its_password(url: str, is_shown: str) -> None:
    assert shown(url) == is_shown


_HIDDEN = st.text(st.sampled_from("@/:?#%&[] \\'=Z9"), min_size=0, max_size=6).map("Sesame{}Open".format)


@given(
    password=_HIDDEN, form=st.sampled_from(["postgresql://anna:{}@127.0.0.1:1/x", "postgres:/anna:{}@h/x", "host={}"])
)
def test_no_error_shows_any_piece_of_a_password(password: str, form: str) -> None:
    url = form.format(password) if "host=" not in form else f"host=127.0.0.1 port=1 user=a password={password} x"
    with pytest.raises(psycopg.Error) as caught:
        psycopg.connect(url, connect_timeout=1)
    message = explained(url, caught.value)
    assert "Sesame" not in message
    assert "Open" not in message


def test_error_says_what_to_do() -> None:
    refused = psycopg.OperationalError("connection failed: SSL error: certificate verify failed")
    assert "sslrootcert=FILE" in explained("postgresql://a:b@h/d", refused)
    assert explained("postgresql://a:b@h/d", psycopg.OperationalError("gone")) == "postgresql://a@h/d: gone"
