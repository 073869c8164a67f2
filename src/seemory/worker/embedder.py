"""Pictures to vectors for a worker that must not stop: a vector or None, always a record, and never an exception."""

from __future__ import annotations

import atexit
import json
import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from seemory.health import EmbeddingFigures, EmbeddingTally
from seemory.store.texts import clean, clean_json
from seemory.types import EmbeddingRecord, Vector, error_text
from seemory.worker.environment import Asked, WorkerSettings, names_in, read_environment, time_limit
from seemory.worker.process import CannotLoad, ModelProcess, ProcessDied, TimedOut

_log = logging.getLogger("seemory.worker")


class VisualEmbedder:
    """Embeds picture files one by one, in a process of its own that is loaded at first use and killed when it hangs.

    All embedders of a program that are told the same share that process and its figures. Any number of threads may
    use one. No method raises.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """Nothing is loaded or started yet.

        Args:
            environ: where the `CLIP_*` names are read; by default, and now, the process's environment. A wrong value
                becomes the error of every record.
        """
        self._problem: str | None = None
        self._settings = WorkerSettings()
        names: Mapping[str, str] = os.environ if environ is None else environ
        try:
            self._settings = read_environment(names)
        except Exception as error:
            self._problem = error_text(error)
            with suppress(Exception):
                self._settings = WorkerSettings(Asked(*names_in(names)))
        if self._settings.debug_log:
            _log_to_somewhere()

    def embed(
        self, path: str | os.PathLike[str], quality: Mapping[str, Any] | None = None, timeout_s: float | None = None
    ) -> tuple[Vector | None, EmbeddingRecord]:
        """The picture's vector and its record; or None, and a record whose `error` says why.

        Args:
            path: a picture file.
            quality: what is known of the frame; it goes into the record of a vector as it is.
            timeout_s: seconds for this picture, waiting for other threads' pictures included and loading the model
                not; by default `CLIP_TIMEOUT_S`. The answer is there within 50 ms of it.

        Returns:
            `(d,)` float32 (of norm 1, unless `CLIP_NORMALIZE` is off), and the record.
        """
        vector: Vector | None = None
        try:
            vector, record = self._embed(path, quality, timeout_s)
        except Exception as error:  # the promise of this class
            record = self._record(path, error=error_text(error))
        with suppress(Exception):  # a strange logging handler must not break it either
            if self._settings.enabled:
                _of(self._settings.asked).tally.add(record)
            if self._settings.debug_log:
                _log.debug("%s", json.dumps(record.as_json()))
        return vector, record

    def embed_many(
        self, paths: Iterable[str | os.PathLike[str]], timeout_s: float | None = None
    ) -> list[tuple[Vector | None, EmbeddingRecord]]:
        """`embed` of each path, in their order, each with a time limit of its own.

        Where the paths themselves cannot be read to their end, the last record says so.
        """
        results: list[tuple[Vector | None, EmbeddingRecord]] = []
        try:
            for path in paths:
                results.append(self.embed(path, timeout_s=timeout_s))  # noqa: PERF401 - what was made before an error stays
        except Exception as error:
            results.append((None, self._record(None, error=error_text(error))))
        return results

    def is_available(self) -> bool:
        """Whether it is on and its model can be used; the model is loaded for that, if it is not yet."""
        if self._problem is not None or not self._settings.enabled:
            return False
        try:
            _of(self._settings.asked).process.load()
            return True
        except Exception:
            return False

    def model_information(self) -> dict[str, Any]:
        """What is known of the model; nothing is loaded for it.

        Keys: `enabled`, the record's `model_name`, `pretrained`, `embed_dim`, `normalized` and `device`, `timeout_s`,
        `problem` (what is wrong with the settings, or None), `fingerprint` (None before the first load), `process`
        (its id, or None) and `loads` (how many processes were started).
        """
        record = self._record(None)
        information: dict[str, Any] = {
            "enabled": self._settings.enabled,
            "model_name": record.model_name,
            "pretrained": record.pretrained,
            "embed_dim": record.embed_dim,
            "normalized": record.normalized,
            "device": record.device,
            "timeout_s": self._settings.timeout_s,
            "problem": self._problem,
        }
        with suppress(Exception):
            process = _of(self._settings.asked).process
            return information | {
                "fingerprint": (process.identity or {}).get("fingerprint"),
                "process": process.pid,
                "loads": process.loads,
            }
        return information | {"fingerprint": None, "process": None, "loads": 0}

    def figures(self) -> EmbeddingFigures:
        """How many pictures were embedded and how many failed, why, and how long it took, since the program began."""
        return _of(self._settings.asked).tally.figures()

    @staticmethod
    def reset() -> None:
        """End all models' processes and forget all figures. The next picture loads its model anew."""
        with _lock:
            ended = list(_known.values())
            _known.clear()
        for one in ended:
            with suppress(Exception):
                one.process.stop()

    def _embed(self, path: Any, quality: Any, timeout_s: Any) -> tuple[Vector | None, EmbeddingRecord]:
        if not self._settings.enabled:
            return None, self._record(path, error="Disabled: CLIP_ENABLED is off")
        if self._problem is not None:
            return None, self._record(path, error=self._problem)
        limit = self._settings.timeout_s if timeout_s is None else time_limit(timeout_s, "timeout_s")
        kept = _kept(quality)
        name = os.fsdecode(os.fspath(path))
        # The model's process has a working folder of its own.
        place = name if os.path.isabs(name) else os.path.join(os.getcwd(), name)  # noqa: PTH109, PTH117, PTH118 - `..` stays
        try:
            answer = _of(self._settings.asked).process.embed(place, limit)
        except TimedOut:
            return None, self._record(path, error=f"Timeout after {limit}s")
        except CannotLoad as error:
            return None, self._record(path, error=str(error))
        except ProcessDied as error:
            return None, self._record(path, error=f"ModelError: {error}")
        if answer.missing:
            return None, self._record(path, error=f"Image not found: {name}")
        if answer.vector is None:
            return None, self._record(path, error=answer.error)
        return answer.vector, self._record(path, quality=kept, milliseconds=answer.milliseconds)

    def _record(
        self,
        path: object,
        *,
        quality: Mapping[str, Any] | None = None,
        milliseconds: float | None = None,
        error: str | None = None,
    ) -> EmbeddingRecord:
        settings = self._settings
        asked = settings.asked
        known = _of(asked).process.identity or {}
        return EmbeddingRecord(
            model_name=clean(str(known.get("model_name", asked.model))),
            pretrained=clean(str(known.get("pretrained", asked.pretrained or ""))),
            embed_dim=int(known.get("embed_dim", _width(asked))) if settings.enabled else 0,
            normalized=asked.normalised,
            device=str(known.get("device", _device(asked))) if settings.enabled else "none",
            frame_path=_name_of(path),
            frame_quality=quality,
            inference_time_ms=milliseconds,
            error=None if error is None else clean(error)[:200],
        )


class _Shared:
    """A model's process and the figures of the embedders that use it."""

    def __init__(self, asked: Asked) -> None:
        self.process = ModelProcess(asked)
        self.tally = EmbeddingTally()


_lock = Lock()
_known: dict[Asked, _Shared] = {}


def _of(asked: Asked) -> _Shared:
    with _lock:
        return _known.setdefault(asked, _Shared(asked)) if asked not in _known else _known[asked]


@atexit.register
def _stop_all() -> None:
    """Kill what hangs; what does not hang would end by itself. Nothing is waited for."""
    for one in list(_known.values()):
        with suppress(Exception):
            one.process.stop()


def _after_fork() -> None:
    """A forked process begins without models: the pipes to them are its parent's."""
    global _lock
    _lock = Lock()  # another thread may have held it
    for one in _known.values():
        with suppress(Exception):
            one.process.forget()
    _known.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _name_of(path: object) -> str | None:
    """The file's name, as a record has it; None of what is no path."""
    try:
        return clean(Path(os.fsdecode(os.fspath(path))).name)[:255] or None  # type: ignore[call-overload]
    except Exception:
        return None


def _kept(quality: object) -> dict[str, Any] | None:
    """A copy of the quality that JSON can hold. Raises TypeError or ValueError for what makes no sense."""
    if quality is None:
        return None
    if not isinstance(quality, Mapping):
        raise TypeError(f"quality: a mapping or None, not {type(quality).__name__}")
    kept: dict[str, Any] = clean_json(quality)
    try:
        json.dumps(kept)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"quality: {error}") from error
    return kept


def _width(asked: Asked) -> int:
    """The width that the catalogue says, before a model is loaded; 0 where it does not."""
    try:
        from seemory.models.catalog import find_spec

        return find_spec(f"{asked.model}/{asked.pretrained}" if asked.pretrained else asked.model).dim
    except Exception:
        return 0


def _device(asked: Asked) -> str:
    """What will run the model, as far as that is known before it is loaded."""
    return "cuda" if asked.device == "cuda" else "cpu"


def _log_to_somewhere() -> None:
    with suppress(Exception):
        _log.setLevel(logging.DEBUG)
        if not _log.hasHandlers():
            _log.addHandler(logging.StreamHandler())
