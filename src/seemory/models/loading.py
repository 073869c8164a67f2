"""Which encoder is meant by a name or a folder, where its files lie, and what `auto` stands for."""

from __future__ import annotations

from pathlib import Path

from seemory.errors import ModelNotFound
from seemory.models.catalog import ModelSpec, default_name, find_spec
from seemory.models.choosing import precision_for, way_for
from seemory.models.encoder import BUNDLED, Encoder
from seemory.models.fingerprint import Hashes, fingerprint
from seemory.models.folder import ModelFolder, read_folder
from seemory.models.precision import PRECISIONS, Precision, Way, full_name, split_name
from seemory.models.query_cache import QUERIES
from seemory.models.running import opener
from seemory.telemetry import ProgressListener, ignore


def load_encoder(
    name_or_path: str,
    *,
    home: Path,
    threads: int | None = None,
    offline: bool = False,
    runtime: str = "auto",
    queries: int = QUERIES,
    listen: ProgressListener = ignore,
) -> Encoder:
    """The encoder of that name, alias or folder; fetched into `home/models` if it is a catalogue name not there yet.

    A precision may stand behind the name (`vit-b-32-openai@int8`); without one it is fp32, always. `runtime` says what
    runs it where a precision leaves a choice; `auto`: what was measured to be fastest here, else ONNX Runtime.
    `queries` is how many queries' vectors it remembers.
    `listen` hears how far a fetch is. Nothing is loaded into memory before it is used. Raises ModelNotFound,
    ModelUnavailable (not on disk, and no hub or `offline`) or ModelCorrupt.
    """
    model, precision = read_name(name_or_path, home=home)
    folder = find_folder(model, home=home, offline=offline, listen=listen)
    hashes = _hashes(home)
    way = way_for(precision or "fp32", lambda: fingerprint(folder, hashes), home, runtime=runtime)
    return _encoder(folder, way, home, threads, hashes, queries)


def encoder_in(folder: ModelFolder, way: Way, *, home: Path, threads: int | None = None) -> Encoder:
    """The folder's encoder in a way that is named. Nothing is loaded into memory before it is used."""
    return _encoder(folder, way, home, threads, _hashes(home))


def find_folder(model: str, *, home: Path, offline: bool = False, listen: ProgressListener = ignore) -> ModelFolder:
    """The files of a model by its name without a precision, or by its folder; fetched and raises as `load_encoder`."""
    path = Path(model).expanduser()
    try:
        spec = find_spec(model, home)
    except ModelNotFound:
        if not path.is_dir():
            raise
        return read_folder(path, _entry_of(path, home))
    folder = _place(spec, home)
    if not _usable(spec, folder):
        from seemory.models import hub

        folder = hub.pull(spec, home=home, offline=offline, listen=listen)
    return read_folder(folder, spec)


def read_name(name_or_path: str, *, home: Path) -> tuple[str, Precision | None]:
    """(the model's name in the catalogue or its folder's full path, the precision that stands behind it, or None).

    Raises ModelNotFound. Nothing is fetched.
    """
    model, precision = split_name(name_or_path)
    try:
        return _model_name(model, home), precision
    except ModelNotFound:
        # A folder may be called anything, also `exported@int8`.
        if precision is not None and Path(name_or_path).expanduser().is_dir():
            return _model_name(name_or_path, home), None
        stem, _, last = name_or_path.rpartition("@")
        if stem and precision is None and _is_known(stem, home):
            raise ModelNotFound(
                f"{name_or_path}: {last!r} is no precision; there are {', '.join(PRECISIONS)}."
            ) from None
        raise


def remembered_name(name_or_path: str, *, home: Path) -> str:
    """What to write down so that `load_encoder` finds the same encoder from anywhere: a name, or a folder's full path,
    and behind it the precision where it is not fp32.

    Raises ModelNotFound. Nothing is fetched.
    """
    model, precision = read_name(name_or_path, home=home)
    return full_name(model, precision or "fp32")


def name_for_new_vectors(
    name_or_path: str, *, home: Path, precision: str = "auto", runtime: str = "auto", fidelity: float = 0.99
) -> tuple[str, str | None]:
    """`remembered_name` of a model whose vectors are yet to be made, and a line to show, if there is one.

    A precision behind the name holds. Without one it is what the settings name, or, for `auto`, the fastest that was
    measured on this machine to keep the fidelity; fp32 where nothing was. Raises ModelNotFound. Nothing is fetched.
    """
    model, stated = read_name(name_or_path, home=home)
    if stated is not None:
        return full_name(model, stated), None

    def measured() -> str:
        # Of a model that has yet to be fetched nothing was measured.
        return fingerprint(find_folder(model, home=home), _hashes(home)) if on_disk(model, home=home) else ""

    chosen, notice = precision_for(measured, home, precision=precision, runtime=runtime, fidelity=fidelity)
    return full_name(model, chosen), notice


def on_disk(name_or_path: str, *, home: Path) -> bool:
    """Whether `load_encoder` would need no fetch. Raises ModelNotFound."""
    model, _ = read_name(name_or_path, home=home)
    try:
        spec = find_spec(model, home)
    except ModelNotFound:
        return True  # a folder
    return _usable(spec, _place(spec, home))


def resolve_auto(*, home: Path, timeout_s: float = 2.0, offline: bool = False) -> tuple[str, str | None]:
    """The name that `auto` stands for here and now, and a line to show when it is the bundled stand-in."""
    from seemory.models import hub

    spec = find_spec(default_name(), home)
    if _usable(spec, _place(spec, home)):
        return spec.name, None
    if not offline and hub.answers(spec, timeout_s):
        return spec.name, None
    reason = "offline" if offline else f"no answer within {timeout_s:g} s"
    return BUNDLED, (
        f"Using the bundled {BUNDLED}: {spec.name} is not on disk and cannot be fetched ({reason}). "
        f"`seemory models pull {spec.name}` when there is a network finds far better."
    )


def _encoder(
    folder: ModelFolder, way: Way, home: Path, threads: int | None, hashes: Hashes, queries: int = QUERIES
) -> Encoder:
    return Encoder(
        folder,
        threads=threads,
        hashes=hashes,
        open_session=opener(way, home=home, hashes=hashes),
        open_text=opener(way, home=home, hashes=hashes, mapped=True),
        way=way,
        queries=queries,
    )


def _hashes(home: Path) -> Hashes:
    return Hashes(home / "models" / "hashes.json")


def _model_name(name_or_path: str, home: Path) -> str:
    try:
        return find_spec(name_or_path, home).name
    except ModelNotFound:
        path = Path(name_or_path).expanduser()
        if not path.is_dir():
            raise
        return str(path.absolute())


def _is_known(name_or_path: str, home: Path) -> bool:
    try:
        _model_name(name_or_path, home)
    except ModelNotFound:
        return False
    return True


def _place(spec: ModelSpec, home: Path) -> Path:
    """Where the model's files are, or would be."""
    return Path(__file__).parent / "bundled" / spec.name if spec.bundled else home / "models" / spec.name


def _usable(spec: ModelSpec, folder: Path) -> bool:
    """Whether the folder is whole. One without a manifest was put there by hand: taken as it is, not overwritten."""
    if spec.bundled:
        return True
    from seemory.models import hub

    return folder.is_dir() and (hub.is_complete(spec, folder) or not (folder / hub.MANIFEST).is_file())


def _entry_of(path: Path, home: Path) -> ModelSpec | None:
    """The catalogue's entry for a folder that has a known model's name, such as `ViT-B-32__openai`."""
    try:
        return find_spec(path.resolve().name, home)
    except ModelNotFound:
        return None
