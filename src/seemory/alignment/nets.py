"""Frozen networks as the lab sees them: pictures to pooled vectors and vectors for positions, and the same of texts."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seemory.alignment.token_cut import TOKENS, Cut, find_cut, load_tower, with_tokens
from seemory.errors import UsageError
from seemory.models.encoder import Encoder
from seemory.models.session import OnnxSession
from seemory.models.towers import choose_output, image_outputs, text_feeds
from seemory.types import Pixels, Vectors

Tokens = NDArray[np.float32]

_TEXTS = 32


@dataclass(frozen=True, slots=True)
class Shown:
    """What a net made of n pictures: `pooled (n, p)`, rows of norm 1, and, if asked for, `tokens (n, t, d)`."""

    pooled: Vectors
    tokens: Tokens | None


class PictureNet(Protocol):
    """A frozen picture network."""

    @property
    def name(self) -> str:
        """For people, and where it can be found again."""

    @property
    def fingerprint(self) -> str:
        """Another one makes other features; the layer is part of it."""

    @property
    def side(self) -> int:
        """Of the squares it takes, in pixels."""

    @property
    def layer(self) -> str | None:
        """Where its positions are read."""

    def square(self, image: Image.Image) -> Pixels:
        """`(side, side, 3)` uint8 of an upright picture."""

    def show(self, squares: Pixels) -> Shown:
        """What it makes of `(n, side, side, 3)`."""


class EncoderPictures:
    """The picture tower of an encoder, with its positions where they are asked for."""

    def __init__(
        self,
        encoder: Encoder,
        *,
        tokens: bool,
        layer: str | None = None,
        threads: int | None = None,
        name: str | None = None,
    ) -> None:
        """`name` is where it is found again. Raises UsageError where there are no positions, or no picture tower."""
        if encoder.folder.image_model is None:
            raise UsageError(f"{encoder.name} has no picture tower: give another --image-encoder")
        self._encoder = encoder
        self.name = name or encoder.name
        self._session: OnnxSession | None = None
        self.cut: Cut | None = None
        if tokens:
            model = load_tower(encoder.folder.image_model)
            self.cut = find_cut(model, encoder.folder.image_model, layer)
            with ExitStack() as stack:  # ONNX Runtime has read it whole when the session is there
                place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="seemory-")))
                _save(with_tokens(model, self.cut), place / "model.onnx")
                self._session = OnnxSession(place / "model.onnx", threads)
            self._pooled = choose_output(self._session, "image", encoder.dim, None)

    @property
    def fingerprint(self) -> str:
        """The encoder's, with the layer."""
        return _with_layer(self._encoder.fingerprint, self.layer)

    @property
    def side(self) -> int:
        """Of the squares, in pixels."""
        return self._encoder.image_size

    @property
    def layer(self) -> str | None:
        """The tensor that is read."""
        return self.cut.layer if self.cut else None

    def square(self, image: Image.Image) -> Pixels:
        """As the encoder prepares it."""
        return self._encoder.preprocess(image)

    def show(self, squares: Pixels) -> Shown:
        """Pooled as the encoder gives it. Raises ModelError as `Encoder.embed_pixels` does."""
        if self._session is None:
            return Shown(self._encoder.embed_pixels(squares), None)
        rule = self._encoder.spec.preprocess
        assert rule is not None
        places = self._pooled, [port.name for port in self._session.outputs].index(TOKENS)
        pooled, tokens = image_outputs(self._session, squares, rule, places)
        if pooled.ndim == 3:
            pooled = pooled[:, 0]
        return Shown(pooled / np.linalg.norm(pooled, axis=1, keepdims=True), tokens)


class EncoderTexts:
    """The text tower of an encoder; it has positions where its export gives them."""

    def __init__(self, encoder: Encoder, *, tokens: bool, name: str | None = None) -> None:
        """`name` is where it is found again.

        Raises:
            UsageError: there is no text tower, or it gives pooled vectors alone and tokens are asked for.
        """
        if not encoder.has_texts:
            raise UsageError(f"{encoder.name} has no text tower: give another --text-encoder")
        self._encoder = encoder
        self.name = name or encoder.name
        self.tokens = tokens
        if tokens:
            session, _, output = encoder.text_tower()
            if len(session.outputs[output].shape) != 3:
                raise UsageError(f"{encoder.name} gives texts pooled, without positions: leave --text-tokens away")

    @property
    def fingerprint(self) -> str:
        """The encoder's."""
        return _with_layer(self._encoder.fingerprint, "tokens" if self.tokens else None)

    def pooled(self, texts: Sequence[str]) -> Vectors:
        """`(n, d)`, rows of norm 1."""
        return self._encoder.embed_texts(texts)

    def states(self, texts: Sequence[str]) -> list[Tokens]:
        """A `(t, d)` for each text, without its padding."""
        session, tokens, output = self._encoder.text_tower()
        rows = tokens.encode(texts)
        found: list[Tokens] = []
        for start in range(0, len(rows), _TEXTS):
            ids, mask = tokens.pad(rows[start : start + _TEXTS])
            states = session.run(text_feeds(session, ids, mask))[output]
            found += [state[: int(kept)].astype(np.float32) for state, kept in zip(states, mask.sum(1), strict=True)]
        return found


def _with_layer(fingerprint: str, layer: str | None) -> str:
    return hashlib.sha256(f"{fingerprint} {layer or 'pooled'}".encode()).hexdigest()


def _save(model: object, path: Path) -> None:
    import onnx

    large = model.ByteSize() > 2**31 - 2**20  # type: ignore[attr-defined]  # beyond what one protobuf may hold
    onnx.save(model, str(path), save_as_external_data=large)
