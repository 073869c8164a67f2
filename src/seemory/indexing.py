"""Files → items with vectors: walk, hash, decode, embed and write, as one bounded pipeline.

Each file costs only what is new about it: an unchanged one (size and time of change) costs a look, known bytes under a
new name cost a hash, a new picture costs a forward pass; of several new files with the same bytes, one does. While one
batch is written the next is embedded, and a file is reported only when it is committed; so a kill loses at most these
two batches, and the next run goes on from there.

A picture goes to the live generation and to the one beside it, if there is one. Should an operator change them while a
batch is under way, the store refuses it whole, and it is made again for the generations there are then.

Films come after the pictures, one by one (`film_indexing`): each is minutes of work, and is written whole or not at
all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from seemory.embedding.pictures import EmbedFiles, MadeBatch, Targets, completed
from seemory.errors import GenerationsChanged, MediaError
from seemory.film_indexing import FilmIndexer
from seemory.index_candidate import Candidate
from seemory.index_report import FileResult, IndexReport, Settled, Status
from seemory.lookahead import ahead, batches
from seemory.media.files import FileState, find_files, hash_file, lies_in
from seemory.media.film_opening import is_film
from seemory.same_bytes import UnderWay
from seemory.store.items import Items
from seemory.telemetry import ProgressListener, Stopped, ignore
from seemory.types import FileOutcome, Generation, KnownFile

LOOK = 1000  # files looked up in one query
HASHED = 64  # files whose hashes are looked up in one query
_TRIES = 20  # of one batch, while operators change the generations

T = TypeVar("T")

_Retold = tuple[KnownFile, Path, Status]
"""A known film with other words than before, where it is, and what else became of it."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Candidates with all that was learned of them, for the generations they were embedded for."""

    candidates: Sequence[Candidate]
    targets: Targets
    outcomes: Sequence[FileOutcome]


class Indexer:
    """Brings folders into one collection's live generation."""

    def __init__(
        self,
        items: Items,
        targets: Callable[[], Targets],
        embedding: EmbedFiles,
        films: FilmIndexer,
    ) -> None:
        """Nothing is read or written yet.

        Args:
            items: the owner's files and items.
            targets: where new pictures go at this moment; asked again and again, as it may change during a run.
            embedding: who decodes and embeds pictures.
            films: who does so with films, in this process.
        """
        self._films = films
        self._items = items
        self._targets = targets
        self._embedding = embedding
        self._collection = targets().live.generation.collection

    def run(
        self,
        roots: Sequence[Path],
        *,
        recursive: bool = True,
        prune: bool = False,
        retry_failed: bool = False,
        reprocess: bool = False,
        within: Sequence[Path] | None = None,
        listen: ProgressListener = ignore,
    ) -> IndexReport:
        """The report of one whole run; Ctrl-C, or a listener's `Stopped`, ends it early, with `interrupted` set and all
        finished work kept.

        With `within`, only files that really lie in these folders, links followed.

        Raises:
            UsageError: a root does not exist.
        """
        report, start = IndexReport(), time.monotonic()
        results = self.stream(
            roots,
            recursive=recursive,
            retry_failed=retry_failed,
            reprocess=reprocess,
            within=within,
            listen=listen,
            report=report,
        )
        try:
            with closing(results):
                for _ in results:
                    pass
            if prune:
                report.missing = self.prune(roots)
        except (KeyboardInterrupt, Stopped):
            report.interrupted = True
        report.seconds = time.monotonic() - start
        return report

    def stream(
        self,
        roots: Sequence[Path],
        *,
        recursive: bool = True,
        retry_failed: bool = False,
        reprocess: bool = False,
        within: Sequence[Path] | None = None,
        listen: ProgressListener = ignore,
        report: IndexReport | None = None,
    ) -> Generator[FileResult, None, None]:
        """Each file's result as soon as it is committed; `report`, where given, counts them as well.

        With `reprocess`, known and unchanged files are read again as well.
        """
        report = report or IndexReport()
        unreadable: list[FileResult] = []
        found = find_files(
            [Path(os.path.abspath(root)) for root in roots],  # noqa: PTH100 - resolve() would follow symlinks
            recursive=recursive,
            on_error=lambda path, error: unreadable.append(FileResult(str(path), "failed", str(error))),
        )
        allowed = found if within is None else (file for file in found if lies_in(file.path, within))
        files = list(allowed)  # names only: a million files are some 200 MB, and the bar needs the total
        settled = Settled(len(files) + len(unreadable), listen, report)
        for result in unreadable:
            settled.add(result)
        # Pools of their own: hashing waits for the disk, and must not stand in line behind decoding.
        with (
            ThreadPoolExecutor(2, "seemory-hash") as hashers,
            ThreadPoolExecutor(1, "seemory-write") as writer,
        ):
            retold: list[_Retold] = []
            candidates = self._changed(files, settled, retry_failed, reprocess, retold)
            hashed = ahead(hashers, self._hash, candidates, 2 * HASHED)
            in_hand: UnderWay[Candidate] = UnderWay()
            yield from self._bring(hashed, writer, settled, reprocess, retold, in_hand)
            if in_hand.waiting:  # what they waited for is written: it has a vector, or this one fails alike
                yield from self._bring(in_hand.waiting, writer, settled, reprocess, retold)
        for known, path, status in retold:  # last: a model that listens takes its time
            result = self._films.retell(known, path, settled.under_way)
            settled.add(replace(result, status=status) if result.status == "unchanged" else result)
            yield from settled.drain()
        for target in self._targets().all:
            with suppress(GenerationsChanged):  # it was dropped a moment ago and needs no index
                self._items.ensure_index(target.generation)
        yield from settled.drain()

    def prune(self, roots: Sequence[Path]) -> int:
        """How many files under the roots were gone from disk and are now marked missing (left out of searches)."""
        known = self._items.under(self._collection, [os.path.abspath(root) for root in roots])  # noqa: PTH100
        gone = [asset_id for asset_id, uri in known if not os.path.lexists(uri)]
        return self._items.mark_missing(self._collection, gone)

    def _changed(
        self,
        files: Iterable[FileState],
        settled: Settled,
        retry_failed: bool,
        reprocess: bool,
        retold: list[_Retold],
    ) -> Iterator[Candidate]:
        """The files whose size or time of change is new to the store, or that have no vector yet.

        Films of which only the words are new come into `retold`.
        """
        for group in batches(files, LOOK):
            settled.heed()
            uris = [str(file.path) for file in group]
            known = self._ask(lambda live, uris=uris: self._items.known(self._collection, live, uris))  # type: ignore[misc]
            back = [k.asset_id for k in known.values() if k.missing]
            if back:
                self._items.unmark_missing(self._collection, back)
            for file in group:
                uri = str(file.path)
                before = known.get(uri)
                if before and not reprocess and (before.bytes, before.mtime_ns) == (file.size, file.mtime_ns):
                    if before.embedded:
                        self._settle(before, file.path, "unchanged", settled, retold)
                        continue
                    if before.error is not None and not retry_failed and not before.missing:
                        settled.add(FileResult(uri, "known_bad", before.error))
                        continue
                yield Candidate(uri, file.path, file.size, file.mtime_ns, before)

    def _settle(self, known: KnownFile, path: Path, status: Status, settled: Settled, retold: list[_Retold]) -> None:
        """Count a file whose bytes need nothing; a film with other words than before is kept for later."""
        if self._films.is_retold(known, path):
            retold.append((known, path, status))
        else:
            settled.add(FileResult(str(path), status))

    def _hash(self, candidate: Candidate) -> Candidate:
        try:
            return replace(candidate, sha256=hash_file(candidate.path))
        except (OSError, MediaError) as error:
            return replace(candidate, error=str(error))

    def _bring(
        self,
        hashed: Iterable[Candidate],
        writer: Executor,
        settled: Settled,
        reprocess: bool,
        retold: list[_Retold],
        in_hand: UnderWay[Candidate] | None = None,
    ) -> Iterator[FileResult]:
        """Embed and write what is new of the files; the others are settled by their hash, or wait in `in_hand`.

        Films come last, each alone: one takes minutes, and pictures need not wait for it.
        """
        films: list[Candidate] = []
        fresh = self._unknown_bytes(hashed, settled, reprocess, retold, in_hand)
        pictures = (one for one in fresh if not _set_aside(one, films))
        embedded = map(_batch, self._embedding.stream(pictures, self._targets))
        write = partial(self._write, settled, in_hand)
        for _ in ahead(writer, write, embedded, 2):  # one batch is written while the next is embedded
            yield from settled.drain()
        for film in films:
            settled.add(self._films.index(film, settled.under_way))
            yield from settled.drain()

    def _unknown_bytes(
        self,
        hashed: Iterable[Candidate],
        settled: Settled,
        reprocess: bool,
        retold: list[_Retold],
        in_hand: UnderWay[Candidate] | None,
    ) -> Iterator[Candidate]:
        """The files whose bytes the store has no vector for; the others are settled by their hash, or wait."""
        for group in batches(hashed, HASHED):
            hashes = [c.sha256 for c in group if c.sha256 is not None]
            busy = in_hand.among(hashes) if in_hand else set()
            known = self._ask(lambda live, hashes=hashes: self._items.by_hash(self._collection, live, hashes))  # type: ignore[misc]
            pairs = []
            for candidate in group:
                if candidate.error is not None:
                    self._write_unread(candidate)
                    settled.add(FileResult(candidate.uri, "failed", candidate.error))
                    continue
                assert candidate.sha256 is not None
                twins = [k for k in known.get(candidate.sha256, ()) if k.embedded]
                if not twins and in_hand and candidate.sha256 in busy:
                    in_hand.waiting.append(candidate)
                elif not twins or (reprocess and candidate.known is not None):
                    if in_hand:
                        busy.add(candidate.sha256)
                        in_hand.begin(candidate.sha256)
                    yield candidate
                elif any(twin.uri == candidate.uri for twin in twins):  # rewritten with the same bytes
                    known_as = candidate.known or twins[0]
                    self._items.touch([known_as.asset_id], [(candidate.bytes, candidate.mtime_ns)])
                    self._settle(known_as, candidate.path, "unchanged", settled, retold)
                elif candidate.known is None and (gone := _gone(twins)) is not None:
                    self._items.move(gone.asset_id, candidate.uri, candidate.bytes, candidate.mtime_ns)
                    twins.remove(gone)
                    known[candidate.sha256] = [replace(gone, uri=candidate.uri), *twins]
                    self._settle(gone, candidate.path, "moved", settled, retold)
                elif twins[0].kind == "scene":
                    settled.add(self._films.copy(candidate, twins[0], settled.under_way))
                else:
                    pairs.append((candidate, twins[0]))
            if pairs and not self._copy(pairs):
                yield from (candidate for candidate, _ in pairs)
            else:
                for candidate, _ in pairs:
                    settled.add(FileResult(candidate.uri, "copied"))

    def _ask(self, look: Callable[[Generation], T]) -> T:
        """What a look into the live generation gives; looked again where it was dropped in between."""
        while True:
            live = self._targets().live.generation
            try:
                return look(live)
            except GenerationsChanged:
                if self._targets().live.generation.id == live.id:
                    raise

    def _copy(self, pairs: Sequence[tuple[Candidate, KnownFile]]) -> bool:
        """Whether the files were written with the vectors of those that have the same bytes."""
        targets = self._targets()
        outcomes = [(candidate.outcome(), twin.asset_id) for candidate, twin in pairs]
        try:
            self._items.copy_vectors(self._collection, targets.live.generation, outcomes, targets.covered)
            return True
        except GenerationsChanged:
            return False

    def _write_unread(self, candidate: Candidate) -> None:
        """Commit a file that could not even be hashed."""
        nothing = _Batch([candidate], self._targets(), [candidate.outcome()])
        self._commit(nothing, lambda batch: replace(batch, targets=self._targets()))

    def _again(self, batch: _Batch) -> _Batch:
        """The same files for the generations there are now. The whole pictures are gone, so they are read once more."""
        made = list(self._embedding.stream(batch.candidates, self._targets))
        assert len(made) == 1, "what was one batch is one batch again"
        return _batch(made[0])

    def _write(self, settled: Settled, in_hand: UnderWay[Candidate] | None, batch: _Batch) -> None:
        """Commit a batch; only then are its files settled."""
        batch = self._commit(batch, self._again)
        if in_hand:
            in_hand.written([one.sha256 for one in batch.candidates if one.sha256 is not None])
        for outcome in batch.outcomes:
            error = outcome.error or (outcome.record.error if outcome.record else None)
            settled.add(FileResult(outcome.uri, "failed" if error else "indexed", error))

    def _commit(self, batch: _Batch, again: Callable[[_Batch], _Batch]) -> _Batch:
        """The batch as it was written: as it came, or as `again` made it after the generations changed."""
        for tries_left in reversed(range(_TRIES)):
            live = batch.targets.live.generation
            try:
                self._items.write(self._collection, live, batch.outcomes, batch.targets.covered)
                break
            except GenerationsChanged:
                if not tries_left:
                    raise
                batch = again(batch)
        return batch


def _set_aside(candidate: Candidate, films: list[Candidate]) -> bool:
    """Whether the file is a film; it is then kept for later."""
    if is_film(candidate.path):
        films.append(candidate)
        return True
    return False


def _gone(twins: Sequence[KnownFile]) -> KnownFile | None:
    """The first of the files with the same bytes that is no longer where it was."""
    return next((twin for twin in twins if not os.path.lexists(twin.uri)), None)


def _batch(made: MadeBatch[Candidate]) -> _Batch:
    """All that was learned of a batch, as the store takes it."""
    outcomes = [
        completed(candidate.outcome(), made.targets, one) for candidate, one in zip(made.files, made.made, strict=True)
    ]
    return _Batch(made.files, made.targets, outcomes)
