"""Sentences for the text tower beyond the captions: so that it knows the whole vocabulary and plain prose too.

Everything here is made from what any Python has (the language's own documentation) and from the training captions.
"""

from __future__ import annotations

import ast
import re
import sysconfig
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

FORMS = (
    "a photo of a {}",
    "{}",
    "the {} of the {}",
    "a {} near a {}",
    "{} and {}",
    "I want to buy a {}",
    "the {} said that the {} was {}",
    "two {} in the {}",
    "how do I {} a {}?",
    "there is no {} in this {}",
    "{} {} in {}",
    "a black and white picture of {}",
)


def whole_words(tokenizer: Tokenizer) -> list[str]:
    """The vocabulary's whole English-looking words, in its own order (about by frequency)."""
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return [word for word, _ in vocabulary if re.fullmatch(r"[a-z]{2,}", word)]


def prose(limit: int) -> list[str]:
    """Sentences out of the docstrings of Python's standard library."""
    found: dict[str, None] = {}
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        if "site-packages" in path.parts or "test" in path.parts or "tests" in path.parts:
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                for sentence in re.split(r"(?<=[.!?])\s+|\n\n", ast.get_docstring(node) or ""):
                    text = " ".join(sentence.split())
                    if 20 <= len(text) <= 200 and re.fullmatch(r"[A-Za-z][A-Za-z ,.'()-]+", text):
                        found[text] = None
    texts = list(found)
    return [texts[i] for i in np.random.default_rng(0).permutation(len(texts))[:limit]]


def swapped(captions: list[str], words: list[str], count: int, rng: np.random.Generator) -> list[str]:
    """Captions with one to three of their longer words replaced by any word."""
    found = []
    for _ in range(count):
        parts = captions[rng.integers(len(captions))].split()
        long = [i for i, word in enumerate(parts) if len(word) > 3]
        for i in rng.permutation(long)[: rng.integers(1, 4)]:
            parts[i] = pick(words, rng)
        found.append(" ".join(parts))
    return found


def pick(words: list[str], rng: np.random.Generator) -> str:
    """A word, the earlier in the list the likelier."""
    return words[int(len(words) * rng.random() ** 1.7)]


def make(captions: list[str], tokenizer: Tokenizer, seed: int = 0) -> list[str]:
    """About fifty thousand texts: prose, swapped captions, filled forms, and bare lists of words."""
    rng = np.random.default_rng(seed)
    words = whole_words(tokenizer)
    forms = []
    for _ in range(9000):
        form = FORMS[rng.integers(len(FORMS))]
        forms.append(re.sub(r"\{\}", lambda _: pick(words, rng), form))
    lists = [" ".join(pick(words, rng) for _ in range(rng.integers(2, 10))) for _ in range(12000)]
    return prose(12000) + swapped(captions, words, 18000, rng) + forms + lists
