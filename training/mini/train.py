"""Stage `train`: the picture tower, begun as the teacher itself, learns to see in small crops what that saw in large.

All layers learn. The schedule runs on the clock: it ends when the given minutes are used, however fast the machine is.
"""

from __future__ import annotations

import os
import pickle
import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from . import aims, colours, start, targets
from .net import PictureTower

BATCH = 64
RATE = 3e-4
WARM = 30
FRESH, ENOUGH = 0.5, 3000
"""Share of the batches made of fresh pictures, once there are enough."""


@dataclass
class Crops:
    """All finished crops with their targets; `rows` are the ones to train on."""

    arrays: dict[str, np.ndarray]
    rows: np.ndarray
    aim: np.ndarray  # (n, DIM) float16
    bank: torch.Tensor  # (m, DIM) caption and class-name vectors
    maker: aims.Aim
    fresh: Path
    deviation: np.ndarray  # of the square root of the pooled feature


def load(work: Path) -> Crops:
    """Open the arrays, fit the aim on the captioned crops, and give every crop its vector."""
    arrays = targets.open_arrays(work)
    pictures, starts, numbers = targets.usable(work)
    rows = targets.rows_of(starts, numbers)
    told = [i for i in numbers if pictures[i].captions and pictures[i].source != "ucm"]
    told_rows = targets.rows_of(starts, told)
    crops = [(pictures[i].source, pictures[i].captions) for i in told for _ in range(starts[i], starts[i + 1])]
    text = np.load(work / "captions.npz")
    vector_of = dict(zip(text["texts"].tolist(), text["vectors"], strict=True))
    if (work / "aim.pkl").exists():  # both towers are tied to its axes, also when one is taken up again
        with (work / "aim.pkl").open("rb") as file:
            aim = pickle.load(file)
    else:
        aim = aims.fit(vector_of, text["classes"], crops, arrays["logits"][told_rows], arrays["pooled"][told_rows])
        with (work / "aim.pkl").open("wb") as file:
            pickle.dump(aim, file)
    vectors = np.zeros((len(arrays["image"]), aims.DIM), np.float16)
    for first in range(0, len(rows), 4096):
        part = rows[first : first + 4096]
        vectors[part] = aim.picture(arrays["logits"][part], arrays["pooled"][part])
    names = sorted({caption for _, captions in crops for caption in captions})
    bank = aim.sentence(np.array([vector_of[name] for name in names]))
    sample = rows[:: max(1, len(rows) // 8000)]
    root = np.sqrt(np.maximum(arrays["pooled"][sample].astype(np.float32), 0))
    bank = torch.from_numpy(bank).float()
    return Crops(arrays, rows, vectors, bank, aim, work / "fresh", root.std(0) + 0.05)


def batches(crops: Crops, seed: int, out: queue.Queue) -> None:
    """Endless shuffled batches of crops or of fresh pictures, half of them mirrored, put in a queue by a thread."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # this thread alone: the compute threads may be pinned
    rng = np.random.default_rng(seed)
    fresh: dict[str, np.ndarray] = {}
    while True:
        order = rng.permutation(crops.rows)
        for first in range(0, len(order) - BATCH + 1, BATCH):
            if not fresh and (crops.fresh / "made.npy").exists():
                fresh = targets.open_arrays(crops.fresh)
            made = int(np.load(crops.fresh / "made.npy")[0]) if fresh else 0
            if made > ENOUGH and rng.random() < FRESH:
                found = take(fresh, np.sort(rng.integers(0, made, BATCH)))
                vectors = crops.maker.picture(found["logits"].numpy(), found["pooled"].numpy())
                found["aim"] = torch.from_numpy(vectors)
            else:
                part = np.sort(order[first : first + BATCH])
                found = take(crops.arrays, part)
                found["aim"] = torch.from_numpy(crops.aim[part])
            if rng.random() < 0.5:
                found["image"] = found["image"].flip(3)
            out.put(found)


def take(arrays: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, torch.Tensor]:
    """The rows of every array, pictures with their channels first."""
    found = {name: torch.from_numpy(arrays[name][rows]) for name in targets.SHAPES}
    return found | {"image": found["image"].permute(0, 3, 1, 2)}


def losses(seen: dict[str, torch.Tensor], batch: dict[str, torch.Tensor], crops: Crops) -> dict[str, torch.Tensor]:
    """Each part of the loss, a scalar."""
    aim = batch["aim"].float()
    vector = F.normalize(seen["vector"], dim=-1)
    found = {"cosine": 1 - (vector * aim).sum(1).mean()}
    wanted = F.softmax(aim @ crops.bank.T / 0.05, 1)
    guessed = F.log_softmax(vector @ crops.bank.T / 0.05, 1)
    found["bank"] = F.kl_div(guessed, wanted, reduction="batchmean")
    wanted = F.softmax(batch["logits"].float() / 2, 1)
    found["logits"] = F.kl_div(F.log_softmax(seen["logits"] / 2, 1), wanted, reduction="batchmean")
    root = batch["pooled"].float().clamp_min(0).sqrt()
    found["pooled"] = ((seen["pooled"] - root) / torch.from_numpy(crops.deviation)).square().mean()
    return found


WEIGHTS = {"cosine": 3.0, "bank": 1.0, "logits": 1.0, "pooled": 1.5}


def run(data: Path, work: Path, minutes: float, threads: int = 2) -> None:
    """Train for `minutes` in all; a second run takes up the last checkpoint."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    crops = load(work)
    print(f"train: {len(crops.rows)} crops, bank {len(crops.bank)}", flush=True)
    net = start.begun(data, crops.maker).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    average = {name: value.clone() for name, value in net.state_dict().items()}
    elapsed, step = 0.0, 0
    path = work / "picture.pt"
    if path.exists():
        saved = torch.load(path, weights_only=True)
        net.load_state_dict(saved["net"])
        optimiser.load_state_dict(saved["optimiser"])
        average, elapsed, step = saved["average"], saved["elapsed"], saved["step"]
    line: queue.Queue = queue.Queue(4)
    threading.Thread(target=batches, args=(crops, step, line), daemon=True).start()
    saved_at = shown_at = last = time.time()
    sums: dict[str, float] = {}
    shown = step
    while True:
        now = time.time()
        elapsed += now - last
        last = now
        part = elapsed / 60 / minutes
        if part >= 1:
            break
        batch = line.get()
        rate = float(RATE * min(1, (step + 1) / WARM) * (0.5 + 0.5 * np.cos(np.pi * part)) + 1e-6)
        for group in optimiser.param_groups:
            group["lr"] = rate
        image = colours.recolour(batch["image"].float().div_(127.5).sub_(1))
        with torch.autocast("cpu", torch.bfloat16):
            pooled = net.pooled(image.contiguous(memory_format=torch.channels_last))
        found = losses(net.read(pooled.float()), batch, crops)
        total = sum(WEIGHTS[name] * value for name, value in found.items())
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        step += 1
        if step % 4 == 0:
            state, keep = net.state_dict(), min(0.98, step / (step + 40))
            torch._foreach_lerp_(list(average.values()), [state[name] for name in average], 1 - keep)
        for name, value in found.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        if time.time() - shown_at > 30:
            speed = (step - shown) * BATCH / (time.time() - shown_at)
            text = " ".join(f"{name} {value / (step - shown):.4f}" for name, value in sums.items())
            print(f"{part:.3f} step {step} {speed:.0f}/s rate {rate:.2e} {text}", flush=True)
            sums, shown, shown_at = {}, step, time.time()
        if time.time() - saved_at > 60:
            save(path, net, optimiser, average, elapsed, step)
            saved_at = time.time()
    save(path, net, optimiser, average, elapsed, step)


def save(
    path: Path, net: PictureTower, optimiser: torch.optim.Optimizer, average: dict, elapsed: float, step: int
) -> None:
    """Write the checkpoint beside its place and move it in, so that a kill never leaves half a file."""
    state = {
        "net": net.state_dict(),
        "optimiser": optimiser.state_dict(),
        "average": average,
        "elapsed": elapsed,
        "step": step,
    }
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)
