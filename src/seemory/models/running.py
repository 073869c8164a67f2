"""How an encoder's towers are opened in a way (a precision and what runs it), and which ways there are here."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path

from seemory.errors import ModelError
from seemory.models.encoder import OpenSession
from seemory.models.fingerprint import Hashes, external_files
from seemory.models.folder import ModelFolder
from seemory.models.machine import sums_of_8_bit_products_overflow
from seemory.models.mapped import MappedTowers
from seemory.models.precision import WAYS, Way
from seemory.models.quantised import QuantisedTowers
from seemory.models.session import CUDA, OnnxSession, Session

_INT8 = Path("models") / "int8"
"""Where 8-bit copies are kept, in the data folder."""
_MAPPED = Path("models") / "mapped"
"""Where copies are kept that are mapped."""


def opener(way: Way, *, home: Path, hashes: Hashes, mapped: bool = False) -> OpenSession:
    """What opens a tower in that way. What is missing for it is an error when a tower is opened, not before.

    With `mapped`, ONNX Runtime maps large towers from copies in the data folder (`MappedTowers`).
    """
    if way.runtime == "cuda":
        return lambda path, threads: OnnxSession(path, threads, cuda=True)
    towers = _copies(way, home, hashes)
    if way.runtime == "openvino":
        return lambda path, threads: _openvino(towers.made(path) if towers else path, threads, way)
    exact = towers is not None and sums_of_8_bit_products_overflow()
    copies = MappedTowers(home / _MAPPED, hashes) if mapped else None

    def opened(path: Path, threads: int | None) -> Session:
        tower = towers.made(path) if towers else path
        load = partial(OnnxSession, threads=threads, exact_products=exact)
        return copies.session(tower, load) if copies else load(tower)

    return opened


def prepare(folder: ModelFolder, way: Way, *, home: Path) -> None:
    """Make the 8-bit copies that a way needs, so that loading it does not. Raises ModelError when they cannot be."""
    if copies := _copies(way, home, Hashes(home / "models" / "hashes.json")):
        for tower in (folder.image_model, folder.text_model):
            if tower is not None:
                copies.made(tower)


def towers_bytes(folder: ModelFolder, way: Way, *, home: Path) -> int:
    """What the towers' files that a way loads take on disk; 8-bit copies that were not made yet take nothing."""
    copies = _copies(way, home, Hashes(home / "models" / "hashes.json"))
    files: list[Path] = []
    for tower in (folder.image_model, folder.text_model):
        if tower is not None:
            files += [copies.path(tower)] if copies else [tower, *external_files(tower)]
    return sum(file.stat().st_size for file in files if file.is_file())


def ways_here() -> dict[Way, str | None]:
    """All ways, each with the reason why it cannot be gone on this machine, or None."""
    return {way: _missing(way) for way in WAYS}


def _copies(way: Way, home: Path, hashes: Hashes) -> QuantisedTowers | None:
    """The 8-bit copies that a way loads in place of the towers; None where it loads the towers."""
    if way.precision != "int8":
        return None
    return QuantisedTowers(home / _INT8, hashes, "weights" if way.runtime == "openvino" else "products")


def _missing(way: Way) -> str | None:
    if way.runtime == "cuda":
        import onnxruntime

        return None if CUDA in onnxruntime.get_available_providers() else "no onnxruntime-gpu"
    if way.runtime == "openvino":
        if find_spec("openvino") is None:
            return "not installed: pip install 'seemory[openvino]'"
        if way.precision == "bf16":
            from seemory.models.openvino_session import has_bf16

            try:
                return None if has_bf16() else "this processor has no bfloat16"
            except ModelError as error:
                return str(error)
    if way.precision == "int8" and find_spec("onnx") is None:
        return "not installed: pip install 'seemory[int8]'"
    return None


def _openvino(path: Path, threads: int | None, way: Way) -> Session:
    from seemory.models.openvino_session import OpenVinoSession

    return OpenVinoSession(path, threads, precision=way.precision)
