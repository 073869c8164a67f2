"""Token rules on toy vocabularies; on the real pipelines they are in test_parity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import toys
from tokenizers import Tokenizer

from seemory.errors import ModelCorrupt
from seemory.models.catalog import TextRule
from seemory.models.tokens import Tokens, canonical

RULE = TextRule("bert", context_length=6, padding="longest", pooling="mean", pad_id=0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    toys.tokenizer(tmp_path / "tokenizer.json")
    return tmp_path / "tokenizer.json"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A Photo, of a CAT!", "a photo of a cat"),
        ("  it's   late \n\t now ", "its late now"),
        ("golden_gate_bridge", "golden gate bridge"),
        ("...", ""),
        ("", ""),
        ("Straße № 5 — 犬", "straße № 5 — 犬"),
    ],
)
def test_canonical_text(text: str, expected: str) -> None:
    assert canonical(text) == expected


def test_special_tokens_are_kept_when_a_text_is_cut(path: Path) -> None:
    (ids,) = Tokens(path, RULE).encode(["dog " * 50])
    assert ids == [2, 5, 5, 5, 5, 3]


def test_padding_is_to_the_longest_or_to_the_context(path: Path) -> None:
    rows = [[2, 5, 3], [2, 3]]
    ids, mask = Tokens(path, RULE).pad(rows)
    assert ids.tolist() == [[2, 5, 3], [2, 3, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert Tokens(path, replace(RULE, padding="context")).pad(rows)[0].shape == (2, 6)
    assert Tokens(path, RULE, length=4).pad(rows)[0].shape == (2, 4)  # an export of fixed length
    assert Tokens(path, RULE, length=4).encode(["dog " * 9]) == [[2, 5, 5, 3]]


def test_padding_and_cut_saved_in_the_file_are_not_used(path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_padding(length=128, pad_id=1)
    tokenizer.enable_truncation(3)
    tokenizer.save(str(path))
    tokens = Tokens(path, RULE)
    assert tokens.encode(["a dog on the"]) == [[2, 4, 5, 7, 8, 3]]
    assert Tokens(path, replace(RULE, pad_id=None)).pad_id == 1  # only its padding token, where nothing else names one


def test_the_end_token_is_put_back_where_the_file_does_not(tmp_path: Path) -> None:
    toys.tokenizer(tmp_path / "bare.json", special=False)
    tokens = Tokens(tmp_path / "bare.json", replace(RULE, end_token="[SEP]"))
    assert tokens.encode(["dog", "dog " * 9, ""]) == [[5, 3], [5, 5, 5, 5, 5, 3], [3]]
    with pytest.raises(ModelCorrupt, match="nowhere"):
        Tokens(tmp_path / "bare.json", replace(RULE, end_token="<nowhere>"))


def test_half_a_character_does_no_harm(path: Path) -> None:
    assert Tokens(path, RULE).encode(["dog \ud83d cat"]) == [[2, 5, 1, 6, 3]]


def test_lower_case(path: Path) -> None:
    assert Tokens(path, RULE).encode(["DOG"]) == [[2, 1, 3]]
    assert Tokens(path, replace(RULE, lower_case=True)).encode(["DOG"]) == [[2, 5, 3]]
