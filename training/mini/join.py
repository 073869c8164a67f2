"""Stage `join`: both towers brought together on what is known to belong together, the picture tower's layers frozen.

Three kinds of pairs: captioned pictures, class names with a photograph each, and captions with the vectors that CLIP
gave their pictures, which are not here themselves. First the picture's matrix anew by ridge regression to the texts as
the text tower gives them; then that matrix, the pictures' mean and the text tower's last layer by InfoNCE.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from tokenizers import Tokenizer

from seemory.alignment.losses import Contrast

from . import aims, export, near, sources, text, words
from .net import LEAST, NAMED, PictureTower
from .sources import Picture, Split
from .targets import crop_box
from .texttower import TextTower

SIDE = 160
LOOKS = {"flickr8k": 12, "coco": 12, "captioned": 12, "imagenet": 4}
TEMPERATURE = 1.0
"""Of the beliefs in classes: the softer ones of the aim hide what is named in a short query."""
RIDGE, CLASS_WEIGHT = 10, 0.2
STEPS, RATE, WARM, BATCH = 150, 3e-4, 20, 128
SHARE = {"classes": 0.5, "clip": 2.0, "near": 0.1}
"""Weights of the losses beside the captioned pictures' own; `near` keeps the text tower's last layer where it was."""


@dataclass(frozen=True)
class Told:
    """Things with several texts each: their vectors, and the vectors of the texts of each."""

    seen: list[torch.Tensor]  # of each kind (n, looks, width)
    texts: torch.Tensor  # (m, dim)
    of: list[np.ndarray]  # rows of texts, for each of n

    def draw(self, count: int, rng: np.random.Generator) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Different things, at most `count`, each in one look, and one text of each."""
        chosen = rng.permutation(len(self.of))[:count]
        look = rng.integers(0, self.seen[0].shape[1], len(chosen))
        return [kind[chosen, look] for kind in self.seen], self.texts[[rng.choice(self.of[i]) for i in chosen]]


def looks(picture: Picture, count: int, seed: int) -> np.ndarray:
    """(count, 3, SIDE, SIDE): the centre and the whole, both mirrored, then random parts."""
    rng = np.random.default_rng([9, seed])
    whole = picture.open()
    found = []
    for number in range(count):
        box = crop_box((1, 0)[number % 2] if number < 4 else 2, whole.width, whole.height, rng)
        turned = number in (2, 3) if number < 4 else rng.random() < 0.5
        small = np.asarray(whole.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box), np.float32)
        found.append((small[:, ::-1] if turned else small).transpose(2, 0, 1))
    return np.array(found) / 127.5 - 1


@torch.no_grad()
def pooled(net: PictureTower, pictures: list[Picture], path: Path) -> np.ndarray:
    """(n, looks, 1280) pooled features, from `path` where they are kept already."""
    if not path.exists():
        found = []
        for number, picture in enumerate(pictures):
            found.append(net.pooled(torch.from_numpy(looks(picture, LOOKS[picture.source], number))).numpy())
            if number % 200 == 199:
                print(f"join: {number + 1} of {len(pictures)} pictures seen", flush=True)
        np.save(path, np.array(found, np.float16))
    return np.load(path).astype(np.float32)


@torch.no_grad()
def vectors(net: TextTower, tokenizer: Tokenizer, texts: list[str]) -> torch.Tensor:
    """(n, dim), rows of norm 1."""
    found = []
    for first in range(0, len(texts), 256):
        coded = [e.ids for e in tokenizer.encode_batch(texts[first : first + 256], add_special_tokens=False)]
        found.append(F.normalize(net(text.pad(coded)), dim=1))
    return torch.cat(found)


def clip_pairs(data: Path, parts: Split) -> tuple[np.ndarray, list[list[str]]]:
    """CLIP's centred vectors of Flickr8k pictures that are neither dev nor reserved, and each picture's captions."""
    place = data / "clip_vit_b32_vectors" / "flickr1000_images"
    told = json.loads((place / "captions.json").read_text(encoding="utf-8"))
    captions, named = defaultdict(list), defaultdict(set)
    for line in (data / "text" / "flickr8k_captions.txt").read_text(encoding="utf-8").splitlines():
        key, _, caption = line.partition("\t")
        captions[key.split("#")[0]].append(caption)
        named[sources.normal(caption)].add(key.split("#")[0])
    hidden = {picture.name for picture in parts.dev + parts.reserved}
    found = [(row, *named[sources.normal(caption)]) for row, caption in enumerate(told)]
    kept = [(one[0], one[1]) for one in found if len(one) == 2 and one[1] not in hidden]
    rows = aims.unit(np.load(place / "clip_embeddings.npy").astype(np.float32)[[row for row, _ in kept]])
    return aims.unit(rows - rows.mean(0)), [captions[name] for _, name in kept]


def group(captions: list[list[str]]) -> tuple[list[str], list[np.ndarray]]:
    """All captions in one list, and where those of each are."""
    ends = np.cumsum([len(some) for some in captions])
    return [caption for some in captions for caption in some], [
        np.arange(end - len(some), end) for end, some in zip(ends, captions, strict=True)
    ]


def run(data: Path, work: Path, parts: Split, threads: int) -> None:
    """Write joined.pt from picture.pt and text.pt."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    sentence = export.text_tower(work)
    net = export.picture_tower(work, sentence.out.out_features)
    tokenizer = Tokenizer.from_file(str(words.folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()

    def read(texts: list[str]) -> torch.Tensor:
        return vectors(sentence, tokenizer, texts)

    captioned = [picture for picture in parts.train if picture.source in ("flickr8k", "coco", "captioned")]
    classes = [picture for picture in parts.train if picture.source == "imagenet"]
    seen = [pooled(net, some, work / f"seen-{name}.npy") for name, some in (("told", captioned), ("named", classes))]
    banned = set(near.banned(data, work, parts, captioned + classes))
    kept = np.array([picture.name not in banned for picture in captioned])
    also = np.array([picture.name not in banned for picture in classes])
    print(f"join: {kept.sum()} captioned pictures, {also.sum()} classes", flush=True)

    names = read([picture.captions[0] for picture in classes])
    called = names - 0.8 * names.mean(0)
    told, of = group([list(picture.captions) for picture, keep in zip(captioned, kept, strict=True) if keep])
    told_vectors = read(told)
    mean = torch.stack([told_vectors[rows].mean(0) for rows in of])

    def read_off(pooled_rows: np.ndarray) -> list[torch.Tensor]:
        rows = torch.from_numpy(pooled_rows)
        beliefs = F.softmax(net.logits(rows)[..., 1:] / TEMPERATURE, -1)
        return [F.normalize(torch.sqrt(rows + LEAST), dim=-1), F.normalize(beliefs @ called, dim=-1)]

    with torch.no_grad():
        pictures = Told(read_off(seen[0][kept]), told_vectors, of)
        things = Told(read_off(seen[1][also]), names[also], [np.array([row]) for row in range(also.sum())])
    inputs = [part.seen[0].reshape(-1, part.seen[0].shape[-1]).numpy() for part in (pictures, things)]
    wanted = [
        vector.repeat_interleave(part.seen[0].shape[1], 0).numpy()
        for vector, part in ((mean, pictures), (things.texts, things))
    ]
    weight = np.concatenate([np.full(len(inputs[0]), 1.0), np.full(len(inputs[1]), CLASS_WEIGHT)]).astype(np.float32)
    middle, matrix = aims.regress(np.concatenate(inputs), np.concatenate(wanted), weight, RIDGE)
    clip, clip_told = clip_pairs(data, parts)
    clip_texts, clip_of = group(clip_told)
    others = Told([torch.from_numpy(clip)[:, None]], read(clip_texts), clip_of)
    length = np.linalg.norm((inputs[0] - middle) @ matrix, axis=1).mean()
    matrix /= length  # what is told of a captioned picture is 1 long on the average
    head = Joint(torch.from_numpy(matrix), -torch.from_numpy(middle @ matrix), others)
    with torch.no_grad():
        head.offset.copy_(head.sum(*(kind[:, 0] for kind in pictures.seen)).mean(0))
    fit(head, pictures, things, others, rng)
    save(work / "joined.pt", net, sentence, head, called)


class Joint(torch.nn.Module):
    """What is learned: the pictures' matrix and mean, the texts' last matrix, and CLIP's way into the same space."""

    def __init__(self, matrix: torch.Tensor, bias: torch.Tensor, others: Told) -> None:
        super().__init__()
        self.matrix, self.bias = torch.nn.Parameter(matrix), torch.nn.Parameter(bias)
        self.offset = torch.nn.Parameter(torch.zeros(len(bias)))
        self.turn = torch.nn.Parameter(torch.eye(len(bias)))
        x = others.seen[0][:, 0]
        y = torch.stack([others.texts[rows].mean(0) for rows in others.of])
        left = x.T @ x + 5 * torch.eye(x.shape[1])
        self.across = torch.nn.Parameter(torch.linalg.solve(left, x.T @ (y - y.mean(0))))

    def sum(self, root: torch.Tensor, named: torch.Tensor) -> torch.Tensor:
        """(b, dim) before the pictures' mean is taken away."""
        return F.normalize(root @ self.matrix + self.bias + NAMED * named, dim=1)

    def picture(self, root: torch.Tensor, named: torch.Tensor) -> torch.Tensor:
        """(b, dim), rows of norm 1."""
        return F.normalize(self.sum(root, named) - self.offset, dim=1)

    def text(self, texts: torch.Tensor) -> torch.Tensor:
        """(b, dim), rows of norm 1."""
        return F.normalize(texts @ self.turn, dim=1)


def fit(head: Joint, pictures: Told, things: Told, others: Told, rng: np.random.Generator) -> None:
    """`STEPS` steps of InfoNCE over the three kinds of pairs."""
    contrast = Contrast("infonce", temperature=0.07, learned=False)
    optimiser = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=0)
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = RATE * min(1, (step + 1) / WARM) * (0.5 + 0.5 * np.cos(np.pi * step / STEPS))
        seen, told = pictures.draw(BATCH, rng)
        value = contrast(head.picture(*seen), head.text(told))
        seen, told = things.draw(BATCH, rng)
        value = value + SHARE["classes"] * contrast(head.picture(*seen), head.text(told))
        [seen_by_clip], told = others.draw(BATCH, rng)
        value = value + SHARE["clip"] * contrast(F.normalize(seen_by_clip @ head.across, dim=1), head.text(told))
        value = value + SHARE["near"] * (head.turn - torch.eye(len(head.turn))).square().sum()
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        if step % 50 == 49:
            print(f"join: step {step + 1} of {STEPS}, loss {float(value.detach()):.3f}", flush=True)


@torch.no_grad()
def save(path: Path, net: PictureTower, sentence: TextTower, head: Joint, called: torch.Tensor) -> None:
    """Both towers with what was learned folded into their own layers."""
    dim = len(head.offset)
    made = PictureTower(dim, dim)
    made.load_state_dict(
        {name: value for name, value in net.state_dict().items() if not name.startswith(("axes", "named", "told"))}
        | {
            "named.weight": called.T.contiguous(),
            "told.weight": head.matrix.T.contiguous(),
            "told.bias": head.bias,
            "offset": head.offset,
        }
    )
    state = sentence.state_dict()
    state["out.weight"] = head.turn.T @ state["out.weight"]
    state["out.bias"] = state["out.bias"] @ head.turn
    saved = {"picture": made.state_dict(), "text": state, "temperature": TEMPERATURE}
    torch.save(saved, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)
