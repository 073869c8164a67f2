"""Which encoder is meant by a name or a folder, where its files lie, and what `auto` stands for."""

from __future__ import annotations

from pathlib import Path

from seemory.errors import ModelNotFound
from seemory.models.catalog import ModelSpec, default_name, find_spec
from seemory.models.encoder import BUNDLED, Encoder
from seemory.models.fingerprint import Hashes
from seemory.models.folder import read_folder
from seemory.telemetry import ProgressListener, ignore


def load_encoder(
    name_or_path: str,
    *,
    home: Path,
    threads: int | None = None,
    offline: bool = False,
    listen: ProgressListener = ignore,
) -> Encoder:
    """The encoder of that name, alias or folder; fetched into `home/models` if it is a catalogue name not there yet.

    `listen` hears how far a fetch is. Nothing is loaded into memory before it is used. Raises ModelNotFound,
    ModelUnavailable (not on disk, and no hub or `offline`) or ModelCorrupt.
    """
    hashes = Hashes(home / "models" / "hashes.json")
    path = Path(name_or_path).expanduser()
    try:
        spec = find_spec(name_or_path, home)
    except ModelNotFound:
        if not path.is_dir():
            raise
        return Encoder(read_folder(path, _entry_of(path, home)), threads=threads, hashes=hashes)
    folder = _place(spec, home)
    if not _usable(spec, folder):
        from seemory.models import hub

        folder = hub.pull(spec, home=home, offline=offline, listen=listen)
    return Encoder(read_folder(folder, spec), threads=threads, hashes=hashes)


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


def on_disk(name_or_path: str, *, home: Path) -> bool:
    """Whether `load_encoder` would need no fetch. Raises ModelNotFound."""
    remembered = remembered_name(name_or_path, home=home)
    if Path(remembered).is_dir():
        return True
    spec = find_spec(remembered, home)
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
