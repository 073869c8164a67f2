"""Changing a collection's encoder: built beside, verified, switched, rolled back, dropped; nothing lost, none mixed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from made_encoders import narrowed, turned
from PIL import Image
from test_kills import cut_many

from seemory.errors import CollectionMismatch, UsageError
from seemory.memory import Memory
from seemory.store.backlog import Backlog
from seemory.store.figures import Figures
from seemory.store.generations import Generations
from seemory.types import Generation

NewMemory = Callable[..., Memory]


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    """As wide as the bundled encoder, and in another space."""
    return str(turned(tmp_path_factory.mktemp("encoders") / "turned"))


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(narrowed(tmp_path_factory.mktemp("encoders") / "narrowed"))


def states(memory: Memory) -> list[tuple[str, str]]:
    return [(Path(known.model).name, known.state) for known in Generations(memory.database).all(memory.collection)]


def rows(memory: Memory) -> dict[str, int]:
    """How many rows with a vector each generation has for this owner."""
    figures = Figures(memory.database, memory.owner)
    return {
        Path(known.model).name: figures.rows(known) - sum(figures.failures(known).values())
        for known in Generations(memory.database).all(memory.collection)
    }


def live(memory: Memory) -> Generation:
    found = Generations(memory.database).live(memory.collection)
    assert found is not None
    return found


def first(memory: Memory, words: str) -> tuple[str, str]:
    """(the best hit's file, the table that answered)."""
    hit = memory.search(words, limit=1)[0]
    return Path(hit.uri).stem, hit.reasons[-1]


def test_from_start_to_drop(memory: Memory, photos: Path, other: str) -> None:
    memory.index(photos)
    shutil.copy(photos / "cat.png", photos / "copy.png")
    memory.index(photos)
    reembedding, before = memory.reembedding(), live(memory)
    best = first(memory, "a rocket")[0]
    events: list[tuple[int, int | None]] = []
    report = reembedding.start(other, words=["a cat", "a rocket"], listen=lambda e: events.append((e.done, e.total)))
    assert (report.embedded, report.failed, report.generation.state) == (9, 0, "ready")
    assert events[0] == (0, 9)
    assert events[-1] == (9, 9)
    found = report.verification
    assert (found.passed, found.items, found.rows, found.lost) == (True, 9, 9, 0)
    assert found.sampled == 9
    assert found.fidelity_least is not None
    assert found.fidelity_least > 0.9999
    assert found.overlap == pytest.approx(1.0), "the same space in another order has the same neighbours"
    assert found.overlap_words == pytest.approx(1.0)
    assert states(memory) == [("seemory-mini", "live"), ("turned", "ready")]
    assert first(memory, "a cat")[1] == f"answered by {before.table}"

    now, old, _ = reembedding.switch()
    assert (now.id, old.id, old.state) == (report.generation.id, before.id, "retired")
    assert first(memory, "a rocket") == (best, f"answered by {now.table}"), "the same object follows the alias"
    assert memory.search(image=photos / "cat.png", limit=1)[0].cosine > 0.999
    assert reembedding.rollback()[0].id == before.id
    assert first(memory, "a rocket") == (best, f"answered by {before.table}")
    assert reembedding.switch()[0].id == now.id
    assert reembedding.drop().id == before.id
    assert states(memory) == [("turned", "live")]
    assert first(memory, "a rocket")[0] == best
    with memory.database.transaction(None) as connection:
        assert connection.execute("SELECT to_regclass(%s)", [f"seemory.{before.table}"]).fetchone() == (None,)
    with pytest.raises(UsageError, match="no generation beside"):
        reembedding.drop()


def test_another_width(memory: Memory, photos: Path, narrow: str) -> None:
    memory.index(photos)
    cosine = memory.search("a cat", limit=1)[0].cosine
    reembedding = memory.reembedding()
    assert reembedding.start(narrow).generation.dim == 96
    status = reembedding.status()
    assert [known["dim"] for known in status["generations"]] == [256, 96]
    assert all(known["done"] == known["total"] == 8 and known["bytes"] > 0 for known in status["generations"])
    assert status["generations"][1]["verification"]["passed"]
    assert all(known["cosines"]["pairs"] == 28 for known in status["generations"])
    reembedding.switch()
    assert memory.search("a cat", limit=1)[0].cosine != pytest.approx(cosine, abs=1e-4)
    assert memory.stats()["dim"] == 96


def test_indexing_writes_to_both_while_there_are_two(memory: Memory, photos: Path, other: str) -> None:
    memory.index(photos / "cat.png", photos / "coffee.png")
    reembedding = memory.reembedding()
    reembedding.start(other)
    memory.index(photos)
    assert rows(memory) == {"seemory-mini": 8, "turned": 8}
    Image.open(photos / "cat.png").rotate(90).save(photos / "coffee.png")
    shutil.copy(photos / "cat.png", photos / "copy.png")
    (photos / "bad.jpg").touch()
    assert dict(memory.index(photos).counts) == {"indexed": 1, "copied": 1, "failed": 1, "unchanged": 7}
    memory.forget([str(photos / "rocket.jpg")])
    assert rows(memory) == {"seemory-mini": 8, "turned": 8}
    again = reembedding.start(other)
    assert again.embedded == 0, "there is no backlog"
    assert again.verification.passed
    assert again.verification.fidelity_least is not None
    assert again.verification.fidelity_least > 0.999, "the changed picture's vector is the new one"
    reembedding.switch()
    memory.index(photos)  # the forgotten one is new again
    assert rows(memory) == {"seemory-mini": 9, "turned": 9}, "the retired one is kept up to date"
    reembedding.rollback()
    assert len(memory.search("a rocket", limit=20)) == 9


def test_switch_is_refused_until_ready(memory: Memory, photos: Path, other: str, narrow: str) -> None:
    reembedding = memory.reembedding()
    with pytest.raises(UsageError, match="empty"):
        reembedding.start(other)
    memory.index(photos)
    with pytest.raises(UsageError, match="nothing to switch to"):
        reembedding.switch()
    with pytest.raises(UsageError, match="no retired"):
        reembedding.rollback()
    with pytest.raises(UsageError, match="already"):
        reembedding.start("seemory-mini")
    report = reembedding.start(other, owners=["nobody"])
    assert (report.generation.state, report.verification.passed) == ("building", False)
    assert "8 of 8 items" in report.verification.problems[0]
    with pytest.raises(UsageError, match="not ready"):
        reembedding.switch()
    with pytest.raises(UsageError, match="another"):
        reembedding.start(narrow)
    assert reembedding.switch(force=True)[0].model == other
    assert memory.search("a cat", weights={"words": 0}) == []
    assert reembedding.rollback()[0].model == "seemory-mini"
    with pytest.raises(UsageError, match="lacks items"):
        reembedding.switch()
    assert reembedding.start(other).generation.state == "ready"
    reembedding.switch()


def test_pictures_that_are_gone_are_rows_with_a_reason(memory: Memory, photos: Path, other: str) -> None:
    memory.index(photos)
    kept = photos.parent / "kept.png"
    (photos / "cat.png").rename(kept)
    reembedding = memory.reembedding()
    report = reembedding.start(other)
    assert (report.embedded, report.failed, report.verification.lost) == (8, 1, 1)
    assert report.generation.state == "building"
    failures = reembedding.status()["generations"][1]["failures"]
    assert sum(failures.values()) == 1
    assert memory.backfill().without_vector == 0, "the live one has them all"
    kept.rename(photos / "cat.png")
    memory.backfill(retry=True)
    assert reembedding.start(other).generation.state == "ready"
    assert rows(memory) == {"seemory-mini": 8, "turned": 8}


def test_files_marked_missing_do_not_hold_it_up(memory: Memory, photos: Path, other: str) -> None:
    memory.index(photos)
    (photos / "cat.png").unlink()
    memory.index(photos, prune=True)
    reembedding = memory.reembedding()
    assert reembedding.start(other).generation.state == "ready"
    reembedding.switch()
    assert len(memory.search("a cat", limit=20)) == 7
    shutil.copy(photos / "coffee.png", photos / "cat.png")
    memory.index(photos)
    assert len(memory.search("a cat", limit=20)) == 8


def test_every_owner_s_items_each_under_its_own_policy(new_memory: NewMemory, photos: Path, other: str) -> None:
    anna = new_memory()
    ben = new_memory(owner=f"{anna.owner}-ben")
    anna.index(photos)
    ben.index(photos / "cat.png", photos / "coffee.png")
    report = anna.reembedding().start(other, owners=[anna.owner])
    assert (report.embedded, report.generation.state) == (8, "building")
    report = anna.reembedding().start(other)
    assert (report.embedded, report.generation.state) == (2, "ready")
    assert (rows(anna)["turned"], rows(ben)["turned"]) == (8, 2)
    anna.reembedding().switch()
    assert len(ben.search("a cat", limit=20)) == 2


def test_owners_are_listed_to_operators_only(new_memory: NewMemory, photos: Path) -> None:
    memory = new_memory()
    memory.index(photos / "cat.png")
    with memory.database.transaction("thief") as connection:
        assert connection.execute("SELECT count(*) FROM seemory.collection_owner").fetchone() == (0,)
        connection.execute("SELECT set_config('seemory.operator', 'on', true)")
        assert connection.execute("SELECT count(*) FROM seemory.asset").fetchone() == (0,)
        assert connection.execute("DELETE FROM seemory.collection_owner").rowcount == 0


def test_a_program_that_names_its_encoder_goes_on_through_a_switch(
    new_memory: NewMemory, photos: Path, other: str, narrow: str
) -> None:
    pinned = new_memory(model="seemory-mini")
    pinned.index(photos)
    best = first(pinned, "a rocket")[0]
    reembedding = pinned.reembedding()
    reembedding.start(other)
    reembedding.switch()
    assert first(pinned, "a rocket")[0] == best
    assert first(new_memory(model="seemory-mini"), "a rocket")[0] == best, "the retired one's name still does"
    assert first(new_memory(model=other), "a rocket")[0] == best
    reembedding.drop()
    with pytest.raises(CollectionMismatch, match="seemory-mini"):
        new_memory(model="seemory-mini").search("a rocket")
    with pytest.raises(CollectionMismatch):
        new_memory(model=narrow).search("a rocket")


def test_an_encoder_that_is_gone_does_not_stop_indexing(memory: Memory, photos: Path, tmp_path: Path) -> None:
    gone = turned(tmp_path / "gone")
    memory.index(photos / "cat.png")
    memory.reembedding().start(str(gone))
    gone.rename(tmp_path / "elsewhere")
    with Memory(memory.settings) as later:
        later.index(photos)
        assert rows(later) == {"seemory-mini": 8, "gone": 1}
        assert "not kept up to date" in (later.notice or "")
    with pytest.raises(UsageError, match="lacks items"):
        memory.reembedding().switch()
    (tmp_path / "elsewhere").rename(gone)
    memory.reembedding().start(str(gone))
    memory.reembedding().switch()


def test_two_operators_race(memory: Memory, photos: Path, other: str) -> None:
    memory.index(photos)
    memory.reembedding().start(other)
    outcomes: Counter[str] = Counter()

    def operate(act: Callable[[], object]) -> None:
        try:
            act()
            outcomes["done"] += 1
        except UsageError:
            outcomes["refused"] += 1

    for act in (memory.reembedding().switch, memory.reembedding().rollback, memory.reembedding().drop):
        outcomes.clear()
        threads = [threading.Thread(target=operate, args=[act]) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes == {"done": 1, "refused": 4}
    assert states(memory) == [("seemory-mini", "live")]


STARTER = """
import sys
from seemory.memory import Memory
from seemory.settings import read_settings
home, owner, collection, to = sys.argv[1:]
settings = read_settings(home=home, owner=owner, collection=collection, index={"batch_size": 8})
with Memory(settings) as memory:
    memory.reembedding().start(to, listen=lambda event: print(event.done, flush=True))
"""


def test_three_kills_lose_nothing(
    memory: Memory, package_photographs: dict[str, Path], tmp_path: Path, other: str
) -> None:
    files = 160
    cut_many(package_photographs, tmp_path, files)
    memory.index(tmp_path)
    arguments = [str(memory.home), memory.owner, memory.collection, other]
    reached = [0]
    for _ in range(3):
        run = subprocess.Popen([sys.executable, "-c", STARTER, *arguments], stdout=subprocess.PIPE, text=True)
        assert run.stdout is not None
        for line in run.stdout:
            done = int(line)
            assert done >= reached[-1], "finished work was lost"
            if done >= reached[-1] + 24:
                run.kill()  # SIGKILL: no clean-up of any kind
                reached.append(done)
                break
        assert run.wait() != 0, "every kill must hit a run that still had work to do"
    beside = memory.reembedding().beside()
    assert beside is not None
    left = Backlog(memory.database, memory.owner, beside).count()
    assert 0 < left <= files - reached[-1]
    report = memory.reembedding().start(other)
    assert (report.embedded, report.failed) == (left, 0), "finished work was done again"
    assert report.generation.state == "ready"
    assert rows(memory) == {"seemory-mini": files, "turned": files}


def test_backfill_lists_counts_and_retries(memory: Memory, photos: Path) -> None:
    memory.index(photos)
    generation = live(memory)
    with memory.database.transaction(memory.owner) as connection:
        connection.execute(
            f'UPDATE seemory.{generation.table} SET embedding = NULL, metadata = metadata || \'{{"error": "Timeout '
            f"after 2.0s\"}}' WHERE item_id IN (SELECT item_id FROM seemory.{generation.table} LIMIT 3)"
        )
    report = memory.backfill(limit=2)
    assert (report.without_vector, report.reasons, len(report.items)) == (3, {"Timeout after 2.0s": 3}, 2)
    report = memory.backfill(retry=True)
    assert (report.retried, report.embedded, report.without_vector, report.reasons) == (3, 3, 0, {})
    assert rows(memory) == {"seemory-mini": 8}
    assert len(memory.search("a cat", limit=20)) == 8
