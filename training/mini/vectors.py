"""Stage `vectors`: MiniLM's vector of every token, caption and phrase, written once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from . import phrases, sources, words
from .sources import Split


def run(data: Path, work: Path, parts: Split, threads: int = 2) -> None:
    """Write captions.npz (texts, vectors, classes), tokens.npy and phrases.npz."""
    torch.set_num_threads(threads)
    work.mkdir(parents=True, exist_ok=True)
    sentence = words.MiniLM()
    tokenizer = Tokenizer.from_file(str(words.folder() / "tokenizer.json"))
    if not (work / "tokens.npy").exists():
        np.save(work / "tokens.npy", sentence.tokens(tokenizer.get_vocab_size()))
    told = sources.captions(data, parts)
    exact = {caption for picture in parts.train for caption in picture.captions}
    texts = sorted(set(told) | exact)
    classes = sentence([f"a photo of a {name}" for name in sources.class_names(data)])
    np.savez(work / "captions.npz", texts=np.array(texts), vectors=sentence(texts), classes=classes)
    print(f"vectors: {len(texts)} captions", flush=True)
    forbidden = parts.forbidden()
    made = [text for text in phrases.make(told, tokenizer) if sources.normal(text) not in forbidden]
    np.savez(work / "phrases.npz", texts=np.array(made), vectors=sentence(made))
    print(f"vectors: {len(made)} phrases", flush=True)
