"""A query that comes again costs no forward pass, and never gets another query's vector."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import toys
from made_encoders import turned

from seemory.metrics import counted
from seemory.models.encoder import BUNDLED, Encoder
from seemory.models.folder import read_folder
from seemory.models.loading import load_encoder
from seemory.models.query_cache import QueryCache
from seemory.models.session import Array, OnnxSession, Session

WORDS = ["dog", "cat", "a", "on the beach", "red house", "the red dog", "house on the beach", "the cat", "beach"]


class Counted(OnnxSession):
    """ONNX Runtime, with its passes counted."""

    def __init__(self, path: Path, threads: int | None, passes: list[int]) -> None:
        super().__init__(path, threads)
        self._passes = passes

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        self._passes.append(len(next(iter(feeds.values()))))
        return super().run(feeds)


def counting(passes: list[int]) -> Callable[[Path, int | None], Session]:
    return lambda path, threads: Counted(path, threads, passes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return toys.folder(tmp_path / "toy")


def test_a_query_that_comes_again_costs_no_pass(folder: Path) -> None:
    passes: list[int] = []
    encoder = Encoder(read_folder(folder), open_session=counting(passes))
    before = counted()
    first, again = encoder.embed_query("a dog"), encoder.embed_query("a dog")
    assert passes == [1]
    assert np.array_equal(first, again)
    assert np.array_equal(first, encoder.embed_texts(["a dog"])[0])
    encoder.embed_query("  a   dog ")  # the same tokens
    encoder.embed_query("a cat")
    assert passes == [1, 1, 1]  # a dog, embed_texts, a cat
    expected = {"text_passes": 3, "texts_embedded": 3, "queries_embedded": 4, "queries_remembered": 2}
    assert {name: counted()[name] - before[name] for name in expected} == expected


def test_what_is_remembered_cannot_be_changed_by_who_got_it(folder: Path) -> None:
    encoder = Encoder(read_folder(folder))
    with pytest.raises(ValueError, match="read-only"):
        encoder.embed_query("dog")[0] = 7.0
    assert np.array_equal(encoder.embed_query("dog"), encoder.embed_texts(["dog"])[0])


def test_the_least_recently_asked_for_leaves_first(folder: Path) -> None:
    passes: list[int] = []
    encoder = Encoder(read_folder(folder), open_session=counting(passes), queries=2)
    for word in ("dog", "cat", "dog", "house", "dog"):  # house puts out cat, not dog
        encoder.embed_query(word)
    assert len(passes) == 3
    encoder.embed_query("cat")
    assert len(passes) == 4


def test_it_stays_within_its_bound_and_can_be_switched_off(folder: Path) -> None:
    cache = QueryCache(3)
    for number in range(50):
        cache.put((number,), np.full(4, number, np.float32))
    assert len(cache) == 3
    assert [cache.get((number,)) is not None for number in (46, 47, 48, 49)] == [False, True, True, True]
    passes: list[int] = []
    encoder = Encoder(read_folder(folder), open_session=counting(passes), queries=0)
    assert np.array_equal(encoder.embed_query("dog"), encoder.embed_query("dog"))
    assert len(passes) == 2


def test_long_texts_are_remembered_by_what_the_tower_sees_of_them(folder: Path) -> None:
    passes: list[int] = []
    encoder = Encoder(read_folder(folder), open_session=counting(passes))  # a context of 16 tokens
    first = encoder.embed_query("dog " * 100_000 + "cat")
    assert np.array_equal(first, encoder.embed_query("dog " * 100_000 + "house"))
    assert len(passes) == 1


def test_two_encoders_share_nothing(tmp_path: Path) -> None:
    """Equal width and equal words; the vectors are turned."""
    one, other = load_encoder(BUNDLED, home=tmp_path), load_encoder(str(turned(tmp_path / "turned")), home=tmp_path)
    assert one.fingerprint != other.fingerprint
    assert np.allclose(one.embed_query("a cat")[::-1], other.embed_query("a cat"), atol=1e-6)
    assert np.allclose(one.embed_query("a cat")[::-1], other.embed_query("a cat"), atol=1e-6)


def test_many_threads_get_their_own_query_s_vector_from_a_small_memory(folder: Path) -> None:
    shared = Encoder(read_folder(folder), queries=4)
    expected = Encoder(read_folder(folder)).embed_texts(WORDS)
    wrong: list[str] = []

    def work(index: int) -> None:
        for turn in range(60):
            n = (index * 5 + turn * (1 + index % 3)) % len(WORDS)
            if not np.allclose(shared.embed_query(WORDS[n]), expected[n], atol=1e-6):
                wrong.append(WORDS[n])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
