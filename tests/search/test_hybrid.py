"""Sight, sentence vectors and words in one answer: over real photographs, with the bundled encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from seemory.errors import ItemNotFound, UsageError
from seemory.memory import Memory
from seemory.search.fusion import FusionName
from seemory.search.hybrid import _ranking
from seemory.settings import read_settings
from seemory.types import Hits

CAPTIONS = {
    "astronaut": "A woman in an orange space suit smiles before a flag",
    "cat": "Tabby, half asleep, my neighbour's",
    "coffee": "Breakfast on a wooden table",
    "rocket": "Night launch seen from the beach",
    "motorcycle": "In the garage",
}


@pytest.fixture(scope="module")
def told(
    home: Path, package_photographs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Memory]:
    """Eight photographs, five of them described; their names are numbers. No test of this file changes them."""
    folder = tmp_path_factory.mktemp("told")
    settings = read_settings(home=home, owner="told", collection="told", model="seemory-mini")
    with Memory(settings) as memory:
        for number, (_, path) in enumerate(package_photographs.items()):
            (folder / f"{number}{path.suffix}").write_bytes(path.read_bytes())
        memory.index(folder)
        for number, (name, path) in enumerate(package_photographs.items()):
            if name in CAPTIONS:
                report = memory.describe(
                    str(folder / f"{number}{path.suffix}"), caption=CAPTIONS[name], tags=[name[:2]]
                )
                assert (report.described, report.embedded, report.waiting) == (1, 1, None)
        yield memory


@pytest.fixture(scope="module")
def subject(told: Memory, package_photographs: dict[str, Path]) -> Callable[[Hits], list[str]]:
    names = list(package_photographs)
    return lambda hits: [names[int(Path(hit.uri).stem)] for hit in hits]


def test_what_nobody_can_see_is_found_by_what_was_said(told: Memory, subject) -> None:
    hits = told.search("my neighbour", limit=8)
    assert subject(hits)[0] == "cat"
    assert "words: neighbour" in hits[0].reasons
    assert any(reason.startswith("text: cosine") for reason in hits[0].reasons)
    assert len(hits) == 8, "those that say nothing are ranked by sight"
    sight = {hit.item_id: hit for hit in told.search("my neighbour", limit=8, weights={"text": 0, "words": 0})}
    assert all(hit.cosine == pytest.approx(sight[hit.item_id].cosine) for hit in hits)
    assert all(hit.score == pytest.approx(sight[hit.item_id].score) for hit in hits)


def test_the_answer_says_what_each_channel_did(told: Memory) -> None:
    channels = told.search("my neighbour's garage").channels
    assert {name: (c.candidates, c.weight, c.effective, c.left_out) for name, c in channels.items()} == {
        "visual": (8, 1.0, 0.5, None),
        "text": (5, 0.5, 0.25, None),
        "words": (2, 0.5, 0.25, None),
    }
    alone = told.search("my neighbour's garage", weights={"words": 0, "text": 0})
    assert alone.channels["visual"].effective == 1.0
    assert alone.channels["words"].left_out == alone.channels["text"].left_out == "weight 0"
    assert alone.fusion is None
    unheard = told.search("pterodactyl", weights={"text": 0}).channels
    assert unheard["words"].left_out == "no word of the query occurs in the collection"
    assert unheard["visual"].effective == 1.0
    heard = told.search("pterodactyl").channels
    assert (heard["visual"].effective, heard["text"].effective) == (pytest.approx(2 / 3), pytest.approx(1 / 3))


def test_a_flat_channel_gives_its_weight_away(new_memory: Callable[..., Memory], photos: Path) -> None:
    memory = new_memory()
    memory.index(photos)
    for name in ("cat.png", "coffee.png"):
        memory.describe(str(photos / name), notes="holiday")
    flat = memory.search("holiday", weights={"text": 0})
    assert flat.channels["words"].candidates == 2
    assert "flat" in (flat.channels["words"].left_out or "")
    assert flat.channels["visual"].effective == 1.0
    assert [hit.item_id for hit in flat] == [
        hit.item_id for hit in memory.search("holiday", weights={"text": 0, "words": 0})
    ]
    alone = memory.search("holiday", weights={"text": 0, "visual": 0})
    assert {Path(hit.uri).name for hit in alone} == {"cat.png", "coffee.png"}, "a flat answer is better than none"


def test_one_channel_alone_keeps_its_own_order(told: Memory, subject) -> None:
    by_words = told.search("the beach at night", weights={"visual": 0, "text": 0})
    assert subject(by_words) == ["rocket"]
    by_meaning = told.search("a pet that sleeps", weights={"visual": 0, "words": 0}, limit=8)
    assert len(by_meaning) == 5
    assert subject(by_meaning)[0] == "cat"
    with pytest.raises(UsageError, match="every channel has weight 0"):
        told.search("a cat", weights={"visual": 0, "text": 0, "words": 0})


def test_quotes_and_minus_are_hard_for_every_channel(told: Memory, subject) -> None:
    assert subject(told.search('something "space suit"')) == ["astronaut"]
    assert subject(told.search('"half asleep"')) == ["cat"]
    without = subject(told.search("a cat -tabby", limit=8))
    assert "cat" not in without
    assert len(without) == 7
    assert len(told.search('-tabby -"wooden table"', limit=8)) == 6
    assert told.search('a cat "wooden garage"') == []
    for words in ("cat -tabby", '"space suit"'):
        seen = told.search(words, weights={"words": 0, "text": 0}, limit=8)
        assert set(subject(seen)) == set(subject(told.search(words, limit=8)))
    (hit,) = told.search('"wooden table"')
    assert (hit.cosine, hit.score) == (None, 0.0)
    assert told.search('"wooden table"', min_score=0.5) == []


def test_pictures_and_items_are_compared_by_sight_alone(told: Memory, package_photographs: dict[str, Path]) -> None:
    hits = told.search("launch", image=package_photographs["rocket"], limit=8)
    assert hits.channels["visual"].effective == 1.0
    assert hits.channels["words"].left_out == "the query is not in words alone"
    assert len(told.search("-orange", image=package_photographs["astronaut"], limit=8)) == 7
    assert told.similar(package_photographs["rocket"], limit=3).channels["visual"].candidates == 3


@pytest.mark.parametrize("fusion", ["rrf", "minmax"])
def test_pages_join_without_a_gap(told: Memory, fusion: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for pool in (200, 3):  # also where the channels name fewer than there are
        monkeypatch.setattr("seemory.search.channels.POOL", pool)
        whole = told.search("my neighbour at night", limit=8, fusion=fusion)
        assert len({hit.item_id for hit in whole}) == 8
        assert [hit.rank for hit in whole] == list(range(1, 9))
        for size in (1, 3):
            pages = [
                told.search("my neighbour at night", limit=size, offset=at, fusion=fusion) for at in range(0, 9, size)
            ]
            assert [hit for page in pages for hit in page] == whole
    with pytest.raises(UsageError, match="no way to fuse"):
        told.search("night", fusion="sum")


def test_the_least_score_is_about_sight(told: Memory) -> None:
    whole = told.search("my neighbour at night", limit=8)
    border = sorted(hit.score for hit in whole)[4]
    cut = told.search("my neighbour at night", limit=8, min_score=border)
    assert [hit.item_id for hit in cut] == [hit.item_id for hit in whole if hit.score >= border]
    pages = [told.search("my neighbour at night", limit=2, offset=at, min_score=border) for at in (0, 2, 4)]
    assert [hit for page in pages for hit in page] == cut


def test_conditions_and_kinds_hold_for_words_too(told: Memory, subject) -> None:
    assert told.search("neighbour", kind="scene") == []
    assert "cat" not in subject(told.search("neighbour", where=["format=jpeg"], limit=8))
    assert subject(told.search("neighbour", where=["tag=ca"])) == ["cat"]


def test_weights_come_from_the_request_then_the_owner_then_the_settings(
    new_memory: Callable[..., Memory], photos: Path
) -> None:
    memory = new_memory(search={"visual": 2, "text": 1, "words": 0.25})
    memory.index(photos / "cat.png", photos / "coffee.png")

    def asked(**given: object) -> list[float]:
        return [answer.weight for answer in memory.search("a cat", **given).channels.values()]

    assert asked() == [2, 1, 0.25]
    assert memory.prefer(words=3) == {"words": 3.0}
    assert memory.prefer(visual=0.5) == memory.prefer() == {"visual": 0.5, "words": 3.0}
    assert asked() == [0.5, 1, 3]
    assert asked(weights={"words": 0}) == [0.5, 1, 0]
    assert new_memory(owner="another").prefer() == {}
    memory.prefer_defaults()
    assert asked() == [2, 1, 0.25]
    for wrong in ({"colour": 1.0}, {"words": -1.0}, {"words": float("nan")}):
        with pytest.raises(UsageError):
            memory.prefer(**wrong)
        with pytest.raises(UsageError):
            memory.search("a cat", weights=wrong)
    with pytest.raises(UsageError, match="every channel"):
        memory.prefer(visual=0, text=0, words=0)


def test_a_collection_without_words_answers_by_sight_alone(
    memory: Memory, package_photographs: dict[str, Path]
) -> None:
    memory.index(*package_photographs.values())
    hits = memory.search("a photograph of something", limit=8)
    assert [hit.cosine for hit in hits] == sorted((hit.cosine for hit in hits if hit.cosine is not None), reverse=True)
    assert hits.fusion is None
    assert hits.channels["words"].left_out == "no word of the query occurs in the collection"
    assert hits.channels["text"].left_out == "no item has a sentence vector"


def test_a_file_name_is_words(memory: Memory, photos: Path) -> None:
    (photos / "cat.png").rename(photos / "TripToHelsinki-07.png")
    memory.index(photos)
    assert Path(memory.search("Helsinki")[0].uri).name == "TripToHelsinki-07.png"
    (photos / "TripToHelsinki-07.png").rename(photos / "Turku.png")
    memory.index(photos)
    assert Path(memory.search("Turku")[0].uri).name == "Turku.png"
    assert memory.search("Helsinki", weights={"visual": 0}) == []


def test_words_stay_when_the_picture_changes_and_go_with_it(memory: Memory, photos: Path) -> None:
    memory.index(photos)
    cat = memory.get(str(photos / "cat.png")).item_id
    memory.describe(cat, caption="a heraldic animal", transcript="meow", language="simple")
    (photos / "cat.png").write_bytes((photos / "coffee.png").read_bytes() + b" ")
    assert memory.index(photos).counts["indexed"] == 1
    assert (memory.get(cat).caption, memory.get(cat).transcript) == ("a heraldic animal", "meow")
    by_meaning = memory.search("heraldry", weights={"visual": 0, "words": 0})
    assert [hit.item_id for hit in by_meaning] == [cat]
    assert memory.search("heraldic")[0].item_id == cat
    memory.forget([cat])
    assert all(hit.item_id != cat for hit in memory.search("heraldic", limit=50))


def test_words_in_german(memory: Memory, photos: Path) -> None:
    memory.index(photos)
    memory.describe(str(photos / "flower.jpg"), caption="Zwei Blüten in den Gärten", language="german")
    assert Path(memory.search("Garten")[0].uri).name == "flower.jpg"
    assert "words: gart" in memory.search("Garten")[0].reasons
    assert "words" not in str(memory.search("Garten", language="english")[0].reasons)
    with pytest.raises(UsageError, match="no text search language"):
        memory.search("Garten", language="klingon")


def test_words_are_kept_where_the_sentence_encoder_is_away(new_memory: Callable[..., Memory], photos: Path) -> None:
    memory = new_memory(models={"text": "all-minilm-l6-v2", "offline": True})
    memory.index(photos)
    report = memory.describe(str(photos / "cat.png"), caption="Minka")
    assert report.waiting
    assert report.embedded == 0
    assert Path(memory.search("Minka")[0].uri).name == "cat.png"
    again = new_memory()
    assert again.catch_up().embedded == 1
    assert again.catch_up().embedded == 0
    assert memory.search("Minka").channels["text"].candidates == 1


def test_what_is_no_item_cannot_be_described(told: Memory) -> None:
    with pytest.raises(ItemNotFound):
        told.describe("/no/such.jpg", caption="x")
    with pytest.raises(UsageError, match="nothing was said"):
        told.describe(told.search("cat")[0].item_id)


@examples(max_examples=60)
@given(st.text(max_size=80))
def test_anything_can_be_asked(told: Memory, query: str) -> None:
    try:
        hits = told.search(query, limit=8)
    except UsageError:
        assert not query.strip() or set(query) & set('-"“”„‟«»')  # nothing, or conditions that cannot be
        return
    assert len({hit.item_id for hit in hits}) == len(hits)
    whole = sum(answer.effective for answer in hits.channels.values())
    assert whole == pytest.approx(1.0) or (whole == 0.0 and not hits)


def test_a_query_of_any_length(told: Memory, subject) -> None:
    assert "cat" in subject(told.search("tabby " + "so very " * 100_000, limit=8))


@pytest.mark.parametrize("fusion", ["rrf", "minmax"])
def test_what_two_channels_have_the_other_way_round_goes_as_sight_has_it(fusion: FusionName) -> None:
    for first, second in (UUID(int=1), UUID(int=2)), (UUID(int=2), UUID(int=1)):
        lists = {"text": [(second, 0.9), (first, 0.1)], "visual": [(first, 0.3), (second, 0.2)]}
        assert _ranking(lists, {"visual": 1.0, "text": 1.0}, fusion) == [first, second]
