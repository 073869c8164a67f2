"""Pixels and words to vectors: one class for every model, composed of sessions, a tokenizer, a pooling rule, a spec."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from seemory.errors import ModelCorrupt, ModelError, TowerMissing
from seemory.metrics import WORK
from seemory.models import preprocess as picture
from seemory.models.catalog import Direction, ModelSpec
from seemory.models.fingerprint import Hashes, fingerprint
from seemory.models.folder import ModelFolder
from seemory.models.precision import REFERENCE, Way, full_name
from seemory.models.query_cache import QUERIES, QueryCache
from seemory.models.session import OnnxSession, Session
from seemory.models.tokens import Tokens
from seemory.models.towers import choose_output, ids_port, image_port, image_vectors, text_vectors
from seemory.types import CosineStatistics, EmbeddingRecord, Modality, Pixels, Preprocess, Vector, Vectors

if TYPE_CHECKING:
    from PIL import Image

BUNDLED = "seemory-mini"

OpenSession = Callable[[Path, int | None], Session]

Run = Callable[[Any], Vectors]
"""A pass of a tower: `(n, d)` for n squares of pixels, or for n texts."""

Sharing = Callable[[Modality, Run], Run]
"""Makes of a tower's pass one that callers from several threads have a part in."""

_T = TypeVar("_T")

# Of a model nobody has measured: wide, so that its scores promise little. The ranges are those reported for CLIP.
UNMEASURED: dict[Direction, CosineStatistics] = {
    "text_to_image": CosineStatistics(0.15, 0.05, 0.29, 0.05),
    "image_to_image": CosineStatistics(0.5, 0.12, 0.85, 0.1),
    "text_to_text": CosineStatistics(0.4, 0.15, 0.8, 0.12),
}


class _Once(Generic[_T]):
    """A value made when it is first asked for, by whichever thread comes first; the others wait for it."""

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._lock = Lock()
        self._made: list[_T] = []

    def __call__(self) -> _T:
        if not self._made:
            with self._lock:
                if not self._made:
                    self._made.append(self._make())
        return self._made[0]


class Encoder:
    """Turns pictures and texts into vectors of norm 1 in one space. Its methods may be called from several threads.

    Each tower is loaded when it is first needed: words alone never load the picture tower.
    """

    def __init__(
        self,
        folder: ModelFolder,
        *,
        threads: int | None = None,
        hashes: Hashes | None = None,
        open_session: OpenSession = OnnxSession,
        open_text: OpenSession | None = None,
        way: Way = REFERENCE,
        queries: int = QUERIES,
    ) -> None:
        """Nothing is loaded yet; `open_session` opens the towers in the `way` that is named.

        `open_text` opens the text tower, if another one does; `queries` is how many texts `embed_query` remembers.
        """
        self.spec: ModelSpec = folder.spec
        self.folder = folder
        self.way = way
        self._threads = threads
        self._queries = QueryCache(queries)
        self._open = open_session
        self._open_text = open_text or open_session
        self._image = _Once(self._load_image_tower)
        self._text = _Once(self._load_text_tower)
        self._run_pictures: Run = self._picture_pass
        self._run_texts: Run = self._text_pass
        self._fingerprint = _Once(lambda: fingerprint(folder, hashes or Hashes(), way.precision))

    @property
    def name(self) -> str:
        """The catalogue's name, or the folder's; other precisions than fp32 are said behind it."""
        return full_name(self.spec.name, self.way.precision)

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self.spec.dim

    @property
    def fingerprint(self) -> str:
        """Hexadecimal sha256 over everything that changes the output; not over where the files lie."""
        return self._fingerprint()

    @property
    def has_images(self) -> bool:
        """Whether there is an image tower."""
        return self.folder.image_model is not None

    @property
    def has_texts(self) -> bool:
        """Whether there is a text tower."""
        return self.folder.text_model is not None

    @property
    def image_size(self) -> int:
        """Side of the square the image tower takes, in pixels. Raises TowerMissing without one."""
        return self._rule().size

    def preprocess(self, image: Image.Image) -> Pixels:
        """The picture as the tower's square, `(s, s, 3)` uint8. `image` is upright; raises TowerMissing."""
        return picture.apply(self._rule(), image)

    @WORK.timed("seemory_stage_seconds", stage="embed")
    def embed_pixels(self, pixels: Pixels, *, normalise: bool = True) -> Vectors:
        """`(n, d)` float32 of norm 1 for `(n, s, s, 3)` uint8 from `preprocess`; else as the tower gives them.

        Raises TowerMissing, ModelCorrupt for a damaged tower, ModelError when a vector comes out zero or not finite.
        """
        rule = self._rule()
        if pixels.ndim != 4 or pixels.shape[1:] != (rule.size, rule.size, 3) or pixels.dtype != np.uint8:
            raise ModelError(
                f"{self.name} takes (n, {rule.size}, {rule.size}, 3) uint8, not {pixels.shape} {pixels.dtype}."
            )
        if len(pixels) == 0:
            return np.empty((0, self.dim), dtype=np.float32)
        if normalise:
            return self._run_pictures(pixels)
        found = self._tower_pass(pixels)
        self._unit(found, "picture")  # a vector without a direction is refused all the same
        return found

    def embed_images(self, images: Sequence[Image.Image]) -> Vectors:
        """`(n, d)` float32 of norm 1 for pictures that are upright already."""
        size = self.image_size
        pixels = [self.preprocess(image) for image in images]
        return self.embed_pixels(np.stack(pixels) if pixels else np.empty((0, size, size, 3), dtype=np.uint8))

    @WORK.timed("seemory_stage_seconds", stage="embed")
    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """`(n, d)` float32 of norm 1, in the order given; longer texts than the tower's context are cut.

        Raises TowerMissing, ModelCorrupt for a damaged tower, ModelError when a vector comes out zero or not finite.
        """
        if not self.has_texts:
            raise self._no_words()
        if isinstance(texts, str):
            raise TypeError("embed_texts takes a sequence of texts, not one text")
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        return self._run_texts(texts)

    def share_passes(self, share: Sharing) -> None:
        """From now on each tower's passes are what `share` makes of them."""
        self._run_pictures = share("image", self._picture_pass)
        self._run_texts = share("text", self._text_pass)

    def count_tokens(self, texts: Sequence[str]) -> int:
        """How many tokens the text tower reads of these texts, its special ones included."""
        if not texts:
            return 0
        _, tokens, _ = self._text()
        return sum(map(len, tokens.encode(texts)))

    def embed_query(self, text: str) -> Vector:
        """`(d,)` float32 of norm 1, read-only: `embed_texts` of one text, which is remembered for when it comes again.

        Raises as `embed_texts` does.
        """
        if not self.has_texts:
            raise self._no_words()
        _, tokens, _ = self._text()
        WORK.count("seemory_queries_embedded_total")
        key = tuple(tokens.encode([text])[0])
        known = self._queries.get(key)
        if known is not None:
            WORK.count("seemory_queries_remembered_total")
            return known
        return self._queries.put(key, self.embed_texts([text])[0])

    def load(self, *, texts: bool = True) -> None:
        """Load the towers now, not at their first use. Raises ModelCorrupt, or ModelError for what a runtime lacks."""
        if self.has_images:
            self._image()
        if self.has_texts and texts:
            self._text()

    def text_tower(self) -> tuple[Session, Tokens, int]:
        """The loaded text tower: its session, its tokenizer, and which output is the embedding."""
        return self._text()

    def calibration(self, direction: Direction) -> CosineStatistics:
        """Where cosines of unrelated and of right pairs lie, for this model or, unmeasured, for its kind."""
        return self.spec.calibration.get(direction, UNMEASURED[direction])

    def record(
        self, *, frame_path: str | None = None, inference_time_ms: float | None = None, error: str | None = None
    ) -> EmbeddingRecord:
        """What is stored beside a vector of this encoder, or in its place."""
        model, _, pretrained = next((a for a in self.spec.aliases if "__" in a), self.spec.name).partition("__")
        return EmbeddingRecord(
            model_name=model,
            pretrained=pretrained,
            embed_dim=self.dim,
            device="cuda" if self.way.runtime == "cuda" else "cpu",
            frame_path=frame_path,
            inference_time_ms=inference_time_ms,
            error=error,
        )

    def _no_words(self) -> TowerMissing:
        return TowerMissing(f"{self.name} has no text tower: it cannot embed words. Search with a picture instead.")

    def _rule(self) -> Preprocess:
        if not self.has_images or self.spec.preprocess is None:
            raise TowerMissing(f"{self.name} has no image tower: it cannot embed pictures.")
        return self.spec.preprocess

    def _picture_pass(self, pixels: Pixels | Sequence[Pixels]) -> Vectors:
        return self._unit(self._tower_pass(pixels), "picture")

    def _tower_pass(self, pixels: Pixels | Sequence[Pixels]) -> Vectors:
        """As the tower gives them."""
        session, output = self._image()
        return image_vectors(session, np.asarray(pixels), self._rule(), output)

    def _text_pass(self, texts: Sequence[str]) -> Vectors:
        session, tokens, output = self._text()
        assert self.spec.text is not None
        return self._unit(text_vectors(session, texts, tokens, self.spec.text, output), "text")

    def _load_image_tower(self) -> tuple[Session, int]:
        assert self.folder.image_model is not None
        session = self._open(self.folder.image_model, self._threads)
        with _naming(self.folder.image_model):
            port, size = image_port(session), self._rule().size
            declared = {side for side in port.shape[1:] if side not in (None, 3)}
            if declared and declared != {size}:
                raise ModelCorrupt(f"the image tower takes {port.shape}, the preprocessing makes {size} x {size}.")
            return session, choose_output(session, "image", self.dim, None)

    def _load_text_tower(self) -> tuple[Session, Tokens, int]:
        assert self.folder.text_model is not None
        assert self.folder.tokenizer is not None
        assert self.spec.text is not None
        session = self._open_text(self.folder.text_model, self._threads)
        with _naming(self.folder.text_model):
            shape = ids_port(session).shape
            output = choose_output(session, "text", self.dim, self.spec.text.pooling)
        return session, Tokens(self.folder.tokenizer, self.spec.text, shape[1] if len(shape) == 2 else None), output

    def _unit(self, vectors: Vectors, modality: str) -> Vectors:
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise ModelCorrupt(
                f"{self.name}: the {modality} tower gives {vectors.shape}, the specification says {self.dim} wide."
            )
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        bad = np.flatnonzero(~(np.isfinite(norms[:, 0]) & (norms[:, 0] > 1e-12)))
        if len(bad):
            raise ModelError(
                f"{self.name}: {modality} {int(bad[0])} of {len(vectors)} came out zero or not finite: not stored."
            )
        unit: Vectors = vectors / norms
        return unit


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Puts the file's name before the message of a ModelCorrupt."""
    try:
        yield
    except ModelCorrupt as error:
        raise ModelCorrupt(f"{path}: {error} Fetch or export the model again.") from error
