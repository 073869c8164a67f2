"""Pixels and words to vectors: one class for every model, composed of sessions, a tokenizer, a pooling rule, a spec."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

import numpy as np
from PIL import Image

from seemory.errors import ModelCorrupt, ModelError, ModelNotFound, TowerMissing
from seemory.models import preprocess as picture
from seemory.models.catalog import Direction, ModelSpec, default_name, find_spec
from seemory.models.fingerprint import Hashes, fingerprint
from seemory.models.folder import ModelFolder, read_folder
from seemory.models.session import OnnxSession, Session
from seemory.models.tokens import Tokens
from seemory.models.towers import choose_output, ids_port, image_port, image_vectors, text_vectors
from seemory.types import CosineStatistics, EmbeddingRecord, Pixels, Preprocess, Vectors

BUNDLED = "seemory-mini"

OpenSession = Callable[[Path, int | None], Session]

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
    ) -> None:
        self.spec: ModelSpec = folder.spec
        self.folder = folder
        self._threads = threads
        self._open = open_session
        self._image = _Once(self._load_image_tower)
        self._text = _Once(self._load_text_tower)
        self._fingerprint = _Once(lambda: fingerprint(folder, hashes or Hashes()))

    @property
    def name(self) -> str:
        """The catalogue's name, or the folder's."""
        return self.spec.name

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

    def embed_pixels(self, pixels: Pixels) -> Vectors:
        """`(n, d)` float32 of norm 1 for `(n, s, s, 3)` uint8 from `preprocess`.

        Raises TowerMissing, ModelCorrupt for a damaged tower, ModelError when a vector comes out zero or not finite.
        """
        rule = self._rule()
        if pixels.ndim != 4 or pixels.shape[1:] != (rule.size, rule.size, 3) or pixels.dtype != np.uint8:
            raise ModelError(
                f"{self.name} takes (n, {rule.size}, {rule.size}, 3) uint8, not {pixels.shape} {pixels.dtype}."
            )
        if len(pixels) == 0:
            return np.empty((0, self.dim), dtype=np.float32)
        session, output = self._image()
        return self._unit(image_vectors(session, pixels, rule, output), "picture")

    def embed_images(self, images: Sequence[Image.Image]) -> Vectors:
        """`(n, d)` float32 of norm 1 for pictures that are upright already."""
        size = self.image_size
        pixels = [self.preprocess(image) for image in images]
        return self.embed_pixels(np.stack(pixels) if pixels else np.empty((0, size, size, 3), dtype=np.uint8))

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """`(n, d)` float32 of norm 1, in the order given; longer texts than the tower's context are cut.

        Raises TowerMissing, ModelCorrupt for a damaged tower, ModelError when a vector comes out zero or not finite.
        """
        if not self.has_texts:
            raise TowerMissing(f"{self.name} has no text tower: it cannot embed words. Search with a picture instead.")
        if isinstance(texts, str):
            raise TypeError("embed_texts takes a sequence of texts, not one text")
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        session, tokens, output = self._text()
        assert self.spec.text is not None
        return self._unit(text_vectors(session, texts, tokens, self.spec.text, output), "text")

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
        model, _, pretrained = next((a for a in self.spec.aliases if "__" in a), self.name).partition("__")
        return EmbeddingRecord(
            model_name=model,
            pretrained=pretrained,
            embed_dim=self.dim,
            frame_path=frame_path,
            inference_time_ms=inference_time_ms,
            error=error,
        )

    def _rule(self) -> Preprocess:
        if not self.has_images or self.spec.preprocess is None:
            raise TowerMissing(f"{self.name} has no image tower: it cannot embed pictures.")
        return self.spec.preprocess

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
        session = self._open(self.folder.text_model, self._threads)
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


def load_encoder(name_or_path: str, *, home: Path, threads: int | None = None, offline: bool = False) -> Encoder:
    """The encoder of that name, alias or folder; fetched into `home/models` if it is a catalogue name not there yet.

    Nothing is loaded into memory before it is used. Raises ModelNotFound, ModelUnavailable (not on disk, and no hub or
    `offline`) or ModelCorrupt.
    """
    hashes = Hashes(home / "models" / "hashes.json")
    path = Path(name_or_path).expanduser()
    try:
        spec = find_spec(name_or_path, home)
    except ModelNotFound:
        if not path.is_dir():
            raise
        return Encoder(read_folder(path, _entry_of(path, home)), threads=threads, hashes=hashes)
    return Encoder(read_folder(_place(spec, home, offline), spec), threads=threads, hashes=hashes)


def remembered_name(name_or_path: str, *, home: Path) -> str:
    """What to write down so that `load_encoder` finds the same model from anywhere: a name, or a folder's full path.

    Raises ModelNotFound. Nothing is fetched.
    """
    try:
        return find_spec(name_or_path, home).name
    except ModelNotFound:
        path = Path(name_or_path).expanduser()
        if not path.is_dir():
            raise
        return str(path.absolute())


def resolve_auto(*, home: Path, timeout_s: float = 2.0, offline: bool = False) -> tuple[str, str | None]:
    """The name that `auto` stands for here and now, and a line to show when it is the bundled stand-in."""
    from seemory.models import hub

    spec = find_spec(default_name(), home)
    if _on_disk(spec, home / "models" / spec.name):
        return spec.name, None
    if not offline and hub.answers(spec, timeout_s):
        return spec.name, None
    reason = "offline" if offline else f"no answer within {timeout_s:g} s"
    return BUNDLED, (
        f"Using the bundled {BUNDLED}: {spec.name} is not on disk and cannot be fetched ({reason}). "
        f"`seemory models pull {spec.name}` when there is a network finds far better."
    )


def _place(spec: ModelSpec, home: Path, offline: bool) -> Path:
    """The folder with the model's files, which are fetched if need be."""
    if spec.bundled:
        return Path(__file__).parent / "bundled" / spec.name
    from seemory.models import hub

    folder = home / "models" / spec.name
    return folder if _on_disk(spec, folder) else hub.pull(spec, home=home, offline=offline)


def _on_disk(spec: ModelSpec, folder: Path) -> bool:
    """Whether the folder can be used. One without a manifest was put there by hand: taken as it is, not overwritten."""
    from seemory.models import hub

    return folder.is_dir() and (hub.is_complete(spec, folder) or not (folder / hub.MANIFEST).is_file())


def _entry_of(path: Path, home: Path) -> ModelSpec | None:
    """The catalogue's entry for a folder that has a known model's name, such as `ViT-B-32__openai`."""
    try:
        return find_spec(path.resolve().name, home)
    except ModelNotFound:
        return None
