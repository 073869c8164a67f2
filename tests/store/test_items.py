from __future__ import annotations

import os
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest

from seemory.errors import ItemNotFound, UsageError
from seemory.health import EmbeddingFigures, EmbeddingTally, health
from seemory.store.connect import Database
from seemory.store.generations import Generations
from seemory.store.items import Items
from seemory.store.query import Query
from seemory.types import EmbeddingRecord, FileOutcome, Filter, Generation, Item

from .conftest import DIM, outcome, unit


def all_of(items: Items, generation: Generation) -> dict[str, Item]:
    return {item.uri: item for item in items.listing(generation.collection, limit=10_000)}


def test_written_file_is_known_and_listed(items: Items, query: Query, generation: Generation) -> None:
    taken = datetime(2021, 5, 17, 12, 30)  # a camera's clock has no time zone
    written = outcome("/p/a.jpg", 1, taken_at=taken, camera="Canon EOS R5", metadata={"iso": 100, "gps": {"lat": 48.1}})
    assert items.write(generation.collection, generation, [written]) == 1
    known = items.known(generation.collection, generation, ["/p/a.jpg", "/p/other.jpg"])
    assert list(known) == ["/p/a.jpg"]
    file = known["/p/a.jpg"]
    assert (file.bytes, file.mtime_ns, file.sha256) == (1001, 1, written.sha256)
    assert (file.embedded, file.missing, file.error) == (True, False, None)
    item = all_of(items, generation)["/p/a.jpg"]
    assert item.asset_id == file.asset_id
    assert (item.width, item.height, item.format, item.camera) == (640, 480, "JPEG", "Canon EOS R5")
    assert item.taken_at == taken.replace(tzinfo=UTC)
    assert item.metadata == {"iso": 100, "gps": {"lat": 48.1}}
    assert item.sha256 == written.sha256.hex()
    assert items.get(item.item_id) == item
    assert items.thumbnail(item.item_id) == written.thumbnail
    np.testing.assert_allclose(query.vectors(generation, [item.item_id])[item.item_id], unit(1), atol=1e-3)


def test_writing_twice_changes_nothing(items: Items, generation: Generation) -> None:
    batch = [outcome(f"/p/{n}.jpg", n) for n in range(50)]
    assert items.write(generation.collection, generation, batch) == 50
    before = all_of(items, generation)
    assert items.write(generation.collection, generation, batch) == 50
    assert all_of(items, generation) == before
    assert items.stats(generation.collection)["items"] == 50


def test_changed_file_keeps_its_id_and_gets_the_new_vector(items: Items, query: Query, generation: Generation) -> None:
    items.write(generation.collection, generation, [outcome("/p/a.jpg", 1)])
    before = all_of(items, generation)["/p/a.jpg"]
    items.write(generation.collection, generation, [outcome("/p/a.jpg", 2, width=10)])
    after = all_of(items, generation)["/p/a.jpg"]
    assert (after.item_id, after.asset_id, after.width) == (before.item_id, before.asset_id, 10)
    np.testing.assert_allclose(query.vectors(generation, [after.item_id])[after.item_id], unit(2), atol=1e-3)


def test_changed_file_loses_its_stale_vector_in_other_generations(
    database: Database, items: Items, query: Query, generation: Generation
) -> None:
    other = Generations(database).create(generation.collection, "visual", model="n", fingerprint="g", dim=DIM)
    both = [outcome("/p/a.jpg", 1), outcome("/p/b.jpg", 2)]
    for table in (generation, other):
        items.write(generation.collection, table, both)
    items.write(generation.collection, generation, [outcome("/p/a.jpg", 3), both[1]])
    ids = {item.item_id: uri for uri, item in all_of(items, generation).items()}
    assert {ids[item_id] for item_id in query.vectors(other, list(ids))} == {"/p/b.jpg"}
    known = items.known(generation.collection, other, ["/p/a.jpg", "/p/b.jpg"])
    assert {uri: file.embedded for uri, file in known.items()} == {"/p/a.jpg": False, "/p/b.jpg": True}


def test_last_of_the_same_file_in_a_batch_counts(items: Items, generation: Generation) -> None:
    assert items.write(generation.collection, generation, [outcome("/a", 1), outcome("/a", 2, width=7)]) == 1
    assert all_of(items, generation)["/a"].width == 7


def test_nothing_to_write(items: Items, generation: Generation) -> None:
    assert items.write(generation.collection, generation, []) == 0
    assert items.known(generation.collection, generation, []) == {}
    assert items.by_hash(generation.collection, generation, []) == {}
    assert items.delete([]) == items.touch([], []) == items.mark_missing(generation.collection, []) == 0


def test_unreadable_file_is_kept_with_its_reason_and_counted(items: Items, generation: Generation) -> None:
    items.write(generation.collection, generation, [outcome("/p/a.jpg", 1)])
    bad = FileOutcome("/p/a.jpg", 5, 6, sha256=b"\1" * 32, error="UnreadableMedia: truncated\0")
    for _ in range(3):
        items.write(generation.collection, generation, [bad])
    assert items.errors(generation.collection) == [("/p/a.jpg", "UnreadableMedia: truncated\ufffd", 3)]
    assert all_of(items, generation) == {}
    file = items.known(generation.collection, generation, ["/p/a.jpg"])["/p/a.jpg"]
    assert (file.bytes, file.mtime_ns, file.error, file.embedded) == (5, 6, "UnreadableMedia: truncated\ufffd", False)
    items.write(generation.collection, generation, [outcome("/p/a.jpg", 1)])
    assert items.errors(generation.collection) == []
    assert list(all_of(items, generation)) == ["/p/a.jpg"]


def test_failed_embedding_is_an_item_without_vector(items: Items, query: Query, generation: Generation) -> None:
    record = EmbeddingRecord("test", "none", DIM, error="Timeout after 2.0s")
    items.write(generation.collection, generation, [replace(outcome("/a", 1), vector=None, record=record)])
    stats = items.stats(generation.collection)
    assert (stats["items"], stats["embedded"], stats["failed_vectors"]) == (1, 0, 1)
    file = items.known(generation.collection, generation, ["/a"])["/a"]
    assert (file.embedded, file.error) == (False, "Timeout after 2.0s")
    assert query.nearest(generation, unit(1)) == []
    items.write(generation.collection, generation, [outcome("/a", 1)])
    assert items.known(generation.collection, generation, ["/a"])["/a"].embedded


def test_health_is_counted_from_the_stored_records(items: Items, generation: Generation) -> None:
    def made(n: int, milliseconds: float | None) -> FileOutcome:
        return replace(outcome(f"/{n}", n), record=EmbeddingRecord("t", "", DIM, inference_time_ms=milliseconds))

    def failed(n: int, error: str) -> FileOutcome:
        return replace(outcome(f"/{n}", n), vector=None, record=EmbeddingRecord("t", "", DIM, error=error))

    assert items.stats(generation.collection)["health"] == health(EmbeddingFigures(), 0)
    batch = [made(n, float(n)) for n in range(1, 21)] + [made(21, None)]
    errors = ("Timeout after 2.0s", "Timeout after 0.5s", "ModelError: a: b", "ValueError: 100% %s")
    batch += [failed(30 + n, error) for n, error in enumerate(errors)]
    items.write(generation.collection, generation, batch)
    assert items.stats(generation.collection)["health"] == {
        "with_vector": 0.84,
        "failed": 0.16,
        "timeout": 0.08,
        "mean_ms": 10.5,
        "p95_ms": 19.0,
        "failed_by_reason": {"Timeout": 0.08, "ModelError": 0.04, "ValueError": 0.04},
    }
    tally = EmbeddingTally()
    for one in batch:
        assert one.record is not None
        tally.add(one.record)
    assert health(tally.figures(), len(batch)) == items.stats(generation.collection)["health"]


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, 1e9])
def test_vector_without_direction_is_a_failed_embedding(items: Items, generation: Generation, value: float) -> None:
    bad = np.full(DIM, value, dtype=np.float32)
    items.write(generation.collection, generation, [outcome("/a", 1, vector=bad)])
    assert items.stats(generation.collection)["failed_vectors"] == 1


def test_vector_of_another_width_is_refused(items: Items, generation: Generation) -> None:
    with pytest.raises(UsageError, match="32 dimensions"):
        items.write(generation.collection, generation, [outcome("/a"), outcome("/b", vector=unit(1, 64))])
    assert all_of(items, generation) == {}


def test_generation_of_another_collection_is_refused(items: Items, generation: Generation) -> None:
    with pytest.raises(UsageError, match="belongs to collection"):
        items.write("another", generation, [outcome("/a")])


def test_same_bytes_take_the_vector_and_facts_that_are_there(
    items: Items, query: Query, generation: Generation
) -> None:
    items.write(generation.collection, generation, [outcome("/p/a.jpg", 1, camera="Leica", metadata={"iso": 50})])
    (known,) = items.by_hash(generation.collection, generation, [(1).to_bytes(32, "big")])[(1).to_bytes(32, "big")]
    copy = FileOutcome("/q/b.jpg", 9, 8, known.sha256)
    assert items.copy_vectors(generation.collection, generation, [(copy, known.asset_id)]) == 1
    first, second = (all_of(items, generation)[uri] for uri in ("/p/a.jpg", "/q/b.jpg"))
    assert replace(second, item_id=first.item_id, asset_id=first.asset_id, uri=first.uri, bytes=first.bytes) == first
    assert second.item_id != first.item_id
    assert items.thumbnail(second.item_id) == items.thumbnail(first.item_id)
    vectors = query.vectors(generation, [first.item_id, second.item_id])
    np.testing.assert_array_equal(vectors[first.item_id], vectors[second.item_id])
    files = items.by_hash(generation.collection, generation, [known.sha256 or b"", b"unknown"])
    assert [file.uri for file in files[known.sha256 or b""]] == ["/p/a.jpg", "/q/b.jpg"]


def test_nothing_is_copied_from_what_has_no_vector(items: Items, generation: Generation) -> None:
    items.write(generation.collection, generation, [FileOutcome("/a", 1, 1, b"x", error="bad")])
    source = items.known(generation.collection, generation, ["/a"])["/a"].asset_id
    pairs = [(FileOutcome("/b", 1, 1, b"x"), source), (FileOutcome("/c", 1, 1, b"x"), uuid4())]
    assert items.copy_vectors(generation.collection, generation, pairs) == 0


def test_moved_file_keeps_its_item(items: Items, generation: Generation) -> None:
    items.write(generation.collection, generation, [outcome("/old.jpg", 1), outcome("/taken.jpg", 2)])
    item = all_of(items, generation)["/old.jpg"]
    items.mark_missing(generation.collection, [item.asset_id])
    items.move(item.asset_id, "/taken.jpg", 1001, 77)
    assert all_of(items, generation) == {"/taken.jpg": replace(item, uri="/taken.jpg", bytes=1001)}


def test_touched_file_is_known_by_its_new_time(items: Items, generation: Generation) -> None:
    items.write(generation.collection, generation, [outcome("/a", 1)])
    asset_id = items.known(generation.collection, generation, ["/a"])["/a"].asset_id
    assert items.touch([asset_id], [(1001, 99)]) == 1
    assert items.known(generation.collection, generation, ["/a"])["/a"].mtime_ns == 99


def test_missing_files_are_marked_and_come_back(items: Items, query: Query, generation: Generation) -> None:
    items.write(generation.collection, generation, [outcome("/p/a", 1), outcome("/p/b", 2)])
    gone = items.known(generation.collection, generation, ["/p/a"])["/p/a"].asset_id
    assert items.mark_missing("another collection", [gone]) == 0
    assert items.mark_missing(generation.collection, [gone]) == 1
    assert items.mark_missing(generation.collection, [gone]) == 0
    assert [hit.item.uri for hit in query.nearest(generation, unit(1))] == ["/p/b"]
    assert [hit.item.missing for hit in query.nearest(generation, unit(1), include_missing=True)] == [True, False]
    assert items.stats(generation.collection)["missing"] == 1
    assert items.unmark_missing(generation.collection, [gone]) == 1
    assert len(query.nearest(generation, unit(1))) == 2


def test_files_under_a_folder(items: Items, generation: Generation) -> None:
    uris = ["/p/a", "/p/sub/b", "/p", "/pp/c", "/p%/d", "/p_/e", "/P/f"]
    items.write(generation.collection, generation, [outcome(uri, n) for n, uri in enumerate(uris)])

    def under(*roots: str) -> set[str]:
        return {uri for _, uri in items.under(generation.collection, roots)}

    assert under("/p") == under("/p/") | {"/p"} == {"/p", "/p/a", "/p/sub/b"}
    assert under("/p%") == {"/p%/d"}
    assert under("/p/sub", "/pp", "/p/a") == {"/p/sub/b", "/pp/c", "/p/a"}
    assert under("/") == set(uris)
    assert under() == set()


@pytest.mark.parametrize(
    "uri",
    [
        os.fsdecode(b"/p/\xff\xfe caf\xe9.jpg"),
        "/p/nul\0.jpg",
        "/p/mark\ufdd00000",
        "/p/" + "ü" * 4000,
        "/p/tab\tnew\nline\\.jpg",
        "/p/'; DROP TABLE seemory.item; --",
        "",
        "/p/%s %(owner)s {table}",
    ],
)
def test_any_file_name_survives(items: Items, generation: Generation, uri: str) -> None:
    items.write(generation.collection, generation, [outcome(uri, 1), FileOutcome(uri + "x", 1, 1, error=uri)])
    assert items.known(generation.collection, generation, [uri])[uri].uri == uri
    (item,) = items.listing(generation.collection, filters=[Filter("path", "=", uri)])
    assert item.uri == uri
    assert items.errors(generation.collection)[0][0] == uri + "x"
    items.move(item.asset_id, uri + "!", 1, 1)
    assert items.get(item.item_id).uri == uri + "!"
    if uri.strip():
        assert items.resolve(uri + "!", generation.collection) == item.item_id


def test_any_metadata_survives(items: Items, generation: Generation) -> None:
    metadata = {"nul\0": "a\0b", "broken": "\udcff", "nan": float("nan"), "list": [1, ("x",)], "big": 2**80}
    written = outcome("/a", 1, metadata=metadata, camera="\0Canon", format="JP\0EG")
    items.write(generation.collection, generation, [written])
    item = all_of(items, generation)["/a"]
    expected = {"nul\ufffd": "a\ufffdb", "broken": "\ufffd", "nan": None, "list": [1, ["x"]], "big": 2**80}
    assert item.metadata == expected
    assert (item.camera, item.format) == ("\ufffdCanon", "JP\ufffdEG")


def test_item_is_found_by_id_beginning_or_path(
    items: Items, generation: Generation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "one.jpg")
    items.write(generation.collection, generation, [outcome(path, 1), outcome("/other/two.jpg", 2)])
    item = all_of(items, generation)[path]
    monkeypatch.chdir(tmp_path)
    full = str(item.item_id)
    for text in (
        full,
        full.upper(),
        full.replace("-", ""),
        full[:8],
        full[:12],
        path,
        "one.jpg",
        "./one.jpg",
        f" {path} ",
    ):
        assert items.resolve(text, generation.collection) == item.item_id
    for text in ("", "nothing", full[:5], "ffffffff-0000", "~no-such-user/x", "a\0b"):
        with pytest.raises(ItemNotFound):
            items.resolve(text, generation.collection)
    with pytest.raises(ItemNotFound, match=r"did you mean .*/other/two\.jpg"):
        items.resolve("two", generation.collection)
    with pytest.raises(ItemNotFound):
        items.resolve(full, "another collection")


def test_ambiguous_beginning_names_the_candidates(
    items: Items, generation: Generation, database: Database, owner: str
) -> None:
    items.write(generation.collection, generation, [outcome("/a", 1), outcome("/b", 2)])
    ids = [UUID("abcdef00-0000-4000-8000-000000000001"), UUID("abcdef00-0000-4000-8000-000000000002")]
    with database.transaction(owner) as connection:
        connection.execute("DELETE FROM seemory.item")
        for item_id, file in zip(
            ids, items.known(generation.collection, generation, ["/a", "/b"]).values(), strict=True
        ):
            connection.execute(
                "INSERT INTO seemory.item (owner_id, id, asset_id, collection_id, kind) "
                "SELECT owner_id, %s, id, collection_id, 'image' FROM seemory.asset WHERE id = %s",
                [item_id, file.asset_id],
            )
    with pytest.raises(ItemNotFound, match=r"abcdef00-.*\(/[ab]\).*\(/[ab]\)"):
        items.resolve("abcdef", generation.collection)
    assert items.resolve(str(ids[1]), generation.collection) == ids[1]


def test_deleted_items_take_vectors_and_files_with_them(items: Items, query: Query, generation: Generation) -> None:
    items.write(generation.collection, generation, [outcome("/a", 1), outcome("/b", 2)])
    item = all_of(items, generation)["/a"]
    assert items.delete([item.item_id, uuid4()]) == 1
    assert items.delete([item.item_id]) == 0
    assert query.vectors(generation, [item.item_id]) == {}
    assert list(items.known(generation.collection, generation, ["/a", "/b"])) == ["/b"]
    assert items.thumbnail(item.item_id) is None
    with pytest.raises(ItemNotFound, match=str(item.item_id)):
        items.get(item.item_id)


def test_pages_of_a_listing_are_complete(items: Items, generation: Generation) -> None:
    for start in range(0, 60, 20):
        batch = [outcome(f"/{n:03}", n, width=n) for n in range(start, start + 20)]
        items.write(generation.collection, generation, batch)
    pages = [items.listing(generation.collection, limit=7, offset=offset) for offset in range(0, 70, 7)]
    uris = [item.uri for page in pages for item in page]
    assert sorted(uris) == [f"/{n:03}" for n in range(60)]
    assert {uri[:2] for uri in uris[:20]} == {"/0"}
    wide = items.listing(generation.collection, filters=[Filter("width", ">=", "50")])
    assert len(wide) == 10


def test_statistics(items: Items, generation: Generation) -> None:
    assert items.stats("never made")["items"] == 0
    batch = [outcome("/a", 1), outcome("/b", 2)]
    bad = [FileOutcome(f"/{n}", 1, 1, error="E: " + "x" * 300) for n in range(3)]
    items.write(generation.collection, generation, [*batch, *bad])
    stats = items.stats(generation.collection)
    assert stats["errors"] == {("E: " + "x" * 300)[:200]: 3}
    assert {name: stats[name] for name in ("assets", "items", "by_kind", "embedded", "failed", "missing")} == {
        "assets": 5,
        "items": 2,
        "by_kind": {"image": 2},
        "embedded": 2,
        "failed": 3,
        "missing": 0,
    }
    assert stats["table_bytes"] > 0
    assert stats["index_bytes"] > 0


def test_many_writers_of_the_same_files(database: Database, owner: str, generation: Generation) -> None:
    failures: list[BaseException] = []

    def run(seed: int) -> None:
        order = np.random.default_rng(seed).permutation(40)
        try:
            for _ in range(3):
                batch = [outcome(f"/{n}", int(n)) for n in order]
                Items(database, owner).write(generation.collection, generation, batch)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert Items(database, owner).stats(generation.collection)["items"] == 40


def test_thousands_in_one_question(items: Items, generation: Generation) -> None:
    items.write(generation.collection, generation, [outcome("/500", 1)])
    assert list(items.known(generation.collection, generation, [f"/{n}" for n in range(5000)])) == ["/500"]
