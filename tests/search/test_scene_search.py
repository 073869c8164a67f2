"""Searches among scenes: routes, films, neighbours, moments, and what could not be asked of a scene."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_films import moving, still, write_film
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from seemory.cli import main
from seemory.errors import ItemNotFound, UsageError
from seemory.memory import Memory
from seemory.service.schemas import Answer
from seemory.settings import read_settings
from seemory.types import Hit, Item

SHOTS = ("coffee", "rocket", "cat", "temple")
SAID = {"rocket": "we have lift off, good morning", "cat": "good morning said the cat"}


@pytest.fixture(scope="module")
def cinema(
    home: Path, package_photographs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Memory]:
    """Two films of four and two shots of two seconds, and a photograph. Tests put back what they change."""
    folder = tmp_path_factory.mktemp("cinema")
    for film, shots in (("four", SHOTS), ("two", ("flower", "motorcycle"))):
        frames = [frame for name in shots for frame in moving(still(package_photographs[name]), 50)]
        write_film(folder / f"{film}.mp4", frames)
    (folder / "astronaut.png").write_bytes(package_photographs["astronaut"].read_bytes())
    with Memory(read_settings(home=home, owner="cinema", collection="cinema", model="seemory-mini")) as memory:
        assert memory.index(folder).failed == 0
        for name, words in SAID.items():
            memory.describe(scene(memory, name).item_id, transcript=words)
        yield memory


def film(memory: Memory, name: str = "four") -> str:
    return next(item.uri for item in memory.items() if Path(item.uri).stem == name)


def scene(memory: Memory, shows: str) -> Item:
    at = 2.0 * SHOTS.index(shows)
    return next(item for item in memory.items() if Path(item.uri).stem == "four" and item.start_s == at)


def starts(hits: list[Hit]) -> list[float | None]:
    return [hit.start_s for hit in hits]


def test_a_film_is_searched_by_its_path_its_name_from_here_or_its_id(
    cinema: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(cinema)
    found = cinema.search("a cat", film=path, group=False)
    assert (len(found), {hit.uri for hit in found}) == (4, {path})
    asset = str(scene(cinema, "cat").asset_id)
    assert cinema.search("a cat", film=asset, group=False) == found
    monkeypatch.chdir(Path(path).parent)
    assert cinema.search("a cat", film=Path("four.mp4"), group=False) == found
    assert cinema.search("a cat", where=["film~two"], limit=20)[0].uri == film(cinema, "two")
    assert {hit.kind for hit in cinema.search("a cat", where=[f"film!={path}"], limit=20)} == {"scene", "image"}
    assert cinema.explain("a cat", film=path).table == found[0].reasons[-1].split()[-1]
    for nothing in ("astronaut.png", "five.mp4", str(scene(cinema, "cat").item_id)):
        with pytest.raises(ItemNotFound, match="no film in collection"):
            cinema.search("a cat", film=nothing)
    with pytest.raises(ItemNotFound, match=r"did you mean .*four\.mp4"):
        cinema.search("a cat", film="our.mp4")
    with pytest.raises(UsageError, match="name a film"):
        cinema.search("a cat", film=" ")


def test_neighbouring_scenes_are_one_hit_unless_they_are_not_wanted_so(cinema: Memory) -> None:
    path = film(cinema)
    apart = cinema.search("a cat", film=path, group=False, weights={"words": 0, "text": 0})
    assert apart[0].start_s == 4.0
    together = cinema.search("a cat", film=path, weights={"words": 0, "text": 0})
    assert starts(together) == [4.0, 0.0]
    assert [starts(list(hit.neighbours)) for hit in together] == [[2.0, 6.0], []]
    assert [hit.rank for hit in together] == [1, 2]
    same = {one.item_id: (one.cosine, one.score, one.moment_s) for hit in together for one in (hit, *hit.neighbours)}
    assert same == {hit.item_id: (hit.cosine, hit.score, hit.moment_s) for hit in apart}
    pages = [cinema.search("a cat", kind="scene", limit=1, offset=at) for at in range(4)]
    assert [hit for page in pages for hit in page] == cinema.search("a cat", kind="scene")
    assert all(not hit.neighbours for hit in cinema.search("a cat", limit=20)), "among pictures they are not grouped"
    assert any(hit.neighbours for hit in cinema.search("a cat", limit=20, group=True))
    with pytest.raises(UsageError, match="limit must be"):
        cinema.search("a cat", kind="scene", limit=0)


def test_the_moment_is_that_of_the_nearest_frame(cinema: Memory, package_photographs: dict[str, Path]) -> None:
    for hits in (
        cinema.search("a cat", kind="scene"),
        cinema.search(image=package_photographs["cat"], kind="scene"),
        cinema.search(like=scene(cinema, "cat").item_id, film=film(cinema)),
        cinema.search("a cat", limit=20),
    ):
        scenes = [one for hit in hits for one in (hit, *hit.neighbours) if one.kind == "scene"]
        assert scenes
        for hit in scenes:
            assert hit.moment_s in [frame["time_s"] for frame in hit.metadata["frames"]]
        assert all(hit.moment_s is None for hit in hits if hit.kind == "image")


def test_the_terminal_shows_the_route_the_moment_and_the_neighbours(
    cinema: Memory, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--home", str(cinema.home), "--owner", cinema.owner, "--collection", cinema.collection]
    with pytest.raises(SystemExit, match="0"):
        main(["search", "a", "cat", "--film", film(cinema), "--weight", "words=0", "--weight", "text=0", *where])
    said = capsys.readouterr()
    assert said.err == "sight leads: it describes what is seen\n"
    lines = [re.sub(r"^(.{4}).*four[.]mp4  ", r"\1", line) for line in said.out.splitlines()]
    moment = cinema.search("a cat", film=film(cinema))[0].moment_s
    assert moment is not None
    assert lines[0] == f"   10:04-0:06 at 0:0{int(moment)}"
    assert [line[:4] for line in lines] == ["   1", "   +", "   +", "   2"]
    with pytest.raises(SystemExit, match="0"):
        main(["search", 'a cat "good morning"', "--film", film(cinema), "--no-group", *where])
    said = capsys.readouterr()
    assert said.err.endswith("; 2 of 2 that words named were looked at\n")
    hits, words = said.out.splitlines()[::2], said.out.splitlines()[1::2]
    assert [line[:4].strip() for line in hits] == ["1", "2"]
    assert sorted(line.strip() for line in words) == [
        "transcript: *good* *morning* said the cat",
        "transcript: we have lift off, *good* *morning*",
    ]
    with pytest.raises(SystemExit, match="0"):
        main(["search", 'who says "pterodactyl"', "--kind", "scene", *where])
    assert capsys.readouterr().err.endswith("nothing found\n")


def test_an_answer_is_as_the_services_description_has_it(cinema: Memory) -> None:
    for query in ("a cat", 'a cat "good morning"', "who says good morning"):
        hits = cinema.search(query, kind="scene")
        rest = {"query": {"words": query}, "collection": "c", "model": "m", "milliseconds": 1.0}
        read = Answer.model_validate(hits.as_json() | rest)
        assert json.loads(read.model_dump_json())["hits"] == json.loads(json.dumps(hits.as_json()["hits"]))
        assert read.route is not None
        assert read.route.reason


def test_which_of_several_frames_it_is(memory: Memory, tmp_path: Path, package_photographs: dict[str, Path]) -> None:
    """One scene as the detectors see it, that goes over from a coffee to a cat: each is found at its own end."""
    coffee, cat = (still(package_photographs[name]).astype(float) for name in ("coffee", "cat"))
    shares = [0.0] * 40 + [n / 120 for n in range(120)] + [1.0] * 40
    mixed = [((1 - share) * coffee + share * cat).astype("uint8") for share in shares]
    memory.index(write_film(tmp_path / "over.mp4", mixed))
    assert [(item.start_s, item.end_s) for item in memory.items()] == [(0.0, 8.0)]
    moments = [memory.search(image=package_photographs[name])[0].moment_s for name in ("coffee", "cat")]
    frames = [frame["time_s"] for frame in next(memory.items()).metadata["frames"]]
    assert moments == [frames[0], frames[-1]]


def test_a_description_is_led_by_sight_and_a_picture_is_compared_alone(
    cinema: Memory, package_photographs: dict[str, Path]
) -> None:
    described = cinema.search("a cat", kind="scene")
    assert described.route is not None
    assert described.route.visual == "leads"
    shown = cinema.search(image=package_photographs["temple"], kind="scene")
    assert (shown.route.visual, shown[0].start_s) == ("alone", 6.0)  # type: ignore[union-attr]
    assert cinema.search("a cat").route is None, "no route is chosen where pictures may answer"
    assert cinema.search("a cat").as_json()["route"] is None
    assert described.as_json()["route"]["visual"] == "leads"


def test_what_is_said_is_looked_for_in_words_alone(cinema: Memory) -> None:
    hits = cinema.search("who says good morning", kind="scene", group=False)
    assert hits.route is not None
    assert (hits.route.visual, hits.route.said) == ("left out", "good morning")
    assert set(starts(hits)) == {2.0, 4.0}
    assert hits.channels["visual"].effective == 0
    assert all(hit.moment_s is None for hit in hits), "nothing was compared with a frame"
    assert cinema.search("who says good morning", kind="scene", route="visual", group=False, limit=6)[5:]


def test_sight_re_ranks_what_words_found(cinema: Memory) -> None:
    for shows, at in (("a rocket", 2.0), ("a cat", 4.0)):
        for query in (f'{shows} "good morning"', f"{shows} and someone says good morning"):
            hits = cinema.search(query, kind="scene", group=False)
            assert hits.route is not None
            assert (hits.route.visual, hits.route.pool, hits.route.seen) == ("re-ranks", 2, 2)
            assert hits.route.shown == shows.removeprefix("a ")
            assert hits.route.skipped is None
            assert set(starts(hits)) == {2.0, 4.0}, "sight names nobody"
            assert [hit.rank for hit in hits] == [1, 2]
            assert hits.channels["visual"].effective == hits.route.share == 0.5
            by_sight = cinema.search(hits.route.shown, kind="scene", weights={"words": 0, "text": 0}, group=False)
            cosines = {hit.item_id: hit.cosine for hit in by_sight}
            assert [hit.cosine for hit in hits] == [pytest.approx(cosines[hit.item_id]) for hit in hits]
            assert all(hit.moment_s is not None for hit in hits)
        by_sight_alone = cinema.search(query, kind="scene", group=False, weights={"visual": 1000})
        assert by_sight_alone[0].start_s == at
        pages = [cinema.search(query, kind="scene", group=False, limit=1, offset=n) for n in range(3)]
        assert [hit for page in pages for hit in page] == hits
    flat = cinema.search('a cat "we have lift off"', kind="scene")
    assert flat.route is not None
    assert flat.route.skipped == "1 of 1 have a vector: there is nothing to compare"
    assert flat.channels["visual"].left_out == flat.route.skipped


def test_where_nobody_said_it_sight_leads_and_says_so(cinema: Memory) -> None:
    hits = cinema.search("who mentions pterodactyls", kind="scene", weights={"text": 0})
    assert hits.route is not None
    assert hits.route.visual == "leads"
    assert "nothing of it was said" in hits.route.reason
    assert hits
    assert cinema.search('who says "pterodactyl"', kind="scene") == [], "a condition is kept"
    only_sight = cinema.search("who says good morning", kind="scene", weights={"text": 0, "words": 0})
    assert "have weight 0" in only_sight.route.reason  # type: ignore[union-attr]


def test_a_scene_without_a_vector_is_found_by_its_words_and_says_what_was_missing(cinema: Memory) -> None:
    item, table = scene(cinema, "rocket"), Identifier("seemory", cinema.stats()["generation"])
    change = SQL(
        "UPDATE {} SET embedding = %s::text::halfvec, frames = %s::text::halfvec[], metadata = metadata || %s "
        "WHERE owner_id = %s AND item_id = %s"
    ).format(table)
    read = SQL("SELECT embedding::text, frames::text FROM {} WHERE owner_id = %s AND item_id = %s").format(table)
    this = [cinema.owner, item.item_id]
    with cinema.database.transaction(cinema.owner) as connection:
        there = connection.execute(read, this).fetchall()[0]
        connection.execute(change, [None, None, Jsonb({"error": "Timeout after 2.0s"}), *this])
    try:
        for query in ("lift off", "who says lift off", '"lift off" in the sky'):
            hits = cinema.search(query, kind="scene", group=False)
            hit = next(hit for hit in hits if hit.item_id == item.item_id)
            assert (hit.cosine, hit.moment_s) == (None, None)
            assert hit.missing == {"visual": "it has no vector: Timeout after 2.0s"}
        others = [hit for hit in cinema.search("lift off", kind="scene", group=False) if hit.item_id != item.item_id]
        assert {hit.start_s for hit in others if "text" in hit.missing} == {0.0, 2.0, 6.0}
        assert hit.as_json()["missing"] == dict(hit.missing)
        assert hits.route.seen == 0  # type: ignore[union-attr]
    finally:
        with cinema.database.transaction(cinema.owner) as connection:
            connection.execute(change, [*there, Jsonb({"error": None}), *this])
