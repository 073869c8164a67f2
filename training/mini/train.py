"""Stage `train`: the picture tower learns, crop by crop, what the teacher saw there.

Feature maps of the teacher give a few hundred supervised places a crop, which is what makes a CPU's worth of
steps enough. The schedule runs on the clock: it ends when the given minutes are used, however fast the machine is.
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

from . import aims, colours, targets
from .net import Heads, PictureTower

BATCH = 128
RATE = 2e-3
SMALL_UNTIL, SMALL = 0.8, 96
"""The first part of the schedule runs at the smaller side."""
MAPS = ("image", "edges", "parts", "things")
FRESH, ENOUGH = 0.5, 3000
"""Share of the batches made of fresh pictures, once there are enough."""


@dataclass
class Crops:
    """All finished crops with their targets; `rows` are the ones to train on."""

    arrays: dict[str, np.ndarray]
    rows: np.ndarray
    aim: np.ndarray  # (n, DIM) float16
    bank: torch.Tensor  # (m, DIM) caption and class-name vectors
    spread: dict[str, torch.Tensor]  # standard deviation of each stored axis
    maker: aims.Aim
    fresh: Path
    mean: np.ndarray  # of the square root of the pooled feature
    deviation: np.ndarray


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
    if (work / "picture.pt").exists():  # a tower taken up again keeps the axes it was begun with
        with (work / "aim.pkl").open("rb") as file:
            aim = pickle.load(file)
    else:
        aim = aims.fit(vector_of, text["classes"], crops, arrays["logits"][told_rows], arrays["pooled"][told_rows])
        with (work / "aim.pkl").open("wb") as file:
            pickle.dump(aim, file)
    vectors = np.zeros((len(arrays["image"]), aims.DIM), np.float16)
    for start in range(0, len(rows), 4096):
        part = rows[start : start + 4096]
        vectors[part] = aim.picture(arrays["logits"][part], arrays["pooled"][part])
    names = sorted({caption for _, captions in crops for caption in captions})
    bank = aim.sentence(np.array([vector_of[name] for name in names]))
    axes = np.load(work / "axes.npz")
    spread = {}
    for name in targets.PCA:
        deviation = torch.from_numpy(axes[f"{name}_scale"]) * 127 / 4
        spread[name] = (deviation / deviation.square().mean().sqrt()).sqrt()
    sample = rows[:: max(1, len(rows) // 8000)]
    root = np.sqrt(np.maximum(arrays["pooled"][sample].astype(np.float32), 0))
    bank = torch.from_numpy(bank).float()
    return Crops(arrays, rows, vectors, bank, spread, aim, work / "fresh", root.mean(0), root.std(0) + 0.05)


def batches(crops: Crops, seed: int, out: queue.Queue) -> None:
    """Endless shuffled batches of crops or of fresh pictures, half of them mirrored, put in a queue by a thread."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # this thread alone: the compute threads may be pinned
    rng = np.random.default_rng(seed)
    fresh: dict[str, np.ndarray] = {}
    while True:
        order = rng.permutation(crops.rows)
        for start in range(0, len(order) - BATCH + 1, BATCH):
            if not fresh and (crops.fresh / "made.npy").exists():
                fresh = targets.open_arrays(crops.fresh)
            made = int(np.load(crops.fresh / "made.npy")[0]) if fresh else 0
            if made > ENOUGH and rng.random() < FRESH:
                found = take(fresh, np.sort(rng.integers(0, made, BATCH)))
                vectors = crops.maker.picture(found["logits"].numpy(), found["pooled"].numpy())
                found["aim"] = torch.from_numpy(vectors)
            else:
                part = np.sort(order[start : start + BATCH])
                found = take(crops.arrays, part)
                found["aim"] = torch.from_numpy(crops.aim[part])
            if rng.random() < 0.5:
                for name in MAPS:
                    found[name] = found[name].flip(3)
            out.put(found)


def take(arrays: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, torch.Tensor]:
    """The rows of every array, maps with their channels first."""
    found = {name: torch.from_numpy(arrays[name][rows]) for name in targets.SHAPES}
    return found | {name: found[name].permute(0, 3, 1, 2) for name in MAPS}


def losses(
    vector: torch.Tensor, read: dict[str, torch.Tensor], batch: dict[str, torch.Tensor], crops: Crops
) -> dict[str, torch.Tensor]:
    """Each part of the loss, a scalar."""
    aim = batch["aim"].float()
    vector = F.normalize(vector.float(), dim=-1)
    found = {"cosine": 1 - (vector * aim).sum(1).mean()}
    wanted = F.softmax(aim @ crops.bank.T / 0.05, 1)
    guessed = F.log_softmax(vector @ crops.bank.T / 0.05, 1)
    found["bank"] = F.kl_div(guessed, wanted, reduction="batchmean")
    wanted = F.softmax(batch["logits"].float() / 2, 1)
    found["logits"] = F.kl_div(F.log_softmax(read["logits"].float() / 2, 1), wanted, reduction="batchmean")
    root = batch["pooled"].float().clamp_min(0).sqrt()
    root = (root - torch.from_numpy(crops.mean)) / torch.from_numpy(crops.deviation)
    found["pooled"] = F.mse_loss(read["pooled"].float(), root)
    for name in ("edges", "parts", "things"):
        scale = crops.spread[name][:, None, None]
        wanted = batch[name].float() * (4 / 127) * scale
        found[name] = F.mse_loss(read[name], wanted) / scale.square().mean()
    return found


WEIGHTS = {"cosine": 3.0, "bank": 1.0, "logits": 1.0, "pooled": 1.5, "things": 5.0, "parts": 2.0, "edges": 0.5}


def run(work: Path, minutes: float, threads: int = 2) -> None:
    """Train for `minutes` in all; a second run takes up the last checkpoint."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    crops = load(work)
    print(f"train: {len(crops.rows)} crops, bank {len(crops.bank)}", flush=True)
    net = PictureTower(aims.DIM).to(memory_format=torch.channels_last)
    heads = Heads(**targets.PCA).to(memory_format=torch.channels_last)
    both = torch.nn.ModuleList([net, heads])
    decayed = [p for p in both.parameters() if p.ndim > 1]
    plain = [p for p in both.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98), fused=True)
    average = {name: value.clone() for name, value in net.state_dict().items()}
    elapsed, step = 0.0, 0
    path = work / "picture.pt"
    if path.exists():
        saved = torch.load(path, weights_only=True)
        net.load_state_dict(saved["net"])
        heads.load_state_dict(saved["heads"])
        optimiser.load_state_dict(saved["optimiser"])
        average, elapsed, step = saved["average"], saved["elapsed"], saved["step"]
        for group, fresh in zip(optimiser.param_groups, groups, strict=True):
            group["fused"], group["weight_decay"] = True, fresh["weight_decay"]
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
        side = SMALL if part < SMALL_UNTIL else targets.SIDE
        batch = line.get()
        rate = float(RATE * min(1, (step + 1) / 300) * (0.5 + 0.5 * np.cos(np.pi * part)) + 1e-6)
        for group in optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            image = batch["image"]
            if side != targets.SIDE:
                image = F.interpolate(image, (side, side), mode="bilinear", antialias=True)
            image = colours.recolour(image.to(torch.bfloat16).div_(127.5).sub_(1))
            image = image.contiguous(memory_format=torch.channels_last)
            near, middle, upper, pooled = net.maps(image)
            read = heads(near, middle, upper, pooled)
            vector = net.out(pooled)
        found = losses(vector, read, batch, crops)
        total = sum(WEIGHTS[name] * value for name, value in found.items())
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(both.parameters(), 5.0)
        optimiser.step()
        step += 1
        if step % 4 == 0:
            keep = min(0.996, (step + 1) / (step + 40))
            state = net.state_dict()
            floats = [name for name, value in state.items() if value.is_floating_point()]
            torch._foreach_lerp_([average[name] for name in floats], [state[name] for name in floats], 1 - keep)
        for name, value in found.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        if time.time() - shown_at > 30:
            speed = (step - shown) * BATCH / (time.time() - shown_at)
            text = " ".join(f"{name} {value / (step - shown):.4f}" for name, value in sums.items())
            print(f"{part:.3f} step {step} side {side} {speed:.0f}/s rate {rate:.2e} {text}", flush=True)
            sums, shown, shown_at = {}, step, time.time()
        if time.time() - saved_at > 150:
            save(path, net, heads, optimiser, average, elapsed, step)
            saved_at = time.time()
    save(path, net, heads, optimiser, average, elapsed, step)


def save(
    path: Path,
    net: PictureTower,
    heads: Heads,
    optimiser: torch.optim.Optimizer,
    average: dict,
    elapsed: float,
    step: int,
) -> None:
    """Write the checkpoint beside its place and move it in, so that a kill never leaves half a file."""
    state = {
        "net": net.state_dict(),
        "heads": heads.state_dict(),
        "optimiser": optimiser.state_dict(),
        "average": average,
        "elapsed": elapsed,
        "step": step,
    }
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)
