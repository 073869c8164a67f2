"""Stage `text`: the text tower learns MiniLM's sentence vectors, seen through the pictures' axes."""

from __future__ import annotations

import pickle
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from tokenizers import Tokenizer

from . import aims, words
from .sources import normal
from .texttower import TextTower

BATCH, TOKENS = 192, 64
RATE = 1.5e-3
LONGEST = 48


def first(tokens: np.ndarray, aim: aims.Aim) -> TextTower:
    """A tower whose static vectors are those of the tokens standing alone, the frequent ones weighing less."""
    net = TextTower(len(tokens), aims.DIM)
    with torch.no_grad():
        net.table.weight.copy_(torch.from_numpy((tokens - tokens.mean(0)) @ aim.axes))
        net.table.weight[0] = 0
        rank = torch.arange(len(tokens)).float()
        net.weight.weight[:, 0] = torch.log((rank + 300) / 6000).clamp(-4, 0.5)
        net.out.bias.fill_(1e-3)
    return net


def load(
    work: Path, name: str, aim: aims.Aim, tokenizer: Tokenizer, forbidden: set[str]
) -> tuple[list[list[int]], np.ndarray]:
    """Token ids and target vectors of the texts in one file, without those whose normal form is forbidden."""
    with np.load(work / f"{name}.npz") as file:
        texts = file["texts"].tolist()
        coded = [e.ids[:LONGEST] for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
        wanted = aim.sentence(file["vectors"]).astype(np.float32)
    kept = [i for i, ids in enumerate(coded) if ids and normal(texts[i]) not in forbidden]
    return [coded[i] for i in kept], wanted[kept]


def pad(coded: list[list[int]]) -> torch.Tensor:
    """(b, t) ids, 0 after each text's end."""
    ids = torch.zeros(len(coded), max(map(len, coded)), dtype=torch.long)
    for row, text in enumerate(coded):
        ids[row, : len(text)] = torch.tensor(text)
    return ids


def loss(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """How far the vectors are from those wanted, and their mutual cosines from the wanted ones."""
    found = F.normalize(found.float(), dim=-1)
    direct = 1 - (found * wanted).sum(1).mean()
    mutual = (found @ found.T - wanted @ wanted.T).square().mean()
    return direct + 5 * mutual


def run(work: Path, minutes: float, threads: int, forbidden: set[str]) -> None:
    """Train for `minutes` on all texts but the forbidden, and write text.pt."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    with (work / "aim.pkl").open("rb") as file:
        aim = pickle.load(file)
    tokens = np.load(work / "tokens.npy")
    tokenizer = Tokenizer.from_file(str(words.folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    parts = [load(work, name, aim, tokenizer, forbidden) for name in ("captions", "phrases")]
    coded = parts[0][0] + parts[1][0]
    targets = torch.from_numpy(np.concatenate([part[1] for part in parts]))
    alone = torch.from_numpy(aim.sentence(tokens).astype(np.float32))
    lengths = np.array([len(ids) for ids in coded])
    print(f"text: {len(coded)} texts", flush=True)
    net = first(tokens, aim)
    table = [net.table.weight, net.weight.weight]
    rest = [p for name, p in net.named_parameters() if not name.startswith(("table", "weight."))]
    optimiser = torch.optim.AdamW(
        [{"params": table, "weight_decay": 0.0}, {"params": rest, "weight_decay": 0.01}],
        lr=RATE,
        betas=(0.9, 0.98),
        fused=True,
    )
    began = shown_at = time.time()
    step, total, shown = 0, 0.0, 0
    queue: list[np.ndarray] = []
    while (part := (time.time() - began) / 60 / minutes) < 1:
        if not queue:
            order = rng.permutation(len(coded))
            order = np.concatenate([chunk[np.argsort(lengths[chunk])] for chunk in np.array_split(order, 12)])
            queue = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
            queue = [queue[i] for i in rng.permutation(len(queue))]
        chosen = queue.pop()
        rate = float(RATE * min(1, (step + 1) / 100) * (0.5 + 0.5 * np.cos(np.pi * part)) + 1e-6)
        for group in optimiser.param_groups:
            group["lr"] = rate
        single = torch.from_numpy(rng.integers(1, len(tokens), TOKENS))
        with torch.autocast("cpu", torch.bfloat16):
            found = net(pad([coded[i] for i in chosen]))
            bare = net(single[:, None])
        value = loss(found, targets[chosen]) + 0.3 * loss(bare, alone[single])
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        step += 1
        total += float(value.detach())
        if time.time() - shown_at > 20:
            print(
                f"{part:.3f} step {step} of {len(coded) // BATCH} an epoch, loss {total / (step - shown):.4f}",
                flush=True,
            )
            total, shown, shown_at = 0.0, step, time.time()
    torch.save(net.state_dict(), work / "text.pt")
