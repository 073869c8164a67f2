"""The SQL functions for people in psql: what they find, and what attackers get."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest

from seemory.errors import StoreError
from seemory.store.ann_index import EXACT_ROWS
from seemory.store.connect import Database
from seemory.store.items import Items
from seemory.store.query import Query
from seemory.types import Generation, Vector

from .conftest import DIM, outcome, unit

SEARCH = (
    "SELECT scene_id, video_id, kind, uri, start_s, end_s, similarity FROM "
    "seemory.search_scenes_by_visual_clip_embedding(%(q)s::{type}, %(over)s, %(k)s, %(video)s, %(user)s, %(in)s)"
)
SCORE = "SELECT scene_id, similarity FROM seemory.batch_score_scenes_clip(%(q)s::{type}, %(ids)s, %(user)s, %(in)s)"


def literal(vector: Vector) -> str:
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


def search(connection: psycopg.Connection[Any], generation: Generation, user: str | None, **given: Any) -> list:
    names = {"q": literal(unit(1)), "over": -2.0, "k": 10, "video": None, "user": user, "in": generation.collection}
    names |= given
    return connection.execute(SEARCH.format(type=names.pop("type", "vector")), names).fetchall()


def score(connection: psycopg.Connection[Any], generation: Generation, user: str | None, **given: Any) -> list:
    names = {"q": literal(unit(1)), "ids": [], "user": user, "in": generation.collection} | given
    return connection.execute(SCORE.format(type=names.pop("type", "vector")), names).fetchall()


@pytest.fixture
def ids(items: Items, generation: Generation) -> dict[str, UUID]:
    """Six pictures, one of them marked as gone; a scene of a video and a text take the place of two others."""
    items.write(generation.collection, generation, [outcome(f"/{n}", n) for n in range(1, 7)])
    found = {item.uri: item for item in items.listing(generation.collection)}
    items.mark_missing(generation.collection, [found["/6"].asset_id])
    with items._transaction() as connection:
        change = "UPDATE seemory.item SET kind = %s, start_s = %s, end_s = %s WHERE id = %s"
        connection.execute(change, ["scene", 1.5, 4.0, found["/4"].item_id])
        connection.execute(change, ["text", None, None, found["/5"].item_id])
    return {uri: item.item_id for uri, item in found.items()}


@pytest.mark.parametrize("kind", ["vector", "halfvec"])
def test_scenes_and_images_come_best_first(
    database: Database, ids: dict[str, UUID], query: Query, generation: Generation, owner: str, kind: str
) -> None:
    with database.transaction(owner) as connection:
        rows = search(connection, generation, owner, type=kind)
        above = search(connection, generation, owner, type=kind, over=rows[1][-1])
    nearest = [hit for hit in query.nearest(generation, unit(1)) if hit.item.kind != "text"]
    assert [row[0] for row in rows] == [hit.item.item_id for hit in nearest]
    assert [row[-1] for row in rows] == pytest.approx([hit.cosine for hit in nearest])
    assert {row[3] for row in rows} == {"/1", "/2", "/3", "/4"}
    assert [row[2:6] for row in rows if row[3] == "/4"] == [("scene", "/4", 1.5, 4.0)]
    assert above == rows[:1]


def test_one_video_and_few(database: Database, ids: dict[str, UUID], generation: Generation, owner: str) -> None:
    with database.transaction(owner) as connection:
        rows = search(connection, generation, owner)
        assert search(connection, generation, owner, video=rows[2][1]) == [rows[2]]
        assert search(connection, generation, owner, video=uuid4()) == []
        assert search(connection, generation, owner, k=2) == rows[:2]
        assert search(connection, generation, owner, k=10_000) == rows


def test_given_scenes_are_scored(database: Database, ids: dict[str, UUID], generation: Generation, owner: str) -> None:
    wanted = [ids["/3"], ids["/1"], ids["/1"], ids["/5"], ids["/6"], uuid4()]
    with database.transaction(owner) as connection:
        whole = {row[0]: row[-1] for row in search(connection, generation, owner)}
        for kind in ("vector", "halfvec"):
            scored = score(connection, generation, owner, ids=wanted, type=kind)
            assert [scene for scene, _ in scored] == [ids["/1"], ids["/3"]]
            assert [similarity for _, similarity in scored] == pytest.approx([whole[scene] for scene, _ in scored])


def test_without_a_user_there_are_no_rows(
    database: Database, superuser: psycopg.Connection, ids: dict[str, UUID], generation: Generation, owner: str
) -> None:
    for user in (None, "", "%", "*", owner + " ", f"{owner}' OR true --"):
        with database.transaction(owner) as connection:
            assert search(connection, generation, user) == []
            assert score(connection, generation, user, ids=list(ids.values())) == []
        # Not even to one whom row-level security does not bind.
        superuser.execute("SET search_path = seemory, public")
        assert search(superuser, generation, user) == []
        assert score(superuser, generation, user, ids=list(ids.values())) == []
    assert len(search(superuser, generation, owner)) == 4


def test_naming_another_user_does_not_make_one(
    database: Database, ids: dict[str, UUID], generation: Generation, owner: str
) -> None:
    for session in (f"thief-{uuid4()}", None):
        with database.transaction(session) as connection:
            assert search(connection, generation, owner) == []
            assert score(connection, generation, owner, ids=list(ids.values())) == []
            assert connection.execute("SELECT coalesce(current_setting('seemory.owner', true), '')").fetchone() == (
                session or "",
            )


def test_nothing_asked_is_nothing_found(
    database: Database, ids: dict[str, UUID], generation: Generation, owner: str
) -> None:
    with database.transaction(owner) as connection:
        for nothing in ({"q": None}, {"k": None}, {"over": None}, {"k": 0}, {"k": -5}, {"over": float("nan")}):
            assert search(connection, generation, owner, **nothing) == []
        assert score(connection, generation, owner, ids=None) == []
        assert score(connection, generation, owner, ids=[]) == []
        assert score(connection, generation, owner, q=None, ids=list(ids.values())) == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"q": literal(unit(1, DIM + 1))}, f"{DIM} dimensions, made by test, and the query has {DIM + 1}"),
        ({"q": literal(np.zeros(DIM, np.float32))}, "direction"),
        ({"q": "[" + ",".join(["nan"] * DIM) + "]"}, "NaN"),
        ({"q": "[1e30" + ",0" * (DIM - 1) + "]"}, "out of range"),
        ({"in": "no such collection"}, "no vectors"),
        ({"in": None}, "no vectors"),
        ({"in": "x'; DROP TABLE seemory.item; --"}, "no vectors"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    database: Database, ids: dict[str, UUID], generation: Generation, owner: str, given: dict[str, Any], says: str
) -> None:
    for call, more in ((search, {}), (score, {"ids": list(ids.values())})):
        with pytest.raises(StoreError, match=says), database.transaction(owner) as connection:
            call(connection, generation, owner, **more, **given)
    with database.transaction(owner) as connection:
        assert len(search(connection, generation, owner)) == 4


def test_beside_the_index_every_wanted_row_comes(
    database: Database, items: Items, query: Query, generation: Generation, owner: str
) -> None:
    """More rows than are compared one by one, another owner's among them; the caller's settings stay."""
    rows = EXACT_ROWS + 500
    for who, count in ((owner, rows), (f"{owner}-other", 500)):
        with database.transaction(who) as connection:
            fill(connection, generation, who, count)
    assert items.ensure_index(generation)
    for k in (1, 10, 300, 984, 985, rows + 1):
        with database.transaction(owner) as connection:
            connection.execute("SET LOCAL hnsw.ef_search = 41; SET LOCAL enable_sort = on")
            found = search(connection, generation, owner, k=k)
            kept = "SELECT current_setting('hnsw.ef_search'), current_setting('enable_sort')"
            assert connection.execute(kept).fetchone() == ("41", "on")
        expected = query.nearest(generation, unit(1), limit=k, exact=True)
        assert len(found) == min(k, rows)
        same = len({row[0] for row in found} & {hit.item.item_id for hit in expected})
        assert same >= 0.99 * len(expected)
        assert [row[-1] for row in found] == sorted((row[-1] for row in found), reverse=True)


def fill(connection: psycopg.Connection[Any], generation: Generation, owner: str, rows: int) -> None:
    names = {"owner": owner, "rows": rows, "collection": generation.collection}
    connection.execute(
        """
        INSERT INTO seemory.asset (owner_id, id, collection_id, kind, uri, bytes, mtime_ns)
        SELECT %(owner)s, gen_random_uuid(), c.id, 'image', '/' || n, 1, 1
        FROM generate_series(1, %(rows)s) n, seemory.collection c WHERE c.name = %(collection)s
        ON CONFLICT DO NOTHING""",
        names,
    )
    connection.execute(
        """
        INSERT INTO seemory.item (owner_id, id, asset_id, collection_id, kind)
        SELECT owner_id, id, id, collection_id, 'image' FROM seemory.asset WHERE owner_id = %(owner)s
        ON CONFLICT DO NOTHING""",
        names,
    )
    connection.execute(
        f"""
        INSERT INTO seemory.{generation.table} (owner_id, item_id, embedding)
        SELECT %(owner)s, i.id,
               (SELECT array_agg(random() - 0.5) FROM generate_series(1, {DIM}) WHERE i.id IS NOT NULL)::halfvec
        FROM seemory.item i WHERE i.owner_id = %(owner)s ON CONFLICT DO NOTHING""",
        {"owner": owner},
    )
