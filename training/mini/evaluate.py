"""Stage `evaluate`: every figure of the model card, from the exported files, into figures.json."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from . import demo, export, measure, start, teacher, words
from .aims import Aim
from .sources import Picture, Split
from .towers import Towers

EXAMPLES = 6


def captions_of(pictures: list[Picture]) -> tuple[list[str], np.ndarray]:
    """All captions in order, and the number of the picture each belongs to."""
    owner = [i for i, picture in enumerate(pictures) for _ in picture.captions]
    return [caption for picture in pictures for caption in picture.captions], np.array(owner)


def recall_of(towers: Towers, pictures: list[Picture]) -> dict[str, dict[str, float]]:
    """Recall both ways of the exported towers."""
    captions, owner = captions_of(pictures)
    return measure.recall(towers.pictures([picture.open() for picture in pictures]), towers.texts(captions), owner)


def recall_of_teacher(data: Path, aim: Aim, pictures: list[Picture]) -> dict[str, dict[str, float]]:
    """Recall of the vectors the student is taught: the two teachers' own, on the whole picture squashed."""
    look = teacher.Teacher(data)
    found = []
    for picture in pictures:
        square = picture.open().resize((teacher.SIDE, teacher.SIDE), Image.Resampling.BICUBIC)
        found.append(look(square))
    vectors = aim.picture(np.array([f["logits"] for f in found]), np.array([f["pooled"] for f in found]))
    captions, owner = captions_of(pictures)
    return measure.recall(vectors, aim.sentence(words.MiniLM()(captions)), owner)


def milliseconds(call: Callable[[], object], runs: int = 200) -> dict[str, float]:
    """Median and 5th percentile of `runs` calls, after ten to warm up."""
    for _ in range(10):
        call()
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - began))
    return {"median": float(np.median(taken)), "best_twentieth": float(np.percentile(taken, 5))}


def worst(towers: Towers, pictures: list[Picture]) -> list[dict[str, object]]:
    """The captions whose own picture comes latest, one a picture."""
    captions, owner = captions_of(pictures)
    cosine = towers.texts(captions) @ towers.pictures([picture.open() for picture in pictures]).T
    ahead = (cosine > cosine[np.arange(len(owner)), owner][:, None]).sum(1)
    found: dict[int, dict[str, object]] = {}
    for i in np.argsort(-ahead):
        found.setdefault(int(owner[i]), {"caption": captions[i].strip(" ."), "rank": int(ahead[i]) + 1})
    return list(found.values())[:EXAMPLES]


def shown(towers: Towers) -> list[dict[str, object]]:
    """The demo queries with the photograph that comes first."""
    photographs = demo.photographs()
    vectors = towers.pictures([picture for _, picture in photographs])
    found = []
    for query, wanted in demo.QUERIES.items():
        order = np.argsort(-(vectors @ towers.texts([query])[0]))
        names = [photographs[i][0] for i in order]
        found.append(
            {"query": query, "wanted": wanted, "first": names[0], "rank": names.index(wanted) + 1, "of": len(names)}
        )
    return found


def run(data: Path, work: Path, parts: Split, folder: Path) -> None:
    """Measure everything and write figures.json into the work folder."""
    towers = Towers(folder)
    with tempfile.TemporaryDirectory() as place:
        export.run(work, Path(place), towers.wanted["size"][0], towers.wanted["resize_mode"], "float32")
        whole = Towers(Path(place))
        begun = start.begun(data, export.aim(work)).eval()
        export.PictureWriter("float32").write(begun, towers.wanted["size"][0], Path(place) / "visual" / "model.onnx")
        untrained = Towers(Path(place))
    pictures = [picture.open() for picture in parts.reserved]
    captions, _ = captions_of(parts.reserved)
    pixels = towers.pixels(pictures[0])[None]
    eight = np.repeat(pixels, 8, 0)
    ids = np.array([towers.tokenizer.encode(captions[0]).ids], np.int64)
    figures: dict[str, object] = {
        "bytes": {
            str(path.relative_to(folder)): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()
        },
        "side": towers.wanted["size"][0],
        "dim": int(towers.texts([""]).shape[1]),
        "resize_mode": towers.wanted["resize_mode"],
        "milliseconds": {
            "picture": milliseconds(lambda: towers.visual.run(None, {"image": pixels})),
            "picture_of_8": milliseconds(lambda: towers.visual.run(None, {"image": eight}), 60),
            "query": milliseconds(lambda: towers.textual.run(None, {"text": ids})),
            "query_words": len(captions[0].split()),
        },
        "reserved": {
            "pictures": len(parts.reserved),
            "captions": len(captions),
            "shipped": recall_of(towers, parts.reserved),
            "float32": recall_of(whole, parts.reserved),
            "teacher": recall_of_teacher(data, export.aim(work), parts.reserved),
        },
        "dev": {
            "pictures": len(parts.dev),
            "shipped": recall_of(towers, parts.dev),
            "begun": recall_of(untrained, parts.dev),
            "worst": worst(towers, parts.dev),
        },
        "fidelity": {
            "picture": float((towers.pictures(pictures) * whole.pictures(pictures)).sum(1).mean()),
            "text": float((towers.texts(captions) * whole.texts(captions)).sum(1).mean()),
        },
        "sts": {},
        "demo": shown(towers),
        "trained": export.trained(work),
    }
    sentence = words.MiniLM()
    for part in ("dev", "test"):
        first, second, gold = measure.sts(data / "sts" / f"sts-{part}.csv")
        figures["sts"][part] = {  # type: ignore[index]
            "shipped": measure.agreement(towers.texts(first), towers.texts(second), gold),
            "teacher": measure.agreement(sentence(first), sentence(second), gold),
        }
    (work / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))
