from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seemory.errors import StoreError
from seemory.store.address import checked, explained, shown
from seemory.store.connect import open_database


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


@example(password="Sesame%99Open", form="postgresql://anna:{}@127.0.0.1:1/x")
@example(password="Sesame@/?Open", form="postgresql://anna:{}@127.0.0.1:1/x")
@example(password="Sesame@9\\Open", form="postgresql://anna:{}@127.0.0.1:1/x")
@example(password="Sesame/@?Open", form="postgresql://anna:{}@127.0.0.1:1/x")
@example(password="Sesame@/?Z=Open", form="postgresql://anna:{}@127.0.0.1:1/x")
@given(
    password=_HIDDEN, form=st.sampled_from(["postgresql://anna:{}@127.0.0.1:1/x", "postgres:/anna:{}@h/x", "host={}"])
)
def test_no_error_shows_any_piece_of_a_password(password: str, form: str) -> None:
    url = form.format(password) if "host=" not in form else f"host=127.0.0.1 port=1 user=a password={password} x"
    with pytest.raises((psycopg.Error, StoreError)) as caught:
        psycopg.connect(checked(url), connect_timeout=1)
    message = explained(url, caught.value)
    assert "Sesame" not in message
    assert "Open" not in message


@pytest.mark.parametrize("url", ["postgresql://a:Sesame%99@127.0.0.1:1/x", "host=127.0.0.1 password=Sesame\udc99"])
def test_address_that_is_no_text_is_refused_by_name(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no UTF-8 text") as caught:
        open_database(url, home=tmp_path)
    assert "Sesame" not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_error_says_what_to_do() -> None:
    refused = psycopg.OperationalError("connection failed: SSL error: certificate verify failed")
    assert "sslrootcert=FILE" in explained("postgresql://a:b@h/d", refused)
    assert explained("postgresql://a:b@h/d", psycopg.OperationalError("gone")) == "postgresql://a@h/d: gone"
