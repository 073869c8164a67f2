"""SQL, templates and other trouble in every text that anybody can give, against the whole of `Memory`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import psycopg
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from seemory.cli import main
from seemory.errors import SeemoryError
from seemory.memory import Memory
from seemory.settings import read_settings
from seemory.store.connect import open_database, unbound_url
from seemory.types import Filter

from .conftest import Loot, World, rows_of

PAYLOADS = [
    "' OR '1'='1",
    "' OR 1=1 --",
    "'; DROP TABLE seemory.item CASCADE; --",
    "'); DELETE FROM seemory.asset; --",
    "' UNION SELECT owner_id, id::text FROM seemory.item --",
    "1; SELECT set_config('seemory.owner', '{victim}', false)",
    "'; SET seemory.owner = '{victim}'; --",
    '"; SET ROLE postgres; --',
    "$$; TRUNCATE seemory.item; $$",
    "\\'; SELECT pg_sleep(10); --",
    "%s %(owner)s %% {0} {table} {victim}",
    "{victim}",
    "{victim}' --",
    "*",
    "%",
    "_",
    "NULL",
    "\u02bc OR 1=1",
    "a\tb\nc\rd",
    "\\",
    "-c role=postgres",
    "x -c seemory.owner={victim}",
    "‮txt.gpj",
    "😀" * 50,
    "a" * 200,
]

OPERATORS = ["=", "!=", "<", "<=", ">", ">=", "~"]
wild = st.one_of(
    st.sampled_from(PAYLOADS),
    st.text(st.characters(codec=None), max_size=30),
    st.builds("{}{}".format, st.sampled_from(PAYLOADS), st.text(max_size=5)),
)
slow = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def thief(worlds: tuple[World, World]) -> Memory:
    return worlds[0].thief


@pytest.fixture(autouse=True)
def nothing_is_lost(victim: Memory, eye: psycopg.Connection) -> Iterator[None]:
    """Every table is there afterwards, and the victim's rows are what they were."""
    before = rows_of(eye, victim.owner)
    yield
    assert rows_of(eye, victim.owner) == before


def foreign(text: str, loot: Loot) -> list[str]:
    return [secret for secret in loot.secrets if secret in text and "victim-" not in secret]


def asked(thief: Memory, text: str) -> Iterator[Callable[[], object]]:
    """Every way in for a text that does not write."""
    yield lambda: thief.search(text, limit=100)
    yield lambda: thief.search(like=text)
    yield lambda: thief.search("cat", plus=[text], minus=[text + "x"], limit=100)
    yield lambda: thief.search(image=text)
    yield lambda: thief.search("cat", kind=text, limit=100)  # type: ignore[arg-type]
    yield lambda: thief.similar(text, limit=100)
    yield lambda: thief.get(text)
    yield lambda: thief.forget([text])
    for operator in OPERATORS:
        for field in (text, "path", "name", "camera", "format", "tag", "width", "taken", f"a.{text}"):
            yield lambda field=field, operator=operator: list(thief.items(where=[Filter(field, operator, text)]))  # type: ignore[misc]
    yield lambda: thief.search("cat", where=[text], limit=100)
    yield lambda: list(thief.items(where=[f"path={text}", f"{text}=1"]))


@slow
@given(text=wild)
@example(text="' OR 1=1 --")
@example(text="\0")
@example(text="\ud800")
def test_texts_that_ask(text: str, thief: Memory, loot: Loot, victim: Memory) -> None:
    payload = text.replace("{victim}", victim.owner)
    for call in asked(thief, payload):
        try:
            outcome = repr(call())
        except SeemoryError as error:
            outcome = str(error)
        assert not foreign(outcome.replace(payload, ""), loot), payload
    assert thief.stats()["items"] == 3


def test_texts_that_are_kept_come_back_as_they_were(
    new_memory: Callable[..., Memory], loot: Loot, victim: Memory, tmp_path: Path
) -> None:
    """Paths, metadata's keys and values, ids, tags: written, read, filtered by, forgotten."""
    texts = [payload.replace("{victim}", victim.owner) for payload in PAYLOADS]
    memory = new_memory()
    rows = {
        "id": [f"{text}." for text in texts],
        "uri": texts,
        "tags": [[text] for text in texts],
        "format": texts,
        **dict.fromkeys(texts, texts),
        "embedding": np.eye(len(texts), 256, dtype=np.float32).tolist(),
    }
    pyarrow.parquet.write_table(pyarrow.table(rows), tmp_path / "x.parquet")
    imported = memory.import_vectors(tmp_path / "x.parquet", model="seemory-mini", fingerprint="local")
    assert imported.new == len(texts)
    assert {item.uri for item in memory.items()} == set(texts)
    assert memory.export_vectors(tmp_path / "y.parquet") == len(texts)
    for n, text in enumerate(texts):
        assert [item.uri for item in memory.items(where=[Filter("path", "=", text)])] == [text]
        found = memory.items(where=[Filter("import_id", "=", f"{text}.")])
        assert [item.metadata["import_id"] for item in found] == [f"{text}."]
        assert text in {hit.uri for hit in memory.search("a cat", where=[Filter("path", "~", text)], limit=100)}
        assert memory.get(text).uri == text
        assert memory.forget([text]) == 1
        assert memory.stats()["items"] == len(texts) - n - 1


@pytest.mark.parametrize("payload", PAYLOADS[::2])
def test_owners_and_collections_named_like_sql(
    payload: str, home: Path, victim: Memory, photos: Path, eye: psycopg.Connection
) -> None:
    text = payload.replace("{victim}", victim.owner)
    assert text != victim.owner
    for owner, collection in ((text, victim.collection), (f"owner-{uuid4()}", text)):
        with Memory(read_settings(home=home, owner=owner, collection=collection), model="seemory-mini") as memory:
            assert memory.stats()["items"] == 0
            assert memory.index(photos / "cat.png").indexed == 1
            assert [item.uri for item in memory.items()] == [str(photos / "cat.png")]
            assert [hit.uri for hit in memory.search("a cat", limit=100)] == [str(photos / "cat.png")]
            assert rows_of(eye, owner)["asset"]
            assert memory.forget([item.item_id for item in memory.items()]) == 1


def test_file_names_like_sql(new_memory: Callable[..., Memory], photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "named"
    folder.mkdir()
    paths = [folder / f"{n}{payload.replace('/', '_')[:50]}.png" for n, payload in enumerate(PAYLOADS)]
    for path in paths:
        shutil.copy(photos / "cat.png", path)
    memory = new_memory()
    report = memory.index(folder)
    assert report.indexed == len(paths)
    for path in paths:
        assert [item.uri for item in memory.items(where=[Filter("path", "=", str(path))])] == [str(path)]
        assert memory.get(str(path)).uri == str(path)


@pytest.mark.parametrize(
    "owner", ["a b", "a\\ -c role=postgres", "x -c seemory.owner={victim}", "tab\tnew\nline", "ä'\"$"]
)
@pytest.mark.parametrize("above", [False, True])
def test_psql_is_opened_for_the_owner_and_no_other_whatever_its_name(
    owner: str,
    above: bool,
    home: Path,
    victim: Memory,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Also with a superuser's URL: psql is then bound as Seemory is."""
    name = owner.format(victim=victim.owner)
    monkeypatch.setenv("SEEMORY_HOME", str(home))
    monkeypatch.setenv("SEEMORY_OWNER", name)
    if above:
        monkeypatch.setenv("SEEMORY_DATABASE_URL", unbound_url(home))
    with pytest.raises(SystemExit):
        main(["db", "psql", "-XAtc", "SELECT current_setting('seemory.owner'), current_user, count(*) FROM item"])
    assert capfd.readouterr().out == f"{name}|seemory|0\n"


def test_password_is_not_in_psqls_command_line(home: Path) -> None:
    """Everybody on a machine can read command lines."""
    from seemory.store.backup import command_environment

    with open_database(unbound_url(home).replace("postgres@", "postgres:secret@"), home=home) as database:
        address, environment = command_environment(database.session("anna"))
        assert "secret" not in address
        assert environment["PGPASSWORD"] == "secret"
