"""What the environment says of a worker's embedder: the `CLIP_*` names, read strictly, a wrong one by its name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seemory.errors import UsageError

Device = Literal["cpu", "cuda", "auto"]

MODEL, PRETRAINED = "ViT-B-32", "openai"
TIMEOUT_S = 2.0
LONGEST_S = 86_400.0
"""No time limit may be longer: a day."""

_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_DEVICES: Mapping[str, Device] = {"cpu": "cpu", "cuda": "cuda", "cuda:0": "cuda", "gpu": "cuda", "auto": "auto"}


@dataclass(frozen=True, slots=True)
class Asked:
    """Which model, and how it is to be run. Embedders that ask for the same share one process."""

    model: str = MODEL
    pretrained: str | None = PRETRAINED
    """None: `model` is a name of the catalogue or a folder, and says everything."""
    device: Device = "cpu"
    normalised: bool = True
    longest_side: int | None = None
    """Pictures are scaled down to it before the encoder's own preprocessing; None leaves them to that."""
    threads: int | None = None
    home: str = ""
    offline: bool = False
    max_pixels: int = 200_000_000

    def as_json(self) -> dict[str, Any]:
        """The document that `Asked(**document)` understands."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """All that an embedder is told."""

    asked: Asked = Asked()
    enabled: bool = True
    timeout_s: float = TIMEOUT_S
    debug_log: bool = False


def read_environment(environ: Mapping[str, str]) -> WorkerSettings:
    """The settings that the `CLIP_*` names of an environment give, over those of `SEEMORY_*` and `config.toml`.

    An empty value counts as none. Where `CLIP_ENABLED` is off, the other names are not looked at.

    Raises:
        UsageError: a value is of the wrong form; the message names the variable.
    """
    if not _flag(environ, "CLIP_ENABLED", True):
        model, pretrained = names_in(environ)
        return WorkerSettings(Asked(model, pretrained), enabled=False)
    from seemory.settings import read_settings

    own = read_settings(home=_folder(environ, "CLIP_CACHE_DIR"))
    model, pretrained = names_in(environ)
    asked = Asked(
        model=model,
        pretrained=pretrained,
        device=_device(environ),
        normalised=_flag(environ, "CLIP_NORMALIZE", True),
        longest_side=_whole(environ, "CLIP_MAX_IMAGE_SIZE", 1_000_000),
        threads=_whole(environ, "CLIP_CPU_THREADS", 1024) or own.models.threads,
        home=str(own.home),
        offline=own.models.offline,
        max_pixels=own.media.max_pixels,
    )
    return WorkerSettings(
        asked,
        timeout_s=_seconds(environ, "CLIP_TIMEOUT_S", TIMEOUT_S),
        debug_log=_flag(environ, "CLIP_DEBUG_LOG", False),
    )


def names_in(environ: Mapping[str, str]) -> tuple[str, str | None]:
    """The model's name and its weights' tag, as they are given.

    A name without a tag is one of OpenAI's architectures, a name of the catalogue, or a folder; only the first has
    the usual tag. Nothing given is OpenAI's ViT-B-32.
    """
    model, pretrained = _text(environ, "CLIP_MODEL_NAME"), _text(environ, "CLIP_PRETRAINED")
    if pretrained is None:
        architecture = model is None or (model.lower().startswith("vit-") and model.lower().count("-") == 2)
        pretrained = PRETRAINED if architecture else None
    return model or MODEL, pretrained


def time_limit(value: object, name: str) -> float:
    """The seconds of a time limit. Raises UsageError, which names it, for what is no finite number above 0."""
    if isinstance(value, bool):
        raise UsageError(f"{name}: a number of seconds, not {value!r}")
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"{name}: a number of seconds such as 2.0, not {short(value)}") from None
    if not math.isfinite(seconds) or not 0 < seconds <= LONGEST_S:
        raise UsageError(f"{name}: above 0 and at most {LONGEST_S:.0f} seconds, not {short(value)}")
    return seconds


def short(value: object) -> str:
    """A value as Python writes it, cut to 60 characters; of what cannot be written, its type."""
    try:
        return repr(value)[:60]
    except Exception:  # a stranger's __repr__
        return f"a {type(value).__name__}"


def _text(environ: Mapping[str, str], name: str) -> str | None:
    value = environ.get(name)
    if value is not None and (not isinstance(value, str) or "\0" in value):
        raise UsageError(f"{name}: a text, not {short(value)}")
    return (value or "").strip() or None


def _flag(environ: Mapping[str, str], name: str, default: bool) -> bool:
    value = (_text(environ, name) or "").lower()
    if value and value not in _TRUE + _FALSE:
        raise UsageError(f"{name}: one of {', '.join(_TRUE + _FALSE)}, not {short(environ[name])}")
    return value in _TRUE if value else default


def _whole(environ: Mapping[str, str], name: str, most: int) -> int | None:
    value = _text(environ, name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 10 and 1 <= int(value) <= most):
        raise UsageError(f"{name}: a whole number from 1 to {most}, not {short(value)}")
    return int(value)


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    value = _text(environ, name)
    return default if value is None else time_limit(value, name)


def _device(environ: Mapping[str, str]) -> Device:
    value = _text(environ, "CLIP_DEVICE")
    if value is None:
        return "cpu"
    if value.lower() not in _DEVICES:
        raise UsageError(
            f"CLIP_DEVICE: one of {', '.join(_DEVICES)}, not {short(value)} (another GPU: set CUDA_VISIBLE_DEVICES)"
        )
    return _DEVICES[value.lower()]


def _folder(environ: Mapping[str, str], name: str) -> Path | None:
    value = _text(environ, name)
    if value is None:
        return None
    try:
        folder = Path(value).expanduser().absolute()
        wrong = folder.exists() and not folder.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"{name}: {short(value)} cannot be looked at ({error})") from None
    if wrong:
        raise UsageError(f"{name}: a folder, and {short(value)} is none")
    return folder
