"""Every public method of `Memory`, called by a thief with another owner's ids, paths and metadata.

Each attack is made twice: beside the victim, and in a collection that has no victim. The two must come out the same, so
that nothing of the victim's was seen, copied or counted; and then the victim's rows are as they were, to the byte. A
method or parameter that is new has no attack yet, and fails here until it has one.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow
import pyarrow.parquet
import pytest

from seemory.advisors.library import Advisors
from seemory.critics import Critics
from seemory.errors import SeemoryError
from seemory.measuring.index_quality import Plan
from seemory.memory import Memory
from seemory.store.libraries import Reference

from .conftest import SAID, Guess, Loot, World, assert_no_secret, attempt, guesses, rows_of

Worlds = tuple[World, World]
Call = Callable[[Memory, Guess, World], object]

CONDITIONS = [
    "path={uri}",
    "path~private",
    "name~private",
    "name!=own-cat.png",
    "bytes={bytes}",
    "width={width}",
    "width>=0",
    "format=PNG",
    "camera!=x",
    "taken!=1900",
    "tag!=x",
    "owner_id={owner}",
    "id={item}",
    "error!=x",
]


def conditions(loot: Loot, owner: str) -> list[str]:
    item = loot.item
    names = {"uri": item.uri, "bytes": item.bytes, "width": item.width, "owner": owner, "item": item.item_id}
    return [condition.format(**names) for condition in CONDITIONS]


def vector_of(world: World, loot: Loot, victim: Memory) -> list[float]:
    """The very vector that the victim has stored: what a thief would know who has the picture."""
    statement = f"SELECT embedding::text FROM seemory.{victim.stats()['generation']} WHERE item_id = %s"
    row = world.eye.execute(statement, [loot.item.item_id]).fetchone()
    assert row is not None
    return json.loads(row[0])


# -- the library -----------------------------------------------------------------------------------------------------


def _searches(memory: Memory, guess: Guess, world: World) -> Iterator[Callable[[], object]]:
    text = str(guess)
    yield lambda: memory.search(like=guess, limit=1000)
    yield lambda: memory.search(text, limit=1000, min_score=0.0)
    yield lambda: memory.search(image=text, limit=1000, offset=1)
    yield lambda: memory.search(image=Path(world.own / "own-cat.png").read_bytes(), where=[f"path~{text}"], limit=1000)
    yield lambda: memory.search("a cat", plus=[text], limit=1000, kind="image")
    yield lambda: memory.search("a cat", minus=[text], limit=1000)
    yield lambda: memory.search("a cat", where=[f"path~{text}"], limit=1000)
    yield lambda: memory.search("a cat", film=text, limit=1000)
    for film in (f"film={text}", f"film!={text}", f"film~{text}"):
        yield lambda f=film: memory.search("a cat", where=[f], limit=1000)  # type: ignore[misc]
    for route in ("visual", "rerank", "words"):
        yield lambda r=route: _routed(memory, f'a cat says private "{text}"', r)  # type: ignore[misc]
        yield lambda r=route: _routed(memory, f"who mentions {text} private", r)  # type: ignore[misc]
    for query in (text, f'"{text}"', f"-{text}", "private", '"private"', "cat -private"):
        for weights in ({"visual": 0.0}, {"text": 0.0}, {"words": 9.0}):
            yield lambda q=query, w=weights: _with_channels(memory, q, w)  # type: ignore[misc]


def _routed(memory: Memory, query: str, route: Any) -> object:
    hits = memory.search(query, limit=1000, route=route, group=True)
    return sorted((hit.uri, hit.cosine, hit.score) for hit in hits), dict(hits.channels), hits.route


def _with_channels(memory: Memory, query: str, weights: dict[str, float]) -> object:
    hits = memory.search(query, limit=1000, weights=weights, fusion="minmax", language="simple")
    found = sorted((hit.uri, hit.cosine, hit.score) for hit in hits)  # of equal ones the ids decide
    return found, dict(hits.channels), hits.fusion


def _stats(memory: Memory, guess: Guess, world: World) -> object:
    # How large the tables are is no secret: all owners of a collection share them (docs/security.md).
    found = {name: value for name, value in memory.stats().items() if not name.endswith("_bytes")}
    # The thief's own pictures take another time in each world.
    return found | {"health": {name: value for name, value in found["health"].items() if not name.endswith("_ms")}}


def _geometry(memory: Memory, guess: Guess, world: World) -> object:
    alike = attempt(lambda: memory.geometry(by=str(guess), labels=str(guess)))
    report = memory.geometry(by=str(guess), sample=1000, remedies=("none",)).as_json()
    return alike, report["notes"], [(space["vectors"], space["of"], space["dimensions"]) for space in report["spaces"]]


def _duplicates(memory: Memory, guess: Guess, world: World) -> object:
    found = memory.duplicates(threshold=0.01)
    exact = [sorted(item.uri for item in group) for group in found.exact]
    return exact, [(sorted(item.uri for item in group.items), group.cosine) for group in found.near]


def _export(memory: Memory, guess: Guess, world: World) -> object:
    count = memory.export_vectors(world.own.parent / "stolen.parquet")
    rows = pyarrow.parquet.read_table(world.own.parent / "stolen.parquet").to_pylist()
    return count, sorted(map(str, rows), key=lambda row: row.partition("uri")[2])


def _describe_from(memory: Memory, guess: Guess, world: World) -> object:
    table = world.own.parent / "words.jsonl"
    table.write_text(json.dumps({"item": str(guess), "caption": "overwritten"}))
    return memory.describe_from(table)


def _prefer(memory: Memory, guess: Guess, world: World) -> object:
    before = memory.prefer()
    saved = memory.prefer(words=0.25)
    memory.prefer_defaults()
    return before, saved


def _explain(memory: Memory, guess: Guess, world: World) -> object:
    # Its estimates come from statistics over all owners, and its times differ: only refusals are compared.
    for wanted in (
        {"like": guess},
        {"words": str(guess)},
        {"words": "a cat", "where": [f"path~{guess}"]},
        {"words": "a cat", "film": str(guess)},
    ):
        memory.explain(**wanted, limit=1000)  # type: ignore[arg-type]
    return None


def _advise(memory: Memory, guess: Guess, world: World) -> object:
    own = str(world.own / "own-cat.png")
    asked = [(own, str(guess)), (str(guess), "own"), (own, "")]
    heard: list[object] = []

    def ask(picture: str, advisor: str, mode: Any) -> object:
        return memory.advise(picture, advisor, mode=mode, limit=100, name=str(guess), regions=True, listen=heard.append)

    told = [
        attempt(lambda p=picture, a=advisor, m=mode: ask(p, a, m))  # type: ignore[misc]
        for picture, advisor in asked
        for mode in ("similar", "dimensions", "critic", "combined")
    ]
    return [told, heard]


def _add_library(memory: Memory, guess: Guess, world: World) -> object:
    """The thief's own library under a name that the victim has: it holds what the thief has put there, and no more."""
    memory.advisors.add("kept", world.own)  # so that the works need not be measured for each guess
    report = memory.advisors.add(str(guess), world.own, biography=None, catalogue=None)
    found = [(work.file_name, work.is_here) for work in memory.advisors.references(str(guess))]
    told = {name: value for name, value in report.as_json().items() if name != "seconds"}
    return told, found, memory.advisors.all(), memory.advisors.remove(str(guess))


def _remove_works(memory: Memory, guess: Guess, world: World) -> object:
    return attempt(lambda: memory.advisors.remove(str(guess))), attempt(
        lambda: memory.advisors.remove("x", [str(guess)])
    )


def _proof(memory: Memory, guess: Guess, world: World) -> object:
    work = Reference(sha256((world.own / "own-cat.png").read_bytes()).digest(), str(guess))  # the victim has that cat
    return memory.advisors.proof(str(guess), work)


def _remember(memory: Memory, guess: Guess, world: World) -> object:
    """The very words that the victim has said are new to the thief, and like nothing that it knows."""
    seen = []
    for text in (f"{SAID} {guess}", SAID):
        done = memory.remember(text, tags=[str(guess)], when=None)
        seen.append((done.new, done.times, len(done.alike), done.waiting))
        memory.forget([done.item_id])
    return seen


def _recall(memory: Memory, guess: Guess, world: World) -> object:
    asked: list[tuple[str, dict[str, Any]]] = [
        (str(guess), {}),
        (SAID, {}),
        (f'"{guess}"', {}),
        ("private", {"kind": "text"}),
        ("a cat", {"where": [f"path~{guess}"]}),
    ]
    return [attempt(lambda t=text, o=options: _told(memory.recall(t, limit=1000, **o))) for text, options in asked]  # type: ignore[misc]


def _told(found: list[Any]) -> object:
    return sorted((one.hit.uri, one.hit.cosine, one.text, one.times, len(one.alike)) for one in found)


def _train_own(memory: Memory, guess: Guess, world: World) -> object:
    """On pictures that a path of the victim's names, which are files like others: a bad line, and no more."""
    (table := world.own.parent / f"{world.own.name}.jsonl").write_text(
        json.dumps({"image": str(guess), "critique": {}})
    )
    memory.advisors.add("critic's", world.own / "own-cat.png")
    try:
        memory.critics.train("critic's", table)
    finally:
        table.unlink()
        memory.advisors.remove("critic's")
    return None


# name: (the parameters that are attacked, what is called)
METHODS: dict[str, tuple[str, Call]] = {
    "get": ("item", lambda m, g, w: m.get(g)),
    "similar": ("item limit", lambda m, g, w: m.similar(g, limit=1000)),
    "search": (
        "words image like vector plus minus limit offset min_score kind where weights fusion language film route group",
        lambda m, g, w: [attempt(call) for call in _searches(m, g, w)],
    ),
    "explain": ("words image like vector plus minus limit offset kind where film", _explain),
    "thumbnail": ("item_id", lambda m, g, w: m.thumbnail(g)),  # type: ignore[arg-type]
    "remember": ("text tags when", _remember),
    "recall": ("words limit kind where", _recall),
    "forget": ("items", lambda m, g, w: m.forget([g])),
    "listing": ("limit offset where", lambda m, g, w: m.listing(limit=1000, where=[f"path~{g}"])),
    "original": ("item roots", lambda m, g, w: m.original(g, roots=[Path("/")])),
    "embed": ("things", lambda m, g, w: m.embed([str(g)]).tolist()),
    "items": ("where batch", lambda m, g, w: list(m.items(where=[f"path~{g}"], batch=1))),
    "describe": (
        "item caption tags notes transcript language",
        lambda m, g, w: m.describe(g, caption="x", tags=["x"], notes="x", transcript="x", language="german"),
    ),
    "describe_from": ("file listen", _describe_from),
    "catch_up": ("listen", lambda m, g, w: m.catch_up()),
    "prefer": ("weights", _prefer),
    "prefer_defaults": ("", lambda m, g, w: m.prefer_defaults()),
    "default_weights": ("", lambda m, g, w: m.default_weights),
    "classify": (
        "image labels templates",
        lambda m, g, w: m.classify(str(g), ["cat", str(g)], templates=[f"{g} {{}}"]),
    ),
    "advise": ("photograph advisor mode limit name regions listen", _advise),
    "critics": ("", lambda m, g, w: m.critics.asking),
    "advisors": ("", lambda m, g, w: [one.name for one in m.advisors.all()]),
    "duplicates": ("threshold", _duplicates),
    "backfill": ("retry limit listen", lambda m, g, w: m.backfill(retry=True, limit=1000)),
    "export_vectors": ("file listen", _export),
    "geometry": ("by labels sample remedies listen", _geometry),
    "index_quality": ("plan words listen", lambda m, g, w: m.index_quality(plan=Plan(queries=1), words=[str(g)])),
    "stats": ("", _stats),
    "errors": ("limit", lambda m, g, w: m.errors(limit=1000)),
    "notice": ("", lambda m, g, w: m.notice),
    "encoder": ("", lambda m, g, w: m.encoder.fingerprint),
    "encoder_name": ("", lambda m, g, w: m.encoder_name),
    "model_name": ("", lambda m, g, w: m.model_name),
}

# The same of the object that `Memory.advisors` hands out.
ADVISORS: dict[str, tuple[str, Call]] = {
    "all": ("", lambda m, g, w: m.advisors.all()),
    "find": ("name", lambda m, g, w: m.advisors.find(str(g))),
    "references": ("name", lambda m, g, w: m.advisors.references(str(g))),
    "proof": ("name reference", _proof),
    "page": (
        "advice photograph",
        lambda m, g, w: m.advisors.page(m.advise(w.own / "own-cat.png", str(g), limit=100), w.own / "own-cat.png"),
    ),
    "remove": ("name works", _remove_works),
    "refresh": ("name encoder listen", lambda m, g, w: m.advisors.refresh(str(g), encoder=None)),
    "add": ("name folder biography catalogue listen", _add_library),
}

# The same of the object that `Memory.critics` hands out. No model is loaded: names come first.
CRITICS: dict[str, tuple[str, Call]] = {
    "train": (
        "name data plan listen",
        lambda m, g, w: [
            attempt(lambda: m.critics.train(str(g), str(g), plan=None)),
            attempt(lambda: _train_own(m, g, w)),
        ],
    ),
    "evaluate": (
        "name data limit constrained listen",
        lambda m, g, w: m.critics.evaluate(str(g), data=str(g), limit=1000, constrained=True),
    ),
    "asking": ("", lambda m, g, w: m.critics.asking),
    "close": ("", lambda m, g, w: m.critics.close()),
}

# These add rows to the thief's own and have tests of their own below.
WRITERS = {
    "add": "picture",
    "index": "paths recursive prune workers retry_failed reprocess transcribe ray within listen",
    "index_each": "paths recursive workers retry_failed",
    "import_vectors": "files model fingerprint column listen",
    "remember_from": "files listen",
}

# Not an owner's to be kept out of, each with the reason (docs/security.md tells users).
TRUSTED = {
    "database": "whoever holds the connection may set any owner: it is the program's, never handed to an owner",
    "reembedding": "an operator's: it works for all owners of a collection, and counts over all of them",
    "embedding": "it makes vectors of files and never sees the store",
    "close": "answers nothing",
    "of": "whoever serves several owners says whose turn it is: the program, after it has looked at a key",
}


def parameters(method: Any) -> str:
    found = (
        method.fget if isinstance(method, property) else method.func if isinstance(method, cached_property) else method
    )
    return " ".join(name for name in inspect.signature(found).parameters if name != "self")


def test_every_public_method_and_parameter_of_memory_is_attacked() -> None:
    public = {name: member for name, member in inspect.getmembers(Memory) if not name.startswith("_")}
    assert set(public) == {*METHODS, *WRITERS, *TRUSTED}, "a method of Memory has no attack, or an attack no method"
    for name, attacked in ({name: given for name, (given, _) in METHODS.items()} | WRITERS).items():
        assert parameters(public[name]) == attacked, f"attack the parameters of Memory.{name}, then name them here"
    for kind, attacks in ((Advisors, ADVISORS), (Critics, CRITICS)):
        handed = {name: member for name, member in inspect.getmembers(kind) if not name.startswith("_")}
        assert {name: parameters(member) for name, member in handed.items()} == {
            name: attacked for name, (attacked, _) in attacks.items()
        }


HANDED = {f"advisors.{name}": attack for name, attack in ADVISORS.items()}
HANDED |= {f"critics.{name}": attack for name, attack in CRITICS.items()}


@pytest.mark.parametrize("name", [*METHODS, *HANDED])
def test_a_guess_finds_nothing_by_any_method(
    name: str, worlds: Worlds, loot: Loot, victim: Memory, eye: psycopg.Connection
) -> None:
    before = rows_of(eye, victim.owner)
    assert {"asset", "item", "collection_owner", "advisor", "reference", victim.stats()["generation"]} <= set(before)
    call = (METHODS | HANDED)[name][1]
    for guess in guesses(loot):
        outcomes = []
        for world in worlds:
            outcome = attempt(lambda w=world, g=guess: call(w.thief, g, w))  # type: ignore[misc]
            outcomes.append(world.told(outcome))
            assert_no_secret(outcomes[-1], loot, str(guess))
        assert outcomes[0] == outcomes[1], f"{name}({guess!r}) shows that there is somebody else"
    assert rows_of(eye, victim.owner) == before


def test_filters_on_anothers_metadata_find_nothing(worlds: Worlds, loot: Loot, victim: Memory) -> None:
    wanted = [conditions(loot, victim.owner), *([one] for one in conditions(loot, victim.owner))]
    for where in wanted:
        outcomes = []
        for world in worlds:
            listed = sorted(world.thief.items(where=where), key=lambda item: item.uri)  # of one batch: by chance
            found = world.thief.search("a cat", where=where, limit=1000), listed
            outcomes.append(world.told(found))
            assert_no_secret(outcomes[-1], loot, " ".join(where))
        assert outcomes[0] == outcomes[1], where


def test_anothers_vector_finds_ones_own_pictures(worlds: Worlds, loot: Loot, victim: Memory) -> None:
    vector = np.array(vector_of(worlds[0], loot, victim), dtype=np.float32)
    outcomes = [world.told(world.thief.search(vector=vector, limit=1000)) for world in worlds]
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].count("Hit(") == 3


def test_pages_and_limits_do_not_reach_another_owner(worlds: Worlds, loot: Loot) -> None:
    for offset, limit in ((0, 1), (2, 1), (3, 10), (0, 10_000)):
        found = [world.told(world.thief.search("a cat", offset=offset, limit=limit)) for world in worlds]
        assert found[0] == found[1]


@pytest.mark.parametrize("each", [False, True])
def test_the_very_same_files_are_embedded_for_each_owner(
    each: bool,
    new_worlds: Callable[[], Worlds],
    loot: Loot,
    victim: Memory,
    eye: psycopg.Connection,
) -> None:
    """Nothing is copied by hash, taken as known by path, moved, touched or marked across owners."""
    before = rows_of(eye, victim.owner)
    outcomes = []
    for world in new_worlds():
        if each:
            results = list(world.thief.index_each(loot.folder, retry_failed=True, workers=2))
        else:
            assert world.thief.index(loot.folder, within=[world.own]).found == 0
            report = world.thief.index(loot.folder, prune=True, retry_failed=True, workers=2, within=[loot.folder])
            assert report.missing == 0
            results = [report]
        # The cat is the thief's own as well: one copy comes from its own rows, and so does the second of the folder.
        outcomes.append(world.told(sorted(map(repr, results))))
        assert {item.uri for item in world.thief.items(where=["path~private"])} == {
            str(loot.folder / name)
            for name in ("private-cat.png", "private-cat-again.png", "private-coffee.png", "private-rocket.jpg")
        }
        assert world.thief.index(loot.folder, prune=True).indexed == 0
        assert world.thief.forget([item.item_id for item in world.thief.items(where=["path~private"])]) == 4
    assert outcomes[0] == outcomes[1]
    assert rows_of(eye, victim.owner) == before


def test_bytes_that_another_owner_has_are_new_to_each(
    new_worlds: Callable[[], Worlds], loot: Loot, victim: Memory, eye: psycopg.Connection
) -> None:
    before = rows_of(eye, victim.owner)
    content = (loot.folder / "private-coffee.png").read_bytes()
    outcomes = []
    for world in new_worlds():
        added = world.thief.add(content)
        again = world.thief.add(content)
        assert (added.new, again.new) == (True, False), "known from another owner?"
        kept = Path(world.thief.get(added.item_id).uri)
        assert not victim.search(like=str(next(iter(victim.items())).item_id), where=[f"path={kept}"])
        assert world.thief.forget([added.item_id]) == 1
        assert not kept.exists()
        outcomes.append((added.new, again.new))
    assert outcomes[0] == outcomes[1]
    assert rows_of(eye, victim.owner) == before


def test_files_of_texts_that_the_victim_said_are_new_to_each(
    new_worlds: Callable[[], Worlds], loot: Loot, victim: Memory, tmp_path: Path, eye: psycopg.Connection
) -> None:
    before = rows_of(eye, victim.owner)
    (tmp_path / "texts.txt").write_text(f"{SAID}\n\n{SAID}\n\n{loot.item.uri}\n")
    outcomes = []
    for world in new_worlds():
        report = world.thief.remember_from(tmp_path / "texts.txt")
        outcomes.append((report.new, report.merged, report.bad, report.waiting))
        found = world.thief.recall(SAID, kind="text")
        assert {one.hit.item_id for one in found}.isdisjoint({item.item_id for item in victim.items()})
        assert {other for one in found for other, _ in one.alike} <= {one.hit.item_id for one in found}
    assert outcomes[0] == outcomes[1] == (2, 1, 0, None)
    assert rows_of(eye, victim.owner) == before


def test_files_that_the_victim_lost_are_not_the_thiefs_to_mark(
    new_worlds: Callable[[], Worlds], victim: Memory, tmp_path: Path, eye: psycopg.Connection
) -> None:
    """A thief who prunes a folder in which the victim's files are not: the victim's stay unmarked."""
    world = new_worlds()[0]
    before = rows_of(eye, victim.owner)
    root = Path(next(iter(victim.items())).uri).parent
    away = root.rename(tmp_path / "away")
    root.mkdir()
    try:
        assert world.thief.index(root, prune=True).missing == 0
    finally:
        root.rmdir()
        away.rename(root)
    assert rows_of(eye, victim.owner) == before


def test_import_with_anothers_ids_makes_ones_own_items(
    new_worlds: Callable[[], Worlds], loot: Loot, victim: Memory, tmp_path: Path, eye: psycopg.Connection
) -> None:
    before = rows_of(eye, victim.owner)
    outcomes = []
    for world in new_worlds():
        vector = vector_of(world, loot, victim)
        columns = {
            "id": [str(loot.item.item_id), str(loot.item.asset_id)],
            "item_id": [str(loot.item.item_id), str(loot.item.asset_id)],
            "owner_id": [victim.owner, victim.owner],
            "uri": [loot.item.uri, "x"],
            "embedding": [vector, vector[::-1]],
        }
        pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "forged.parquet")
        for _ in range(2):
            report = world.thief.import_vectors(
                tmp_path / "forged.parquet", model="seemory-mini", fingerprint="local", column="embedding"
            )
            outcomes.append(world.told(report))
        mine = list(world.thief.items(where=[f"import_id={loot.item.item_id}"]))
        assert [item.uri for item in mine] == [loot.item.uri]
        assert mine[0].item_id != loot.item.item_id
        with suppress(SeemoryError):
            world.thief.forget([loot.item.item_id])
    assert outcomes[:2] == outcomes[2:]
    assert rows_of(eye, victim.owner) == before
