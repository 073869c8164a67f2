"""What was measured of an encoder on this machine, kept in the data folder, and which way that speaks for."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seemory.errors import ModelError
from seemory.models.fidelity import Agreement, Measured
from seemory.models.machine import machine, machine_id
from seemory.models.precision import PRECISIONS, WAYS, Precision, Way, ways_of

_FORMAT = 1
# Two ways of one precision share a fingerprint, so they must give one vector, up to the order of additions.
SAME = 0.9999
# Less is within what one measurement differs from the next.
WORTH_IT = 1.1


@dataclass(frozen=True, slots=True)
class Report:
    """What `seemory models check` measured of one encoder on one machine."""

    model: str
    fingerprint: str
    """Of the encoder in fp32."""
    ways: tuple[Measured, ...]
    """The first is fp32 by ONNX Runtime."""
    material: str
    """What it was measured with, in words."""

    def as_json(self) -> dict[str, Any]:
        """The report as a document; `read_report` understands it."""
        return {
            "format": _FORMAT,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "machine": machine(),
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "material": self.material,
            "ways": [asdict(measured) for measured in self.ways],
        }


def save_report(report: Report, home: Path) -> Path:
    """Where the report was written: one file for each encoder and machine. Raises ModelError when it cannot be."""
    path = _path(report.fingerprint, home)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=".report-", delete=False, encoding="utf-8"
        ) as file:
            json.dump(report.as_json(), file, indent=1)
        Path(file.name).replace(path)
    except OSError as error:
        raise ModelError(f"{path}: what was measured cannot be kept there ({error}).") from error
    return path


def read_report(fingerprint: str, home: Path) -> Report | None:
    """What was measured of the encoder with that fingerprint in fp32, on this machine as it is now; else None.

    A file that makes no sense counts as none: measuring again is cheap, and a search must not fail over it.
    """
    path = _path(fingerprint, home)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if (document["format"], document["fingerprint"], document["machine"]) != (_FORMAT, fingerprint, machine()):
            return None
        ways = tuple(_measured(item) for item in document["ways"])
        return Report(str(document["model"]), fingerprint, ways, str(document["material"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def fastest(ways: Sequence[Measured], fidelity: float, allowed: Sequence[Way] = WAYS) -> Way | None:
    """The fastest of the allowed ways whose fidelity is enough; None when none of them was measured and is.

    fp32 has to be the same vector (0.9999), whatever runs it. An earlier one in `ways` is left only for one that is a
    tenth faster.
    """
    best: Measured | None = None
    for measured in ways:
        enough = max(fidelity, SAME) if measured.precision == "fp32" else fidelity
        if measured.way not in allowed or measured.fidelity < enough or not measured.speed > 0:
            continue
        if best is None or measured.speed >= WORTH_IT * best.speed:
            best = measured
    return None if best is None else best.way


def precision_for(
    fingerprint: Callable[[], str], home: Path, *, precision: str, runtime: str, fidelity: float
) -> tuple[Precision, str | None]:
    """The precision of new vectors by the settings and by what was measured here, and a line to show, if there is one.

    `fingerprint` gives that of the encoder in fp32.

    Raises:
        ModelError: a precision and a runtime were named that do not go together.
    """
    allowed = [way for way in WAYS if runtime in ("auto", way.runtime) and precision in ("auto", way.precision)]
    if not allowed:
        able = ", ".join(way.runtime for way in WAYS if way.precision == precision)
        raise ModelError(f"models.precision = {precision} runs in {able} only, but models.runtime = {runtime}.")
    report = _read_if_any(fingerprint, home)
    named = next((known for known in PRECISIONS if known == precision), None)
    if named is None:
        chosen = fastest(report.ways, fidelity, allowed) if report else None
        return (chosen.precision if chosen else "fp32"), None
    if named == "fp32" or (report and fastest(report.ways, fidelity, allowed)):
        return named, None
    why = "is under the fidelity that is asked for" if report and _was_measured(report, named) else "was not measured"
    return named, f"Using {named} as the settings say: on this machine it {why} (seemory models check)."


def way_for(precision: Precision, fingerprint: Callable[[], str], home: Path, *, runtime: str = "auto") -> Way:
    """What runs an encoder of that precision: the runtime that is named if it can, else the fastest measured here.

    `fingerprint` gives that of the encoder in fp32.
    """
    ways = ways_of(precision)
    if len(ways) == 1:
        return ways[0]
    named = next((way for way in ways if way.runtime == runtime), None)
    if named is not None:
        return named
    report = _read_if_any(fingerprint, home)
    return (fastest(report.ways, 0.0, ways) if report else None) or ways[0]


def _read_if_any(fingerprint: Callable[[], str], home: Path) -> Report | None:
    """The report; where nothing was ever measured, weights need not be read for their fingerprint."""
    return read_report(fingerprint(), home) if (home / "models" / "checked").is_dir() else None


def _was_measured(report: Report, precision: Precision) -> bool:
    return any(measured.precision == precision and measured.missing is None for measured in report.ways)


def _path(fingerprint: str, home: Path) -> Path:
    return home / "models" / "checked" / f"{fingerprint[:32]}-{machine_id()}.json"


def _measured(item: dict[str, Any]) -> Measured:
    values = {field.name: item[field.name] for field in fields(Measured)}
    for name in ("pictures", "texts"):
        values[name] = None if values[name] is None else Agreement(**values[name])
    if values["recall"] is not None:
        values["recall"] = {int(k): float(share) for k, share in values["recall"].items()}
    return Measured(**values)
