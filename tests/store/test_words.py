"""Documents: what they are made of, in which language, and what finds them, with everything hostile in the words."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from seemory.errors import UsageError
from seemory.search.wording import read_wording
from seemory.store.connect import Database
from seemory.store.describing import LONGEST, Descriptions
from seemory.store.generations import Generations
from seemory.store.items import Items
from seemory.store.query import Query
from seemory.store.words import Required, Words
from seemory.types import Description, EmbeddingRecord, Filter, Generation

from .conftest import outcome, unit

hostile = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "'; DROP TABLE seemory.item; --",
            "x' OR '1'='1",
            "a & !b | (c",
            "\\",
            "''",
            "%s %(x)s",
            "\x00",
            "\ud800",
            "'|':20",
        ]
    ),
)


@pytest.fixture
def words(database: Database, owner: str) -> Words:
    return Words(database, owner)


@pytest.fixture
def descriptions(database: Database, owner: str, generation: Generation) -> Descriptions:
    return Descriptions(database, owner, generation.collection, "english")


@pytest.fixture
def ids(items: Items, generation: Generation) -> dict[str, UUID]:
    """Three files of the owner, and their items."""
    names = ["/p/GoldenGate2021.jpg", "/p/IMG_0042.jpg", "/p/rote_Boote.jpg"]
    items.write(generation.collection, generation, [outcome(name, n) for n, name in enumerate(names)])
    by_uri = {item.uri: item.item_id for item in items.listing(generation.collection)}
    return {name.rsplit("/", 1)[1]: by_uri[name] for name in names}


def found(words: Words, collection: str, query: str, **more: object) -> list[UUID]:
    outlook = words.outlook(collection, query)
    return [item for item, _ in words.matching(collection, outlook.words, limit=100, **more).found]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/a/b/IMG_2041.JPG", "IMG 2041"),
        ("/a/GoldenGate-at_night.tiff", "GoldenGate at night Golden Gate at night"),
        (r"C:\x\HTMLPage3.jpg", "HTMLPage3 HTML Page 3"),
        ("id:17", "id 17"),
        ("/a/Größe.2020.png", "Größe 2020"),
        ("/a/.jpg", ""),
        ("", ""),
    ],
)
def test_names_are_cut_into_words(superuser: psycopg.Connection, uri: str, expected: str) -> None:
    assert superuser.execute("SELECT trim(seemory.name_words(%s))", [uri]).fetchone() == (expected,)


def test_a_file_is_found_by_its_name_and_what_it_says(words: Words, items: Items, generation: Generation) -> None:
    facts = {"caption": "Sailing boats", "tags": ["regatta", "Lake Geneva"]}
    items.write(
        generation.collection, generation, [outcome("/x/DSC001.jpg", 1, metadata=facts), outcome("/x/fog.jpg", 2)]
    )
    by_uri = {item.uri: item.item_id for item in items.listing(generation.collection)}
    boat, fog = by_uri["/x/DSC001.jpg"], by_uri["/x/fog.jpg"]
    for query in ("a boat", "sails", "regattas", "geneva", "dsc", "001"):
        assert found(words, generation.collection, query) == [boat]
    assert found(words, generation.collection, "fog or boats, regatta") == [boat, fog]
    assert found(words, generation.collection, "fog", kind="scene") == []
    assert found(words, generation.collection, "fog", filters=[Filter.parse("name~dsc")]) == []
    assert words.outlook(generation.collection, "an unheard word").words == []


def test_words_weigh_by_where_they_are_said(
    words: Words, descriptions: Descriptions, ids: dict[str, UUID], generation: Generation
) -> None:
    a, b, c = ids.values()
    descriptions.write(
        {a: Description(transcript="harbour " * 50), b: Description(caption="harbour"), c: Description(notes="harbour")}
    )
    assert found(words, generation.collection, "harbour") == [b, c, a]


def test_a_rare_word_counts_more(
    words: Words, descriptions: Descriptions, ids: dict[str, UUID], generation: Generation
) -> None:
    a, b, c = ids.values()
    descriptions.write({a: Description(caption="dog"), b: Description(caption="dog"), c: Description(caption="zebra")})
    assert found(words, generation.collection, "dog zebra")[0] == c


def test_each_language_has_its_own_forms(
    words: Words, descriptions: Descriptions, ids: dict[str, UUID], generation: Generation
) -> None:
    a, b, c = ids.values()
    descriptions.write(
        {
            a: Description(caption="Zwei Hunde spielen am Strand", language="german"),
            b: Description(caption="two dogs playing"),
            c: Description(caption="the dogs", language="simple"),
        }
    )
    assert found(words, generation.collection, "Hund") == [a]
    assert found(words, generation.collection, "den Hunden") == [a]
    assert found(words, generation.collection, "dog") == [b]
    assert set(found(words, generation.collection, "dogs")) == {b, c}
    assert set(words.outlook(generation.collection, "").languages) == {"english", "german", "simple"}
    assert words.outlook(generation.collection, "the dogs", ["english"]).words == ["dog"]
    with pytest.raises(UsageError, match="no text search language"):
        words.outlook(generation.collection, "x", ["klingon"])
    with pytest.raises(UsageError, match="no text search language"):
        descriptions.write({a: Description(caption="x", language="klingon'; --")})


def test_conditions_are_hard(
    words: Words, query: Query, descriptions: Descriptions, ids: dict[str, UUID], generation: Generation
) -> None:
    a, b, c = ids.values()
    descriptions.write(
        {
            a: Description(caption="the old harbour at dusk", tags=("boat", "house")),
            b: Description(caption="a harbour, old and grey"),
        }
    )

    def meeting(text: str) -> set[UUID]:
        wording = read_wording(text)
        required = words.required(words.outlook(generation.collection, "").languages, wording.must, wording.must_not)
        alone = {item for item, _ in words.meeting(generation.collection, required, limit=10)}
        seen = query.nearest(generation, unit(1), also=required.condition)
        assert {neighbour.item.item_id for neighbour in seen} == alone, "the same on every channel"
        return alone

    assert meeting('"old harbour"') == {a}
    assert meeting('"harbours"') == {a, b}
    assert meeting("-harbour") == {c}
    assert meeting('"harbour" -"old harbour"') == {b}
    assert meeting('"old harbour" "dusk"') == {a}
    assert meeting('"dusk boat"') == set(), "no phrase reaches from the caption into the tags"
    assert meeting('"golden gate"') == {a}, "the file's name"
    with pytest.raises(UsageError, match="'the' has no word"):
        meeting('"the"')
    with pytest.raises(UsageError, match="at most 32"):
        meeting("-x " * 33)


def test_words_that_a_person_gave_outlive_a_change_of_the_picture(
    words: Words, items: Items, descriptions: Descriptions, ids: dict[str, UUID], generation: Generation
) -> None:
    a, name = ids["IMG_0042.jpg"], generation.collection
    descriptions.write({a: Description(caption="a lighthouse", tags=("coast",), notes="by ferry")})
    changed = outcome("/p/IMG_0042.jpg", 77, metadata={"caption": "from the camera"})
    items.write(name, generation, [changed])
    item = items.get(a)
    assert (item.caption, item.tags, item.notes, item.language) == ("a lighthouse", ("coast",), "by ferry", "english")
    assert found(words, name, "lighthouse") == found(words, name, "ferry") == found(words, name, "camera") == [a]
    items.move(item.asset_id, "/p/sunset.jpg", 1, 1)
    assert found(words, name, "sunset") == found(words, name, "lighthouse") == [a]
    assert found(words, name, "0042") == []


def test_what_is_not_given_stays_and_an_empty_text_removes(
    items: Items, descriptions: Descriptions, ids: dict[str, UUID]
) -> None:
    a = ids["IMG_0042.jpg"]
    descriptions.write({a: Description(caption="one", tags=("x", " ", "x", "y"), language="german")})
    descriptions.write({a: Description(notes="two")})
    item = items.get(a)
    assert (item.caption, item.tags, item.notes, item.language) == ("one", ("x", "y"), "two", "german")
    descriptions.write({a: Description(caption="", tags=(), notes=" ")})
    item = items.get(a)
    assert (item.caption, item.tags, item.notes, item.language) == (None, (), None, None)
    assert descriptions.write({uuid4(): Description(caption="nobody")}) == set()


def test_long_texts_are_kept_whole_and_searched_from_the_beginning(
    words: Words, items: Items, descriptions: Descriptions, ids: dict[str, UUID], generation: Generation
) -> None:
    a = ids["IMG_0042.jpg"]
    # The worst for a tsvector: as many different short words as the characters allow.
    letters = "".join(chr(0x4E00 + n) for n in range(2000))
    worst = " ".join(one + two for one in letters[:700] for two in letters[:500])[:LONGEST]
    said = Description(caption="first " + worst[:-6], tags=("a-b-c " * 4000,), notes=worst, transcript=worst)
    assert descriptions.write({a: said}) == {a}
    assert items.get(a).transcript == worst
    assert found(words, generation.collection, "first") == [a]
    with pytest.raises(UsageError, match="at most 1,000,000"):
        descriptions.write({a: Description(notes="x" * (LONGEST + 1))})


def test_old_vectors_of_words_go_with_the_words(
    database: Database, query: Query, descriptions: Descriptions, ids: dict[str, UUID], generation: Generation
) -> None:
    a, b, _ = ids.values()
    text = Generations(database).create(generation.collection, "text", model="t", fingerprint="t" * 64, dim=8)
    descriptions.write({a: Description(caption="one"), b: Description(caption="two")})
    waiting = descriptions.waiting(text, UUID(int=0), 10)
    assert {one.text for one in waiting} == {"one", "two"}
    descriptions.write({b: Description(caption="three")})  # meanwhile
    record = EmbeddingRecord("t", "", 8)
    assert descriptions.write_vectors(text, [(one, unit(1, 8), record) for one in waiting]) == 1
    assert set(query.vectors(text, [a, b])) == {a}
    assert [one.text for one in descriptions.waiting(text, UUID(int=0), 10)] == ["three"]
    assert descriptions.count_waiting(text) == 1
    descriptions.write({a: Description(tags=("more",))})
    assert query.vectors(text, [a, b]) == {}


def test_one_owner_s_words_find_nothing_of_another(
    database: Database, descriptions: Descriptions, ids: dict[str, UUID], generation: Generation
) -> None:
    a = ids["IMG_0042.jpg"]
    descriptions.write({a: Description(caption="a secret")})
    thief = f"thief-{uuid4()}"
    words, name = Words(database, thief), generation.collection
    assert words.outlook(name, "secret").languages == words.outlook(name, "secret", ["english"]).words == []
    assert words.matching(name, ["secret"], limit=9).found == []
    assert words.meeting(name, Required("'secret'"), limit=9) == []
    theirs = Descriptions(database, thief, name, "english")
    assert theirs.write({a: Description(caption="mine")}) == set()
    assert theirs.by_path(["/p/IMG_0042.jpg"]) == {}
    assert not theirs.anything()
    for table in ("vocabulary", "preference"):
        with database.transaction(None) as connection:
            assert connection.execute(f"SELECT count(*) FROM seemory.{table}").fetchone() == (0,)


def test_writers_of_the_same_new_words_wait_for_one_another(
    database: Database, owner: str, items: Items, descriptions: Descriptions, generation: Generation
) -> None:
    """Ten at once say the same words, each in another order, of items in common, while the files are indexed anew."""
    name = generation.collection
    outcomes = [outcome(f"/p/{n}.jpg", n) for n in range(40)]
    items.write(name, generation, outcomes)
    ids = [item.item_id for item in items.listing(name)]

    def say(number: int) -> int:
        mine = random.Random(number)
        words = [f"word{n}" for n in mine.sample(range(300), 200)]
        if number % 3 == 0:
            return items.write(name, generation, mine.sample(outcomes, 30))
        return len(descriptions.write({item: Description(notes=" ".join(words)) for item in mine.sample(ids, 30)}))

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(say, range(12))) == [30] * 12


@examples(max_examples=40)
@given(hostile, hostile, st.lists(hostile, max_size=3))
def test_no_text_does_harm(database: Database, caption: str, query: str, tags: list[str]) -> None:
    owner, collection = f"owner-{uuid4()}", "hostile"
    generation = Generations(database).create(collection, "visual", model="test", fingerprint="f" * 64, dim=32)
    items, words = Items(database, owner), Words(database, owner)
    items.write(collection, generation, [outcome("/x.jpg", 1), outcome(f"/y{caption}.jpg", 2)])
    a, b = (item.item_id for item in items.listing(collection))
    descriptions = Descriptions(database, owner, collection, "english")
    assert descriptions.write({a: Description(caption, tuple(tags), query, query)}) == {a}
    assert set(found(words, collection, query)) <= {a, b}
    assert set(found(words, collection, caption, filters=[Filter("tag", "=", query)])) <= {a, b}
    wording = read_wording(f'{query} "{caption}" -{query}')
    try:
        required = words.required(["english", "german"], wording.must, wording.must_not)
    except UsageError:
        return
    assert {item for item, _ in words.meeting(collection, required, limit=9)} <= {a, b}


def test_a_query_of_any_length(words: Words, ids: dict[str, UUID], generation: Generation) -> None:
    many = " ".join(f"w{n}" for n in range(100_000))
    assert found(words, generation.collection, "golden " + many) == [ids["GoldenGate2021.jpg"]]
    assert words.required(["english"], [many], []).must
