"""A new generation that is not good enough is found out: its index, at a size where there is one, and its vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from made_encoders import turned
from models.toys import folder

from seemory.embedding.pictures import Target
from seemory.memory import Memory
from seemory.models.encoder import Encoder
from seemory.models.folder import read_folder
from seemory.reembedding.verification import verify
from seemory.store.ann_index import EXACT_ROWS
from seemory.store.figures import is_indexed
from seemory.store.generations import Generations
from seemory.store.items import Items
from seemory.store.transitions import Transitions
from seemory.types import Generation

DIM = 32
ROWS = EXACT_ROWS + 200

# Written with SQL, because so many pictures would take a minute. Random vectors are the hardest case for an index; the
# mention of the item (times 0) makes each row draw numbers of its own.
_ITEMS = """
WITH made AS (
    INSERT INTO seemory.asset (owner_id, id, collection_id, kind, uri, bytes, mtime_ns)
    SELECT %(owner)s, gen_random_uuid(), c.id, 'image', '/made/' || n, 1, 1
    FROM seemory.collection c, generate_series(1, %(rows)s) AS n WHERE c.name = %(collection)s
    RETURNING id, collection_id)
INSERT INTO seemory.item (owner_id, id, asset_id, collection_id, kind)
SELECT %(owner)s, gen_random_uuid(), id, collection_id, 'image' FROM made"""
_VECTORS = """
INSERT INTO seemory.{table} (owner_id, item_id, embedding)
SELECT owner_id, id,
       (SELECT array_agg(random() - 0.5 + i.ordinal * d * 0) FROM generate_series(1, {dim}) AS d)::halfvec
FROM seemory.item i WHERE owner_id = %(owner)s"""


@pytest.fixture
def generations(memory: Memory, tmp_path: Path) -> tuple[Generation, Target]:
    """Two of them, each with more rows than are compared one by one, and the index that belongs to it."""
    encoder = Encoder(read_folder(folder(tmp_path / "toy", dim=DIM)))
    database, name = memory.database, memory.collection
    old = Generations(database).create(name, "visual", model="old", fingerprint="old", dim=DIM)
    new = Transitions(database, name).begin(model=str(tmp_path / "toy"), fingerprint=encoder.fingerprint, dim=DIM)
    values = {"owner": memory.owner, "collection": name, "rows": ROWS}
    with database.transaction(memory.owner) as connection:
        connection.execute(_ITEMS, values)
        for generation in (old, new):
            connection.execute(_VECTORS.format(table=generation.table, dim=DIM), values)
        connection.execute(
            "INSERT INTO seemory.collection_owner (owner_id, collection_id) "
            "SELECT %(owner)s, id FROM seemory.collection WHERE name = %(collection)s",
            values,
        )
    assert Items(database, memory.owner).ensure_index(new)
    return old, Target(new, encoder)


def test_the_recall_of_the_index_is_measured_and_a_poor_index_is_refused(
    memory: Memory, generations: tuple[Generation, Target]
) -> None:
    old, new = generations
    transitions = Transitions(memory.database, memory.collection)
    found = verify(memory.database, [memory.owner], old, None, new, max_pixels=10**6)
    assert (found.items, found.rows) == (ROWS, ROWS)
    assert found.recall is not None
    assert found.recall >= 0.95
    assert found.passed, found.problems
    assert transitions.ready(new.generation, found.as_json()).state == "ready"

    name = f"{new.generation.table}_hnsw"
    with memory.database.transaction(memory.owner) as connection:  # an index of that name whose graph is far too thin
        connection.execute(f"DROP INDEX seemory.{name}")
        connection.execute(
            f"CREATE INDEX {name} ON seemory.{new.generation.table} USING hnsw (embedding halfvec_cosine_ops) "
            f"WITH (m = 2, ef_construction = 4)"
        )
    assert is_indexed(memory.database, new.generation)
    poor = verify(memory.database, [memory.owner], old, None, new, max_pixels=10**6)
    assert poor.recall is not None
    assert poor.recall < 0.95
    assert not poor.passed
    assert any("approximate index finds only" in problem for problem in poor.problems)
    assert transitions.ready(new.generation, poor.as_json()).state == "building", "it is not ready any more"
    print(f"recall {found.recall:.3f}; with a thin graph {poor.recall:.3f}")


def test_vectors_that_are_not_their_files_are_refused(
    new_memory: Callable[..., Memory], photos: Path, tmp_path: Path
) -> None:
    memory = new_memory()
    memory.index(photos)
    other = str(turned(tmp_path / "turned"))
    table = memory.reembedding().start(other).generation.table
    with memory.database.transaction(memory.owner) as connection:  # each item gets its neighbour's vector
        connection.execute(
            f"WITH turn AS (SELECT item_id, lead(embedding, 1, first) OVER (ORDER BY item_id) AS next FROM "
            f"(SELECT *, first_value(embedding) OVER (ORDER BY item_id) AS first FROM seemory.{table}) AS held) "
            f"UPDATE seemory.{table} v SET embedding = turn.next FROM turn WHERE turn.item_id = v.item_id"
        )
    report = memory.reembedding().start(other)
    assert report.generation.state == "building"
    assert any("to the one its file gives now" in problem for problem in report.verification.problems)
    assert report.verification.fidelity_least is not None
    assert report.verification.fidelity_least < 0.999
