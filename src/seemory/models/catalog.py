"""The models Seemory knows by name, as frozen records read from `catalog.toml`."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from seemory.errors import ModelError, ModelNotFound
from seemory.types import CosineStatistics, Modality, Preprocess

Direction = Literal["text_to_image", "image_to_image", "text_to_text"]
Layout = Literal["immich", "sentence-transformers"]
Pooling = Literal["eot", "mean", "cls", "last", "max"]

DIRECTIONS: tuple[Direction, ...] = ("text_to_image", "image_to_image", "text_to_text")
USER_CATALOGUE = "models.toml"


@dataclass(frozen=True, slots=True)
class TextRule:
    """How words become token ids, and which of the tower's positions is the text's vector."""

    tokenizer: str
    """The kind, for people: clip, siglip, gemma, xlm-roberta, bert."""
    context_length: int
    padding: Literal["longest", "context"]
    """`longest`: padding has no effect, a batch is as long as its longest text. `context`: always the full length."""
    pooling: Pooling
    """Used where the export gives all positions; exports that pool themselves are taken as they are."""
    lower_case: bool = False
    canonicalise: bool = False
    """SigLIP's canonical form: no punctuation, single spaces (big_vision, `prompt_engineering.canonicalize_text`)."""
    pad_id: int | None = None
    end_token: str | None = None
    """Must be the last token also of a text that was cut."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model's repository; the checksum where it is known."""

    path: str
    sha256: str | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Everything about an encoder that is not its weights."""

    name: str
    family: str
    dim: int
    """Width of the vectors; 0 in the catalogue where only the model's folder says it (the bundled one)."""
    towers: tuple[Modality, ...]
    preprocess: Preprocess | None = None
    text: TextRule | None = None
    summary: str = ""
    repo: str | None = None
    revision: str = "main"
    revision_pinned: bool = True
    licence: str = "unknown"
    activation: str = "gelu"
    """`quick_gelu` belongs to OpenAI's weights only. It lies inside the graph; an export is checked against this."""
    normalised: bool = True
    logit_scale: float | None = None
    logit_bias: float | None = None
    """Set for sigmoid losses (SigLIP): sigmoid(scale * cosine + bias). Without it, softmax over scale * cosine."""
    layout: Layout = "immich"
    calibration: Mapping[Direction, CosineStatistics] = field(default_factory=dict)
    measured: frozenset[Direction] = frozenset()
    """The directions whose calibration was measured with the real weights."""
    files: tuple[ModelFile, ...] = ()
    bundled: bool = False
    aliases: tuple[str, ...] = ()


def load_catalog(home: Path | None = None) -> Mapping[str, ModelSpec]:
    """All known models by name: those of the package and, over them, those of `models.toml` in the data folder.

    Raises ModelError if the user's file cannot be understood.
    """
    own = home / USER_CATALOGUE if home is not None else None
    if own is None or not own.is_file():
        return _packaged()
    document = _merge(_document(), _read(own))
    try:
        return MappingProxyType(_specs(document))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{own}: an entry is wrong ({error}). See the package's catalog.toml for the form.") from error


def find_spec(name: str, home: Path | None = None) -> ModelSpec:
    """The specification of a model by its name or an alias (`ViT-B-32__openai`, `ViT-B-32/openai`), in any case.

    Raises ModelNotFound, which lists the nearest names.
    """
    catalog = load_catalog(home)
    known = {_folded(key): spec for spec in catalog.values() for key in (spec.name, *spec.aliases)}
    if spec := known.get(_folded(name)):
        return spec
    near = _near(_folded(name), tuple(known))
    names = list(dict.fromkeys(known[key].name for key in near)) or sorted(catalog)
    raise ModelNotFound(
        f"no model is called {name!r}, and no folder is there either. Near it: {', '.join(names)}. "
        "`seemory models list` shows all."
    )


@lru_cache(maxsize=64)  # a collection of imported vectors, whose encoder is nowhere, asks the same with every search
def _near(name: str, known: tuple[str, ...]) -> list[str]:
    return difflib.get_close_matches(name, known, n=5, cutoff=0.4)


def default_name() -> str:
    """The name that `auto` stands for when that model can be had."""
    return str(_document()["default"])


def _folded(name: str) -> str:
    """A name with the differences that mean nothing taken out: case, `__` or `/` between the parts, `_` or `-`."""
    return name.strip().lower().replace("__", "/").replace("_", "-").replace("/", "-")


@lru_cache(maxsize=1)
def _packaged() -> Mapping[str, ModelSpec]:
    return MappingProxyType(_specs(_document()))


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    return _read(Path(__file__).with_name("catalog.toml"))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"{path}: cannot be read as a catalogue ({error}).") from error


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Both documents' named tables; on equal names the upper one's. Their blocks may be referred to by either."""
    merged = dict(below)
    for key, value in above.items():
        merged[key] = {**below.get(key, {}), **value} if isinstance(value, dict) else value
    return merged


def _specs(document: dict[str, Any]) -> dict[str, ModelSpec]:
    return {name: _spec(name, entry, document) for name, entry in document["model"].items()}


def _spec(name: str, entry: Mapping[str, Any], blocks: Mapping[str, Any]) -> ModelSpec:
    fields = dict(entry)
    preprocess = _block(fields.pop("preprocess", None), blocks, "preprocess")
    text = _block(fields.pop("text", None), blocks, "text")
    calibration = _block(fields.pop("calibration", None), blocks, "calibration") or {}
    layout = fields.pop("layout", "immich")
    bundled = bool(fields.get("bundled", False))
    towers: list[Modality] = []
    if preprocess is not None or bundled:
        towers.append("image")
    if text is not None or bundled:
        towers.append("text")
    files = fields.pop("files", [] if bundled else blocks["layout"][layout]["files"])
    return ModelSpec(
        name=name,
        dim=fields.pop("dim", 0) if bundled else int(fields.pop("dim")),
        towers=tuple(towers),
        preprocess=preprocess_from(preprocess) if preprocess is not None else None,
        text=TextRule(**text) if text is not None else None,
        calibration=statistics_from(calibration),
        measured=frozenset(d for d in DIRECTIONS if calibration.get(d, {}).get("measured", False)),
        layout=layout,
        files=tuple(ModelFile(**item) if isinstance(item, dict) else ModelFile(item) for item in files),
        aliases=tuple(fields.pop("aliases", ())),
        **fields,
    )


def _block(value: Any, blocks: Mapping[str, Any], kind: str) -> dict[str, Any] | None:
    """A block given in place, or by the name of a shared one."""
    if isinstance(value, str):
        return dict(blocks[kind][value])
    return dict(value) if value is not None else None


def preprocess_from(block: Mapping[str, Any]) -> Preprocess:
    """The rule a mapping describes; `size` may be one number or `[height, width]` of a square."""
    size = block["size"]
    if isinstance(size, list | tuple):
        if len(set(size)) != 1:
            raise ValueError(f"size {size} is not a square")
        size = size[0]
    given = {key: block[key] for key in ("resize_mode", "interpolation") if key in block}
    for key in ("mean", "std"):
        if key in block:
            given[key] = tuple(float(value) for value in block[key])
            if len(given[key]) != 3:
                raise ValueError(f"{key} needs three values")
    rule = Preprocess(size=int(size), **given)
    if rule.resize_mode not in ("shortest", "squash"):
        raise ValueError(f"resize_mode {rule.resize_mode!r} is neither 'shortest' nor 'squash'")
    if rule.interpolation not in ("bicubic", "bilinear", "lanczos"):
        raise ValueError(f"interpolation {rule.interpolation!r} is not bicubic, bilinear or lanczos")
    return rule


def statistics_from(block: Mapping[str, Any]) -> dict[Direction, CosineStatistics]:
    """The calibration per direction; directions that are absent stay absent."""
    names = ("background_mean", "background_std", "match_mean", "match_std")
    return {d: CosineStatistics(*(float(block[d][name]) for name in names)) for d in DIRECTIONS if block.get(d)}
