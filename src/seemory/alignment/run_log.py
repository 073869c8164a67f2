"""What a run says of its steps: lines of JSON, and TensorBoard's files where they are asked for."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from seemory.errors import UsageError

LOG = "log.jsonl"


class RunLog:
    """A file of lines, one a report, each with its step."""

    def __init__(self, folder: Path, done: int, *, tensorboard: bool = False) -> None:
        """Goes on after `done` steps: what an earlier run said of later ones is taken out.

        Raises:
            UsageError: it cannot be written, or TensorBoard is not installed.
        """
        self._path = folder / LOG
        kept = [line for line in _lines(self._path) if line.get("step", 0) <= done] if done else []
        self._writer: Any = None
        try:
            self._file = self._path.open("w", encoding="utf-8")
            self._file.writelines(json.dumps(line) + "\n" for line in kept)
        except OSError as error:
            raise UsageError(f"{self._path} cannot be written: {error}") from error
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                self._file.close()
                raise UsageError("run.tensorboard needs TensorBoard: pip install 'seemory[align]'") from error
            self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1)

    def write(self, step: int, told: dict[str, float]) -> None:
        """One line, at once on disk, so that a run that is killed has said it."""
        if not told:
            return
        self._file.write(json.dumps({"step": step} | told) + "\n")
        self._file.flush()
        if self._writer is not None:
            for name, value in told.items():
                self._writer.add_scalar(name, value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._writer is not None:
            self._writer.close()


def _lines(path: Path) -> list[dict[str, Any]]:
    """What an earlier run said; a line that was cut by its end is left out."""
    found = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                document = json.loads(line)
            except ValueError:
                continue
            if isinstance(document, dict):
                found.append(document)
    except OSError:
        return []
    return found
