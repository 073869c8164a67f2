"""Two heads and their loss as one module; made from a configuration, written to a file, and read from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seemory.alignment import heads
from seemory.alignment.config import HeadConfig, TrainConfig, described
from seemory.alignment.feature_set import FeatureSet, Rows
from seemory.alignment.losses import Contrast
from seemory.errors import UsageError
from seemory.types import Vectors

_AT_ONCE = 256


class Aligner(nn.Module):  # type: ignore[misc]
    """Pictures' and captions' features to one space."""

    def __init__(self, config: TrainConfig, picture_width: Mapping[str, int], text_width: Mapping[str, int]) -> None:
        """Both heads, with the weights that torch's generator gives.

        Raises:
            UsageError: a head wants features that are not there.
        """
        super().__init__()
        self.config = config
        self.pictures = made_head(config.image, _width("image", config.image, picture_width), config.out)
        self.texts = made_head(config.text, _width("text", config.text, text_width), config.out)
        loss = config.loss
        self.contrast = Contrast(
            loss.kind,
            temperature=loss.temperature,
            learned=loss.learned,
            widths=config.widths,
            matryoshka=loss.matryoshka,
        )

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.contrast.log_scale.device

    def picture_vectors(self, features: FeatureSet, rows: Rows) -> Tensor:
        """`(n, out)` of these pictures, not of norm 1."""
        if self.config.image.input == "pooled":
            return self.pictures(self._given(features.picture_pooled(rows)).unsqueeze(1))
        return self.pictures(self._given(features.picture_tokens(rows)))

    def text_vectors(self, features: FeatureSet, rows: Rows) -> Tensor:
        """`(n, out)` of these captions, not of norm 1."""
        if self.config.text.input == "pooled":
            return self.texts(self._given(features.text_pooled(rows)).unsqueeze(1))
        tokens, mask = features.text_tokens(rows)
        return self.texts(self._given(tokens), torch.from_numpy(mask).to(self.device))

    def _given(self, values: np.ndarray[Any, np.dtype[np.float32]]) -> Tensor:
        return torch.from_numpy(values).to(self.device)


def made_head(config: HeadConfig, width: int, out: int) -> nn.Module:
    """The head of one side, for positions of that width."""
    common: dict[str, Any] = {"dropout": config.dropout, "front_kind": config.front}
    if config.kind in ("linear", "ridge"):
        return heads.Linear(width, out, front_kind=config.front)
    if config.kind == "scores":
        return heads.ScorePooling(width, config.hidden, out, **common)
    if config.kind == "attention":
        return heads.AttentionPooling(width, config.inner, config.heads, config.hidden, out, **common)
    return heads.Perceiver(
        width,
        config.inner,
        config.heads,
        config.hidden,
        out,
        latents=config.latents,
        layers=config.layers,
        latent_attention=config.latent_attention,
        latent_init=config.latent_init,
        **common,
    )


def embedded(aligner: Aligner, features: FeatureSet, pictures: Rows, captions: Rows) -> tuple[Vectors, Vectors]:
    """`(n, out)` and `(m, out)` float32 of these pictures and captions, not of norm 1, with the heads at rest."""
    was, device_type = aligner.training, aligner.device.type
    aligner.eval()
    try:
        with torch.no_grad(), torch.autocast(device_type, torch.bfloat16, enabled=aligner.config.run.bf16):
            seen = [aligner.picture_vectors(features, part).float().cpu() for part in _parts(pictures)]
            said = [aligner.text_vectors(features, part).float().cpu() for part in _parts(captions)]
    finally:
        aligner.train(was)
    return torch.cat(seen).numpy(), torch.cat(said).numpy()


def captions_of(features: FeatureSet, pictures: Rows) -> tuple[Rows, Rows]:
    """The captions of these pictures, each with the place of its picture among them."""
    pairs = [(said, place) for place, row in enumerate(pictures) for said in features.entries[row].captions]
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def save_aligner(aligner: Aligner, features: FeatureSet, path: Path) -> None:
    """Both heads' weights, with the configuration and what the features were made by. Raises UsageError."""
    from safetensors.torch import save_file

    told = {
        "config": aligner.config.model_dump_json(),
        "pictures": json.dumps(features.picture_encoder | {"width": features.picture_width}),
        "texts": json.dumps(features.text_encoder | {"width": features.text_width}),
    }
    partial = path.with_name(f".{path.name}.partial")
    try:
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in aligner.state_dict().items()},
            str(partial),
            told,
        )
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error}") from error


def load_aligner(path: Path) -> tuple[Aligner, dict[str, Any], dict[str, Any]]:
    """The heads in a file, at rest, and what is known of the picture and the text network they are for.

    Raises:
        UsageError: it is no such file, or its weights do not fit its own configuration.
    """
    import safetensors
    from pydantic import ValidationError

    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            said = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        config = TrainConfig.model_validate_json(said["config"])
        pictures, texts = json.loads(said["pictures"]), json.loads(said["texts"])
        aligner = Aligner(config, pictures["width"], texts["width"])
        aligner.load_state_dict(weights)
    except ValidationError as error:
        raise UsageError(f"{path} has another configuration than is known here: {described(error)}") from error
    except (
        OSError,
        KeyError,
        ValueError,
        TypeError,
        RuntimeError,
        RecursionError,
        safetensors.SafetensorError,
    ) as error:
        line = " ".join(str(error).split())[:300]
        raise UsageError(f"{path} is no trained head ({line}): `seemory align train` writes one") from error
    return aligner.eval(), pictures, texts


def require_same_features(features: FeatureSet, pictures: Mapping[str, Any], texts: Mapping[str, Any]) -> None:
    """Raises UsageError where the features were made by other networks than the head was trained on."""
    for side, mine, theirs in (
        ("pictures", features.picture_encoder, pictures),
        ("captions", features.text_encoder, texts),
    ):
        if mine["fingerprint"] != theirs["fingerprint"]:
            raise UsageError(
                f"{features.folders[0]} has {side} of {mine['encoder']}, another network or layer than the head was "
                f"trained on ({theirs['encoder']})"
            )


def _width(side: str, config: HeadConfig, widths: Mapping[str, int]) -> int:
    if config.input not in widths:
        raise UsageError(
            f"{side}.input is {config.input!r}, and the features have {', '.join(widths)} alone: make them with "
            f"{'--level tokens' if side == 'image' else '--text-tokens'}, or say {side}.input = 'pooled'"
        )
    return int(widths[config.input])


def _parts(rows: Rows) -> list[Rows]:
    return [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]
