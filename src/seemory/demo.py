"""The demo: real photographs, ten searches in words, what was right and what was wrong, and a contact sheet.

The photographs are those inside scikit-image's and scikit-learn's wheels. They are copied under names that say
nothing, so that a right answer was seen, not read.
"""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

from seemory.contact_sheet import Frame, Sheet, Strip, render
from seemory.demo_photographs import GENERAL_QUERIES, PHOTOGRAPHS, QUERIES, Photograph
from seemory.errors import MediaError, UsageError
from seemory.media.image import load_picture
from seemory.telemetry import Progress, ProgressListener
from seemory.types import Hit

_SHOWN: Final = 3
_THUMBNAIL: Final = 480
_OVERVIEW_THUMBNAIL: Final = 200
_BY_SIGHT: Final = {"visual": 1.0, "text": 0.0, "words": 0.0}  # file names and captions must not help


class Report(Protocol):
    """What indexing says it did."""

    @property
    def indexed(self) -> int:
        """Files that are findable because of this run."""
        ...

    @property
    def skipped(self) -> int:
        """Files that needed nothing."""
        ...

    @property
    def counts(self) -> Mapping[Any, int]:
        """Files by what became of them; `known_bad` are among the skipped."""
        ...

    @property
    def errors(self) -> list[tuple[str, str]]:
        """File and reason of the first failures."""
        ...


class DemoMemory(Protocol):
    """What the demo needs of a memory."""

    home: Path

    @property
    def encoder_name(self) -> str:
        """The encoder's name in the catalogue."""
        ...

    def index(self, *paths: Path, prune: bool = ..., listen: ProgressListener = ...) -> Report:
        """Bring folders into the collection; with `prune`, what is gone from them leaves its searches."""
        ...

    def search(self, words: str, *, limit: int = ..., weights: Mapping[str, float] | None = ...) -> list[Hit]:
        """The best hits, best first; the weights are those of what is seen and what is said."""
        ...

    def thumbnail(self, item_id: UUID) -> bytes | None:
        """The stored small picture, as JPEG."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """One search of the demo: its first hits, and where the expected photograph came."""

    words: str
    hits: tuple[Hit, ...]
    expected: str | None = None
    rank: int | None = None
    """The expected photograph's place, from 1; None where nothing was expected or it was not found at all."""

    @property
    def right(self) -> bool:
        """Whether the expected photograph came first."""
        return self.rank == 1


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo found."""

    encoder: str
    photographs: int
    answers: tuple[Answer, ...]
    index_seconds: float | None
    """None when everything was known already."""
    search_ms: float
    """Median of the searches, words to hits."""
    output: Path

    @property
    def right(self) -> int:
        """Searches whose expected photograph came first."""
        return sum(answer.right for answer in self.answers)


def run_demo(memory: DemoMemory, photographs_dir: Path | None, output: Path, say: Callable[[str], None]) -> DemoResult:
    """What the searches found; each is said as a line, and all of them are written to `output` as one HTML file.

    With `photographs_dir` None the package's photographs are searched and each answer is right or wrong; with a folder
    of one's own, general words are searched and nothing is judged.

    Raises:
        UsageError: the demo's photographs are not installed, the folder holds no picture, `output` cannot be written.
        ModelError, StoreError: nothing could be indexed.
    """
    known: dict[str, Photograph] = {}
    if photographs_dir is None:
        folder, known = _lay_out(memory.home / "demo-photographs")
        searches: Sequence[tuple[str, str | None]] = [q for q in QUERIES if q[1] in {p.name for p in known.values()}]
    else:
        folder = photographs_dir.expanduser()
        searches = [(words, None) for words in GENERAL_QUERIES]

    encoder = memory.encoder_name  # loads the encoder and starts the database, which is no part of the indexing's time
    start = time.perf_counter()
    report = memory.index(folder, prune=True, listen=_listener(say))
    index_seconds = time.perf_counter() - start if report.indexed else None
    count = report.indexed + report.skipped - report.counts.get("known_bad", 0)
    for path, reason in report.errors[:5]:
        say(f"not read: {path}: {reason}")
    if not count:
        raise UsageError(f"{folder}: no picture that could be indexed; name a folder with photographs")
    work = "known already" if index_seconds is None else f"indexed in {index_seconds:.1f} s"
    say(f"{_count(count, 'photograph')}, {work}, encoder {encoder}")
    say("")

    answers, search_ms = _ask(memory, searches, known, say)
    result = DemoResult(encoder, count, answers, index_seconds, search_ms, output)
    page = render(_sheet(result, known, memory))
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output}: cannot be written ({error.strerror}); name another file with --output") from error
    say("")
    if known:
        say(f"{result.right} of {len(result.answers)} right by sight alone")
    say(f"contact sheet: {output}")
    return result


def _ask(
    memory: DemoMemory,
    searches: Sequence[tuple[str, str | None]],
    known: dict[str, Photograph],
    say: Callable[[str], None],
) -> tuple[tuple[Answer, ...], float]:
    """The answers, each said as it comes, and the median time of a search in milliseconds."""
    answers: list[Answer] = []
    times: list[float] = []
    for words, expected in searches:
        start = time.perf_counter()
        # The whole ranking of the package's few photographs, so that a wrong answer can say where the right one came.
        hits = memory.search(words, limit=max(_SHOWN, len(known)), weights=_BY_SIGHT)
        times.append((time.perf_counter() - start) * 1e3)
        places = (place for place, hit in enumerate(hits, 1) if _name(hit, known) == expected)
        answers.append(Answer(words, tuple(hits[:_SHOWN]), expected, next(places, None)))
        say(_line(answers[-1], known))
    return tuple(answers), statistics.median(times or [0.0])


def _lay_out(folder: Path) -> tuple[Path, dict[str, Photograph]]:
    """The package's photographs under names that say nothing, and which is which by path."""
    found = [(photograph, path) for photograph in PHOTOGRAPHS if (path := photograph.find())]
    if not found:
        raise UsageError(
            "the demo's photographs come with scikit-image and scikit-learn: pip install 'seemory[demo]', "
            "or name a folder of your own with --photos"
        )
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - as the index spells paths: resolve() would follow links
    folder.mkdir(parents=True, exist_ok=True)
    known = {}
    for number, (photograph, path) in enumerate(found, 1):
        copy = folder / f"{number:02}{path.suffix}"
        if not copy.is_file() or copy.stat().st_size != path.stat().st_size:
            shutil.copyfile(path, copy)
        known[str(copy)] = photograph
    return folder, known


def _listener(say: Callable[[str], None]) -> ProgressListener:
    """Says how far a long indexing is, every few seconds; a short one passes in silence."""
    last = time.monotonic()

    def listen(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last > 5:
            last = time.monotonic()
            total = "" if progress.total is None else f" of {progress.total:,}"
            say(f"  {progress.done:,}{total} {progress.unit}")

    return listen


def _name(hit: Hit, known: dict[str, Photograph]) -> str:
    # A file name need not be valid UTF-8; what is printed has to be.
    return known[hit.uri].name if hit.uri in known else os.fsencode(Path(hit.uri).name).decode("utf-8", "replace")


def _line(answer: Answer, known: dict[str, Photograph]) -> str:
    found = ", ".join(f"{_name(hit, known)} {hit.score:.2f}" for hit in answer.hits) or "nothing"
    if answer.expected is None:
        return f"{answer.words:<26}{found}"
    verdict = "right" if answer.right else "wrong"
    missed = "" if answer.right else f"   ({_place(answer)})"
    return f"{verdict:<7}{answer.words:<26}{found}{missed}"


def _place(answer: Answer) -> str:
    if answer.rank is None:
        return f"the {answer.expected} was not found"
    return f"the {answer.expected} came {_ordinal(answer.rank)}"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _sheet(result: DemoResult, known: dict[str, Photograph], memory: DemoMemory) -> Sheet:
    strips = []
    for answer in result.answers:
        frames = tuple(_frame(hit, answer, known, memory) for hit in answer.hits)
        verdict = None if answer.expected is None else "Right" if answer.right else f"Wrong: {_place(answer)}"
        strips.append(Strip(answer.words, frames, verdict, answer.right if answer.expected else None))
    searches = len(result.answers)
    if known:
        title = f"{result.right} of {searches} right by sight alone"
        lead = (
            f"{_count(searches, 'search').replace('searchs', 'searches')} in words over "
            f"{_count(result.photographs, 'photograph')}. The file names were numbers; "
            f"the encoder saw pixels and nothing else. The queries were written down before it was asked."
        )
    else:
        title = "What your photographs show"
        lead = (
            f"{searches} searches in words over {_count(result.photographs, 'photograph')} of yours. "
            f"Nobody has said what is right here; look and judge."
        )
    facts = [
        ("Encoder", result.encoder),
        ("Photographs", f"{result.photographs:,}"),
        ("A search takes", f"{result.search_ms:.0f} ms"),
    ]
    if result.index_seconds is not None:
        facts.insert(2, ("Indexed in", f"{result.index_seconds:.1f} s"))
    overview = tuple(_overview(known))
    credits = sorted({f"{p.name}: {p.credit}" for p in known.values() if p.credit})
    return Sheet(title, lead, tuple(facts), tuple(strips), overview, tuple(credits))


def _frame(hit: Hit, answer: Answer, known: dict[str, Photograph], memory: DemoMemory) -> Frame:
    photograph = known.get(hit.uri)
    size, picture = _thumbnail(Path(hit.uri), _THUMBNAIL) or _stored(hit, memory)
    name = _name(hit, known)
    mark = None if answer.expected is None else (name == answer.expected)
    return Frame(picture, size, photograph.shows if photograph else name, name, hit.score, hit.cosine, mark)


def _overview(known: dict[str, Photograph]) -> Iterator[Frame]:
    for path, photograph in known.items():
        if found := _thumbnail(Path(path), _OVERVIEW_THUMBNAIL):
            yield Frame(found[1], found[0], photograph.shows, photograph.name)


def _thumbnail(path: Path, longest: int) -> tuple[tuple[int, int], bytes] | None:
    """A fresh small picture, sharper than the stored one; None where the file has gone meanwhile."""
    try:
        picture = load_picture(path, target=1, thumbnail_size=longest)
    except MediaError:
        return None
    return (picture.facts.width, picture.facts.height), picture.thumbnail


def _stored(hit: Hit, memory: DemoMemory) -> tuple[tuple[int, int], bytes | None]:
    size: Any = (hit.metadata.get("width"), hit.metadata.get("height"))
    whole = all(isinstance(side, int) and side > 0 for side in size)
    return (size if whole else (4, 3)), memory.thumbnail(hit.item_id)
