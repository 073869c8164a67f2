"""A trained pair of heads, joined with the networks they were trained on, as an encoder like any other."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seemory.alignment.aligner import Aligner, captions_of, embedded, load_aligner
from seemory.alignment.export_graphs import write_picture_tower, write_text_tower
from seemory.alignment.feature_set import FeatureSet
from seemory.alignment.nets import EncoderPictures, EncoderTexts
from seemory.alignment.training import HEAD
from seemory.errors import ModelError, ModelNotFound, UsageError
from seemory.evaluation.recall import both_ways
from seemory.models.catalog import USER_CATALOGUE, ModelSpec, find_spec
from seemory.models.encoder import Encoder
from seemory.models.folder import CALIBRATION_FILE, read_folder
from seemory.types import Vectors

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}")
_FEWEST = 20
_TEXTS = ("a dog on a beach", "two people", "a red house behind trees", "kitchen", "a cat looks out of the window")
LEAST = 0.999
"""The cosine to torch's vectors below which an export is refused."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    name: str
    folder: Path
    dim: int
    worst: float
    """The smallest cosine between the exported towers' vectors and torch's."""
    recall: dict[str, float]
    """On the split `test`, in percent, at the full width; empty where there are too few pictures."""
    bytes: int


def export(run: Path, name: str, *, home: Path, pictures: Encoder, texts: Encoder) -> Exported:
    """Write the encoder of that name into the data folder and its catalogue; nothing is written where it is refused.

    Args:
        run: the folder that `seemory align train` wrote.
        name: what it will be called in the catalogue.
        home: the data folder.
        pictures: the encoder whose picture tower the features are of.
        texts: the encoder whose text tower the captions' features are of.

    Raises:
        UsageError: the name is taken or no name, the encoders are others than those trained on, or they have no
            tower that can be joined.
        ModelError: the exported towers give other vectors than the trained heads.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a model: small letters, digits, dots, dashes, 61 at most")
    folder = home / "models" / name
    try:
        find_spec(name, home)
    except ModelNotFound:
        if folder.exists():
            raise UsageError(f"{folder} is there already: take it away, or choose another name") from None
    else:
        raise UsageError(f"a model is called {name!r} already: choose another name")
    aligner, picture_side, text_side = load_aligner(run / HEAD)
    seen = EncoderPictures(pictures, tokens=picture_side["layer"] is not None, layer=picture_side["layer"])
    said = EncoderTexts(texts, tokens=bool(text_side["tokens"]))
    for net, told in ((seen, picture_side), (said, text_side)):
        if net.fingerprint != told["fingerprint"]:
            raise UsageError(f"{run / HEAD} was trained on {told['encoder']}, whose files are others than {net.name}'s")
    try:
        (home / "models").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home / "models", prefix=".export-") as place:
            made = Path(place) / name
            spec = _spec(name, run, aligner, pictures, texts)
            _write(made, aligner, seen, pictures, texts)
            worst = _compared(Encoder(read_folder(made, spec)), aligner, seen, said)
            recall = _measured(made, aligner)
            _write_card(made, run, aligner, picture_side, text_side, worst, recall)
            made.replace(folder)
        _append(home / USER_CATALOGUE, _entry(spec))
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error}") from error
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Exported(name, folder, aligner.config.out, worst, recall, size)


def _write(made: Path, aligner: Aligner, seen: EncoderPictures, pictures: Encoder, texts: Encoder) -> None:
    """Both towers in Immich's layout, with what surrounds them."""
    rule = pictures.spec.preprocess
    assert rule is not None
    write_picture_tower(made / "visual" / "model.onnx", aligner, pictures, seen.cut)
    write_text_tower(made / "textual" / "model.onnx", aligner, texts)
    told = asdict(rule) | {"size": [rule.size, rule.size], "mode": "RGB"}
    _json(made / "visual" / "preprocess_cfg.json", told)
    tokenizer = texts.folder.tokenizer
    assert tokenizer is not None
    shutil.copyfile(tokenizer, made / "textual" / "tokenizer.json")
    settings = tokenizer.with_name("tokenizer_config.json")
    if settings.is_file():
        shutil.copyfile(settings, made / "textual" / settings.name)
    context = texts.spec.text.context_length if texts.spec.text else 77
    contrast = aligner.contrast
    about = {"kind": "aligned", "logit_scale": float(contrast.scale.detach())}
    if contrast.bias is not None:
        about["logit_bias"] = float(contrast.bias.detach())
    config: dict[str, Any] = {
        "embed_dim": aligner.config.out,
        "text_cfg": {"context_length": context},
        "seemory": about,
    }
    _json(made / "config.json", config)


def _compared(encoder: Encoder, aligner: Aligner, seen: EncoderPictures, said: EncoderTexts) -> float:
    """The worst cosine of what the encoder gives and what the heads give; refused below `LEAST`."""
    side = seen.side
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    rows = np.arange(side) * 8 // side
    squares = coarse[:, rows][:, :, rows]  # pictures of patches: noise of single pixels all looks alike
    shown = seen.show(squares)
    pooled = aligner.config.image.input == "pooled"
    given = shown.pooled[:, None] if pooled or shown.tokens is None else shown.tokens
    with torch.no_grad():
        wanted = _unit(aligner.pictures(torch.from_numpy(given)).numpy())
        if aligner.config.text.input == "pooled":
            told = aligner.texts(torch.from_numpy(said.pooled(_TEXTS))[:, None]).numpy()
        else:
            told = np.concatenate([aligner.texts(torch.from_numpy(s)[None]).numpy() for s in said.states(_TEXTS)])
    worst = min(
        float((encoder.embed_pixels(squares) * wanted).sum(axis=1).min()),
        float((encoder.embed_texts(_TEXTS) * _unit(told)).sum(axis=1).min()),
    )
    if not worst >= LEAST:
        raise ModelError(f"the exported towers give other vectors than the heads (cosine {worst:.4f}): not kept")
    return worst


def _measured(made: Path, aligner: Aligner) -> dict[str, float]:
    """Recall on `test`, and, in a file beside the towers, where cosines of right and other pairs lie on `val`."""
    try:
        features = FeatureSet(aligner.config.features)
    except UsageError:
        return {}  # the features are gone; the towers are whole without them
    rows = features.rows("val")
    if len(rows) >= _FEWEST:
        captions, owner = captions_of(features, rows)
        pictures, texts = (_unit(side) for side in embedded(aligner, features, rows, captions))
        across = texts @ pictures.T
        mine = owner[:, None] == np.arange(len(rows))
        among, alike = texts @ texts.T, owner[:, None] == owner[None, :]
        np.fill_diagonal(alike, False)
        spread = {"text_to_image": _statistics(across[~mine], across[mine])}
        other = ~alike & ~np.eye(len(texts), dtype=bool)
        if alike.any():
            spread["text_to_text"] = _statistics(among[other], among[alike])
        _json(made / CALIBRATION_FILE, spread)
    rows = features.rows("test")
    if len(rows) < _FEWEST:
        return {}
    captions, owner = captions_of(features, rows)
    found = both_ways(*embedded(aligner, features, rows, captions), owner.tolist(), draws=1)
    ways = {"text_to_image": found.text_to_image, "image_to_text": found.image_to_text}
    return {f"{way}_r{k}": 100 * share for way, side in ways.items() for k, share in side.at.items()}


def _write_card(
    made: Path,
    run: Path,
    aligner: Aligner,
    pictures: Mapping[str, Any],
    texts: Mapping[str, Any],
    worst: float,
    recall: Mapping[str, float],
) -> None:
    config = aligner.config
    rows = [
        ("vectors", f"{config.out} wide; prefixes of {', '.join(map(str, config.widths))} were trained"),
        ("pictures", f"{pictures['encoder']}, {config.image.kind} head on {pictures['layer'] or 'pooled features'}"),
        ("words", f"{texts['encoder']}, {config.text.kind} head"),
        ("loss", f"{config.loss.kind}, batch {config.optimiser.batch}, {config.optimiser.steps:,} steps"),
        ("export", f"cosine to the trained heads at least {worst:.5f}"),
        *((name.replace("_", " "), f"{value:.1f} % on the split test") for name, value in recall.items()),
    ]
    lines = [
        f"# {made.name}",
        "",
        f"A head trained by the alignment lab (run `{run.name}`).",
        "",
        "| | |",
        "| --- | --- |",
    ]
    lines += [f"| {name} | {value} |" for name, value in rows]
    lines += ["", "Its licence is that of both networks it is made of, and of what it was trained on.", ""]
    (made / "README.md").write_text("\n".join(lines), encoding="utf-8")


def _spec(name: str, run: Path, aligner: Aligner, pictures: Encoder, texts: Encoder) -> ModelSpec:
    """What is known of the encoder that is not its weights."""
    assert texts.spec.text is not None
    both = {pictures.spec.licence, texts.spec.licence}
    contrast = aligner.contrast
    return ModelSpec(
        name=name,
        family="aligned",
        dim=aligner.config.out,
        towers=("image", "text"),
        preprocess=pictures.spec.preprocess,
        text=replace(texts.spec.text, pooling="mean"),  # the tower pools by itself, and nothing is left to a rule
        summary=f"A head of the alignment lab, run {run.name}: {aligner.config.image.kind} on {pictures.spec.name}.",
        licence=both.pop() if len(both) == 1 else "see both networks",
        revision_pinned=False,
        logit_scale=round(float(contrast.scale.detach()), 4),
        logit_bias=round(float(contrast.bias.detach()), 4) if contrast.bias is not None else None,
    )


def _entry(spec: ModelSpec) -> str:
    """The catalogue's entry, as TOML."""
    kept = ("summary", "family", "licence", "dim", "revision_pinned", "logit_scale", "logit_bias")
    assert spec.preprocess is not None
    assert spec.text is not None
    told = {name: getattr(spec, name) for name in kept}
    told |= {"preprocess": asdict(spec.preprocess), "text": asdict(spec.text)}
    lines = [f'[model."{spec.name}"]'] + [
        f"{name} = {_toml(value)}" for name, value in told.items() if value is not None
    ]
    return "\n".join(lines) + "\n"


def _append(catalogue: Path, entry: str) -> None:
    before = catalogue.read_text(encoding="utf-8") if catalogue.is_file() else ""
    partial = catalogue.with_name(f".{catalogue.name}.partial")
    partial.write_text(f"{before.rstrip()}\n\n{entry}" if before.strip() else entry, encoding="utf-8")
    partial.replace(catalogue)


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items() if one is not None) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool) or not isinstance(value, float):
        return json.dumps(value, ensure_ascii=False)  # of text and whole numbers TOML's form is JSON's
    return repr(value)


def _statistics(background: np.ndarray[Any, Any], match: np.ndarray[Any, Any]) -> dict[str, float]:
    named = {"background": background, "match": match}
    return {
        f"{name}_{what}": round(float(of(values)), 4)
        for name, values in named.items()
        for what, of in (("mean", np.mean), ("std", np.std))
    }


def _unit(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _json(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
