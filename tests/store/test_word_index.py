"""Words by their index: allowed under row-level security where matching is declared to give nothing away."""

from __future__ import annotations

import psycopg
import pytest

from seemory.store import word_index
from seemory.store.connect import Database
from seemory.store.describing import Descriptions
from seemory.store.items import Items
from seemory.store.words import Words
from seemory.types import Description, Generation

from .conftest import outcome

MANY = 1_500
"""Items of an owner: of fewer, Postgres rather reads all."""

_ASKED = "EXPLAIN SELECT id FROM seemory.item WHERE owner_id = %s AND document @@ 'harbour'::tsquery"


def describe(database: Database, owner: str, generation: Generation, text: str) -> None:
    items = Items(database, owner)
    items.write(generation.collection, generation, [outcome(f"/p/{owner}/{n}.jpg", 1) for n in range(MANY)])
    item = items.listing(generation.collection)[0]
    Descriptions(database, owner, generation.collection, "english").write({item.item_id: Description(caption=text)})


def plan(database: Database, owner: str) -> str:
    with database.transaction(owner) as connection:
        connection.execute("SET LOCAL enable_seqscan = off")
        return "\n".join(line for (line,) in connection.execute(_ASKED, [owner]))


def test_words_go_by_their_index_where_that_is_declared_and_find_the_same_without(
    database: Database, owner: str, generation: Generation, superuser: psycopg.Connection
) -> None:
    if database.distributed:
        pytest.skip("a cluster's workers are declared by whoever administers them")
    describe(database, f"not {owner}", generation, "a harbour")
    describe(database, owner, generation, "boats in the harbour")
    superuser.execute("ANALYZE seemory.item")
    words = Words(database, owner)
    assert "item_document" in plan(database, owner)
    found = words.matching(generation.collection, ["harbour"], limit=10)
    assert len(found.found) == 1
    superuser.execute(word_index.DECLARE.replace("LEAKPROOF", "NOT LEAKPROOF"))
    try:
        assert "item_document" not in plan(database, owner)
        assert words.matching(generation.collection, ["harbour"], limit=10) == found
        with psycopg.connect(database.conninfo, autocommit=True) as bound:
            word_index.declare(bound)  # may not, and says nothing
            assert not word_index.is_declared(bound)
    finally:
        word_index.declare(superuser)
    assert word_index.is_declared(superuser)
    assert "item_document" in plan(database, owner)
