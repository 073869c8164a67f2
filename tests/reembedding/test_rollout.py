"""A change of encoder owner by owner: each is answered by one generation, both are kept up, and there is a way back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_encoders import BUNDLED, narrowed, turned

from seemory.errors import CollectionMismatch, EncoderChanged, GenerationsChanged, ModelNotFound, StoreError, UsageError
from seemory.memory import Memory
from seemory.store.figures import Figures
from seemory.store.generations import Generations
from seemory.store.halfvec import Halfvec
from seemory.store.items import Items
from seemory.store.rollout import in_share
from seemory.types import FileOutcome

NewMemory = Callable[..., Memory]


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(narrowed(tmp_path_factory.mktemp("encoders") / "narrowed"))


@pytest.fixture
def anna(new_memory: NewMemory, photos: Path) -> Memory:
    made = new_memory()
    made.index(photos)
    return made


@pytest.fixture
def ben(anna: Memory, new_memory: NewMemory, photos: Path) -> Memory:
    made = new_memory(owner=f"{anna.owner}-ben")
    made.index(photos / "cat.png", photos / "coffee.png")
    return made


def answered(memory: Memory) -> str:
    (table,) = {hit.reasons[-1].removeprefix("answered by ") for hit in memory.search("a cat", limit=20)}
    return table


def rows(memory: Memory, table: str) -> int:
    (generation,) = (known for known in Generations(memory.database).all(memory.collection) if known.table == table)
    return Figures(memory.database, memory.owner).rows(generation)


def test_named_owners_first_then_everyone(anna: Memory, ben: Memory, photos: Path, narrow: str) -> None:
    operator = ben.reembedding()
    new = operator.start(narrow).generation.table
    old = answered(anna)
    swap = operator.switch([anna.owner])
    assert (swap.live.table, swap.before.table, swap.owners) == (new, old, (anna.owner,))
    assert (answered(anna), answered(ben)) == (new, old)
    assert (anna.stats()["dim"], ben.stats()["dim"]) == (96, 256)
    assert anna.stats()["embedded"] == 8
    assert (anna.model_name, ben.model_name) == (narrow, "seemory-mini")
    assert len(anna.similar(photos / "cat.png")) > 0
    assert anna.duplicates().exact == ()

    for memory in (anna, ben):  # whoever answers, both are written to
        (photos / "new.png").write_bytes((photos / "temple.jpg").read_bytes())
        other = "rocket.jpg" if memory is anna else "flower.jpg"
        (photos / "more.png").write_bytes((photos / other).read_bytes() + b"another file of the same picture")
        memory.index(photos)
        assert rows(memory, old) == rows(memory, new) == memory.stats()["items"]
    assert answered(anna) == new

    with pytest.raises(UsageError, match="answers for 1 owners"):
        operator.drop()
    assert operator.rollback([anna.owner]).owners == (anna.owner,)
    assert answered(anna) == old
    operator.switch([anna.owner, ben.owner])
    assert answered(ben) == new
    assert sorted(operator.rollback().owners or ()) == sorted([anna.owner, ben.owner]), "all of them are taken back"
    assert (answered(anna), answered(ben)) == (old, old)

    operator.switch([anna.owner])
    assert operator.switch().owners is None
    assert (answered(anna), answered(ben)) == (new, new)
    assert all(known["rolled_out_to"] == [] for known in operator.status()["generations"]), "no one is treated apart"
    operator.rollback([ben.owner])  # to the retired one, while the others stay
    assert (answered(anna), answered(ben)) == (new, old)
    with pytest.raises(UsageError, match="reembed switch"):
        operator.drop()
    assert operator.switch().owners == (ben.owner,)
    assert answered(ben) == new
    operator.rollback([ben.owner])
    operator.rollback()
    assert (answered(anna), answered(ben)) == (old, old)
    operator.switch()
    operator.drop()
    assert (answered(anna), answered(ben)) == (new, new)


def test_figures_side_by_side(anna: Memory, ben: Memory, narrow: str) -> None:
    operator = anna.reembedding()
    operator.save_queries(["a cat", " a rocket ", "a cat", ""])
    assert operator.queries() == ["a cat", "a rocket"]
    assert operator.start(narrow).verification.overlap_words is not None, "the saved queries are asked"
    operator.switch([ben.owner])
    status = operator.status()
    assert [known["answers_for"] for known in status["generations"]] == [1, 1]
    assert [known["rolled_out_to"] for known in status["generations"]] == [[], [ben.owner]]
    assert 0 < status["overlap"]["items"] <= 1
    assert 0 < status["overlap"]["words"] <= 1
    for known in status["generations"]:
        assert 0 < known["milliseconds"]["p50"] <= known["milliseconds"]["p95"]
        assert known["milliseconds"]["searches"] == 8 + 2 + 2 * 2, "items of both owners, and each query for each owner"


def test_whom_it_refuses(anna: Memory, ben: Memory, narrow: str) -> None:
    operator = anna.reembedding()
    with pytest.raises(UsageError, match="nothing to switch to"):
        operator.switch([anna.owner])
    operator.start(narrow, owners=[anna.owner])
    with pytest.raises(UsageError, match="not ready"):
        operator.switch([anna.owner])
    operator.switch([anna.owner], force=True)
    operator.rollback()
    operator.start(narrow)
    for wrong in (["nobody"], [anna.owner, "nobody"], []):
        with pytest.raises(UsageError, match="nobody"):
            operator.switch(wrong)
    with pytest.raises(UsageError, match="no retired"):
        operator.rollback([anna.owner])
    with pytest.raises(UsageError, match="none is among"):
        operator.owners_in(1e-9)
    assert operator.owners_in(100) == [anna.owner, ben.owner]
    for percent in (0, 101, float("nan")):
        with pytest.raises(UsageError, match="share"):
            operator.owners_in(percent)


def test_a_share_is_always_the_same_owners_and_grows() -> None:
    names = [f"owner {n}" for n in range(2000)]
    small, large = ({name for name in names if in_share(name, percent)} for percent in (10, 25))
    assert small < large
    assert 140 < len(small) < 260
    assert 430 < len(large) < 570
    assert in_share("anna", 100)


def test_who_may_read_and_write_it(anna: Memory, ben: Memory, narrow: str) -> None:
    operator = anna.reembedding()
    operator.save_queries(["what anna looks for"])
    operator.start(narrow)
    operator.switch([anna.owner])
    count = "SELECT count(*) FROM seemory.rollout"
    for owner, expected in ((anna.owner, 1), (ben.owner, 0), (None, 0)):
        with anna.database.transaction(owner) as connection:
            assert connection.execute(count).fetchone() == (expected,)
            assert connection.execute("SELECT count(*) FROM seemory.saved_query").fetchone() == (0,)
            assert connection.execute("DELETE FROM seemory.rollout").rowcount == 0
            assert connection.execute("UPDATE seemory.rollout SET owner_id = 'x'").rowcount == 0
    with pytest.raises(StoreError, match="row-level security"), ben.database.transaction(ben.owner) as connection:
        connection.execute(
            "INSERT INTO seemory.rollout SELECT %s, collection_id, channel, id FROM seemory.generation LIMIT 1",
            [ben.owner],
        )


def test_a_batch_made_before_is_not_written_after(anna: Memory, photos: Path, narrow: str) -> None:
    operator = anna.reembedding()
    operator.start(narrow)
    before = Generations(anna.database).all(anna.collection, owner=anna.owner)
    operator.switch([anna.owner])
    vector = np.ones(256, dtype=np.float32)
    covered = {generation.id for generation in before}
    items = Items(anna.database, anna.owner)
    with pytest.raises(GenerationsChanged):
        items.write(anna.collection, before[0], [FileOutcome("/late", 1, 1, vector=vector)], covered)
    now = Generations(anna.database).all(anna.collection, owner=anna.owner)
    assert [known.id for known in now] == [known.id for known in reversed(before)]
    assert Generations(anna.database).all(anna.collection) == before, "the collection's alias is where it was"


def test_the_functions_for_psql_follow(anna: Memory, ben: Memory, narrow: str) -> None:
    operator = anna.reembedding()
    operator.start(narrow)
    operator.switch([anna.owner])
    item = anna.search("a cat", limit=1)[0]
    for memory, dim in ((anna, 96), (ben, 256)):
        vector = Halfvec(memory.encoder.embed_texts(["a cat"])[0])
        with memory.database.transaction(memory.owner) as connection:
            found = connection.execute(
                "SELECT * FROM seemory.search_scenes_by_visual_clip_embedding(%s, -1, 1, NULL, %s, %s)",
                [vector, memory.owner, memory.collection],
            ).fetchone()
            assert found is not None
            assert found[-1] == pytest.approx(memory.search("a cat", limit=1)[0].cosine, abs=1e-3), dim
    vector = Halfvec(anna.encoder.embed_texts(["a cat"])[0])
    with anna.database.transaction(anna.owner) as connection:
        scored = connection.execute(
            "SELECT * FROM seemory.batch_score_scenes_clip(%s, %s, %s, %s)",
            [vector, [item.item_id], anna.owner, anna.collection],
        ).fetchall()
    assert scored == [(item.item_id, pytest.approx(item.cosine, abs=1e-3))]
    with pytest.raises(StoreError, match="256 dimensions"), ben.database.transaction(ben.owner) as connection:
        connection.execute(
            "SELECT * FROM seemory.batch_score_scenes_clip(%s, %s, %s, %s)",
            [vector, [item.item_id], ben.owner, ben.collection],
        )


@pytest.mark.parametrize("gone", ["changed", "deleted"])
def test_a_collection_whose_encoder_is_gone_can_be_moved(
    new_memory: NewMemory, photos: Path, tmp_path: Path, narrow: str, gone: str
) -> None:
    folder = turned(tmp_path / "first")
    new_memory(model=str(folder)).index(photos)
    if gone == "deleted":
        folder.rename(tmp_path / "elsewhere")
    else:
        (folder / "visual" / "model.onnx").write_bytes((BUNDLED / "visual" / "model.onnx").read_bytes())
    later = new_memory(model="auto")
    error, said = (EncoderChanged, "reembed start --to") if gone == "changed" else (ModelNotFound, str(folder))
    with pytest.raises(error, match=said):
        later.search("a cat")
    assert len(later.search(like=str(photos / "cat.png"))) == 7, "stored vectors can be compared"
    report = later.reembedding().start(narrow)
    assert "until the switch" in (report.note or "")
    assert report.generation.state == "ready"
    assert report.verification.overlap is not None
    assert report.verification.overlap_words is None
    assert later.reembedding().status()["overlap"]["words"] is None
    later.reembedding().switch()
    assert Path(later.search("a cat", limit=1)[0].uri).stem == "cat"


def test_two_first_encoders_race_and_nothing_else_is_dropped(
    new_memory: NewMemory, photos: Path, narrow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process sees an empty collection; before it makes it, another does, and begins to change its encoder."""
    slow, quick = new_memory(model=narrow), new_memory()
    quick.index(photos / "cat.png")
    quick.reembedding().start(narrow)
    monkeypatch.setattr(Generations, "live", lambda *_, **__: None)
    with pytest.raises(CollectionMismatch, match="just made"):
        slow._rooms.live_or_new()
    with pytest.raises(CollectionMismatch, match="holds vectors of seemory-mini"):
        slow._rooms.importer(narrow, "f" * 64, 96)
    monkeypatch.undo()
    states = [known.state for known in Generations(quick.database).all(quick.collection)]
    assert states == ["live", "ready"], "what it had found beside the live one is not its own to drop"
