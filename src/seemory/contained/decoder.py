"""A few decoding processes, seen from the program: each has one picture at a time, and a limit for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from queue import Empty, LifoQueue
from threading import Timer
from typing import Any, Final

from PIL import Image

from seemory.batching import time_left
from seemory.child_process import ChildProcess
from seemory.contained.child import MOST_PIXELS
from seemory.errors import MediaError, SeemoryError, TookTooLong, UnreadableMedia
from seemory.media.image import Picture
from seemory.metrics import WORK
from seemory.types import PictureFacts

_MOST_ANSWER: Final = 3 * MOST_PIXELS + 16_000_000
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMP", "PYTHONHOME")
_STARTING_S: Final = 30.0


class ContainedDecoder:
    """Decodes bytes of picture files (`ReadPicture`) for any number of threads, in processes of its own."""

    def __init__(self, *, processes: int, megabytes: int, seconds: float) -> None:
        """Nothing is started yet.

        Args:
            processes: how many pictures are decoded at once.
            megabytes: of address space that a process may take, itself included.
            seconds: that one picture may take.
        """
        self._megabytes = megabytes
        self._seconds = seconds
        self._idle: LifoQueue[ChildProcess | None] = LifoQueue()
        self._all: set[ChildProcess] = set()
        self._closed = False
        for _ in range(processes):
            self._idle.put(None)

    def __call__(
        self, content: bytes, *, suffix: str = "", target: int, max_pixels: int, thumbnail_size: int = 256
    ) -> Picture:
        """The picture, as `read_picture` gives it.

        Raises:
            MediaError: as that does; or it took too long, or the process ended over it.
            TookTooLong: no process was free within the time that the request has.
        """
        asked = {"suffix": suffix, "target": target, "max_pixels": max_pixels, "thumbnail_size": thumbnail_size}
        with WORK.timed("seemory_stage_seconds", stage="decode"), self._turn() as child:
            return _picture(*self._answer(child, asked, content))

    def close(self) -> None:
        """End all processes."""
        self._closed = True
        for child in list(self._all):
            child.kill()

    @contextmanager
    def _turn(self) -> Iterator[ChildProcess]:
        """A process that is free; whatever ends it, another takes its place with the next picture."""
        try:
            child = self._idle.get(timeout=time_left())
        except Empty:
            raise TookTooLong("all decoders were busy: try again when less is asked at once") from None
        try:
            if child is None or not child.alive:
                child = None  # if it cannot be started, the place stays
                child = self._started()
            yield child
        finally:
            self._idle.put(child)

    def _started(self) -> ChildProcess:
        self._all = {one for one in self._all if one.alive}
        if self._closed:
            raise UnreadableMedia("the program is ending; send it again")
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
        child = ChildProcess("seemory.contained.child", "seemory-decoded", environment=environment, most=_MOST_ANSWER)
        self._all.add(child)
        child.tell({"megabytes": self._megabytes})
        try:
            ready = child.answers.get(timeout=_STARTING_S)
        except Empty:
            ready = None
        if ready is None:
            child.kill()
            raise SeemoryError(f"a decoding process could not be started ({child.how_it_ended})")
        return child

    def _answer(self, child: ChildProcess, asked: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
        over = False

        def end() -> None:
            nonlocal over
            over = True
            child.kill()

        # Killed, it also lets go of a parent that is still writing to it.
        timer = Timer(self._seconds, end)
        timer.daemon = True
        timer.start()
        try:
            child.tell(asked, content)
            frame = child.answers.get()
        except BaseException:
            child.kill()  # its answer must not be the next picture's
            raise
        finally:
            timer.cancel()
        if frame is None:
            how = f"took more than {self._seconds:g} s" if over else f"ended the decoder ({child.how_it_ended})"
            if over:
                WORK.count("seemory_timeouts_total", reason="decoder")
            raise UnreadableMedia(f"decoding it {how}; save it again, or scale it down")
        return frame


def _picture(document: dict[str, Any], payload: bytes) -> Picture:
    """What the process has said, taken for what it may be: the words of a stranger."""
    if "error" in document:
        kinds = {kind.__name__: kind for kind in MediaError.__subclasses__()}
        raise kinds.get(str(document["error"]), UnreadableMedia)(str(document.get("message"))[:500])
    try:
        (width, height), told, end = document["size"], dict(document["facts"]), int(document["pixels"])
        taken = told.pop("taken_at")
        image = Image.frombytes("RGB", (int(width), int(height)), payload[:end])
        facts = PictureFacts(**told, taken_at=None if taken is None else datetime.fromisoformat(taken))
        return Picture(image, facts, payload[end:])
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableMedia("its decoder gave no picture; save it again") from error
