"""Speech → words with times, by a Whisper model that CTranslate2 runs (the package faster-whisper, extra `speech`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seemory.errors import ModelError, ModelUnavailable, UsageError

_FILES: Final = ("model.bin", "config.json", "tokenizer.json")


class SpeechModel:
    """A Whisper model, loaded at its first use."""

    def __init__(self, name: str, *, home: Path, threads: int, offline: bool) -> None:
        """Nothing is loaded or fetched yet.

        Args:
            name: a size that faster-whisper knows (`small`, `large-v3`, …), a model of the hub (`owner/name`), or a
                folder with a converted model.
            home: the data folder, in which fetched models are kept.
            threads: of the processor.
            offline: never ask the hub.

        Raises:
            UsageError: the extra `speech` is not installed, or there is no such size or folder.
        """
        if find_spec("faster_whisper") is None:
            raise UsageError("listening needs the packages of the extra `speech`: pip install 'seemory[speech]'")
        from faster_whisper import available_models

        folder = Path(name).expanduser()
        if folder.is_dir():
            missing = [file for file in _FILES if not (folder / file).is_file()]
            if missing:
                raise UsageError(f"{name}: no converted Whisper model, it lacks {', '.join(missing)}")
            name = str(folder.resolve())
        elif name not in available_models() and name.count("/") != 1:
            raise UsageError(f"{name!r} is no speech model: name a folder or one of {', '.join(available_models())}")
        self.name = name
        self._folder = home / "models" / "speech"
        self._threads = threads
        self._offline = offline
        self._model: Any = None
        self._failure: ModelUnavailable | None = None
        self._lock = Lock()

    def write_down(
        self, pieces: Iterable[tuple[float, NDArray[np.float32]]]
    ) -> Iterator[tuple[float, float, str, str]]:
        """(from, to, words, language tag) of each sentence as it is heard.

        The language is told from the first piece in which somebody speaks, and holds for all.

        Args:
            pieces: (seconds at which it begins, `(n,)` float32 at 16 kHz) of the sound, one after the other.

        Raises:
            ModelUnavailable: the model cannot be had, or is none; said again at once where it was tried before.
            ModelError: it failed while it was listening.
        """
        language: str | None = None
        for start_s, samples in pieces:
            model = self._loaded()
            try:
                # Silence makes Whisper invent; what it said before makes it repeat itself.
                segments, info = model.transcribe(
                    samples, language=language, vad_filter=True, condition_on_previous_text=False
                )
                for segment in segments:
                    language = info.language
                    yield start_s + segment.start, start_s + segment.end, segment.text.strip(), info.language
            except (RuntimeError, ValueError, OSError, MemoryError) as error:
                raise ModelError(f"speech model {self.name} failed: {error}") from error

    def _loaded(self) -> Any:
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._model is None:
                try:
                    self._model = self._load()
                except Exception as error:  # of the hub's client, of CTranslate2, of the tokenizer
                    said = " ".join(str(error).split())[:300] or type(error).__name__
                    self._failure = ModelUnavailable(f"speech model {self.name} cannot be had: {said}")
                    raise self._failure from error
            return self._model

    def _load(self) -> Any:
        from faster_whisper import WhisperModel

        return WhisperModel(
            self.name,
            device="auto",
            cpu_threads=self._threads,
            download_root=str(self._folder),
            local_files_only=self._offline,
        )
