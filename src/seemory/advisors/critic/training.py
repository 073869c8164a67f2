"""Critiques → an adapter that an advisor's critic speaks by: read, trained, checked, and put in its place."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from seemory.advisors.critic.adapters import Adapter, AdapterFolders
from seemory.advisors.critic.base import lacks, load_base
from seemory.advisors.critic.card import card
from seemory.advisors.critic.examples import Examples, read_examples
from seemory.advisors.critic.plan import Plan, held_out
from seemory.errors import AdvisorNotFound, Busy, UsageError
from seemory.store.libraries import Advisor, Libraries
from seemory.telemetry import Progress, ProgressListener

__all__ = ["Plan", "Training", "TrainingReport"]


@dataclass(slots=True)
class TrainingReport:
    """What became of a training."""

    advisor: str
    adapter: str
    examples: int
    """Critiques that were learned from."""
    held_out: int
    bad: list[tuple[int, str]]
    """Number and fault of each line that was left out."""
    steps: int
    taken_up_at: int
    """The step at which a run that was killed was taken up; 0 for a new one."""
    losses: list[float]
    """Of each epoch."""
    held_out_losses: list[float]
    best_epoch: int | None
    """From 1; None where nothing was held out."""
    stopped_early: bool
    changed: float
    """The share of the words of known critiques for which it has another likeliest word than the model has."""
    parameters: int
    seconds: float = 0.0
    folder: str = field(default="")

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return asdict(self)


class Training:
    """Trains adapters for the advisors of one owner."""

    def __init__(
        self, folders: AdapterFolders, libraries: Libraries, *, base: str, four_bit: bool, max_pixels: int
    ) -> None:
        """Nothing is loaded yet; `base` is the model that is adapted."""
        self._folders = folders
        self._libraries = libraries
        self._base = base
        self._four_bit = four_bit
        self._max_pixels = max_pixels

    def run(self, advisor: Advisor, data: Path, plan: Plan, listen: ProgressListener) -> TrainingReport:
        """The report; the advisor has the new adapter, and the old one's files are gone.

        Raises:
            UsageError: the data cannot be read or has no critique, or packages are not installed.
            ModelError: the model cannot be loaded.
            Busy: another process is training this advisor's adapter.
            AdvisorNotFound: the advisor was removed meanwhile.
        """
        began = time.monotonic()
        if lacking := lacks():
            raise UsageError(lacking)
        examples = read_examples(data, advisor, max_pixels=self._max_pixels, listen=listen)
        work = self._folders.work / hashlib.sha256(advisor.name.encode()).hexdigest()[:24]
        work.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(work / "lock", timeout=0):
                report = self._train(advisor, examples, plan, work, listen)
        except Timeout:
            raise Busy(f"another process is training the adapter of {advisor.name}") from None
        shutil.rmtree(work, ignore_errors=True)
        report.seconds = round(time.monotonic() - began, 2)
        return report

    def _train(
        self,
        advisor: Advisor,
        examples: Examples,
        plan: Plan,
        work: Path,
        listen: ProgressListener,
    ) -> TrainingReport:
        from seemory.advisors.critic.lora import Lora, batches

        apart = held_out([one.sha256 for one in examples.good], plan.hold_out)
        taught = [one for one in examples.good if one.sha256 not in apart]
        kept_back = [one for one in examples.good if one.sha256 in apart]
        base = load_base(self._base, four_bit=self._four_bit)
        learned = batches(base, taught, plan.together, _counted(listen, len(taught)))
        unseen = batches(base, kept_back, plan.together, _counted(listen, len(kept_back)))
        lora = Lora(base, plan)
        digest = plan.digest(examples.digest, base.fingerprint)
        standing, taken_up_at = lora.train(
            learned, unseen, digest=digest, state=work / "state.safetensors", listen=listen
        )
        changed = lora.changed((unseen or learned)[:8])
        made = work / "made"
        shutil.rmtree(made, ignore_errors=True)
        lora.save(made)
        (made / "README.md").write_text(
            card(
                advisor=advisor.name,
                base=self._base,
                plan=plan,
                examples=len(taught),
                held_out=len(kept_back),
                left_out=len(examples.bad),
                losses=standing.losses,
                held_out_losses=standing.held_out,
                best=standing.best,
                changed=changed,
                parameters=lora.parameters,
            ),
            encoding="utf-8",
        )
        name, sha256 = self._folders.keep(made, advisor.name)
        self._give(
            advisor, Adapter(name, self._base, sha256, datetime.now(UTC).isoformat(timespec="seconds"), len(taught))
        )
        return TrainingReport(
            advisor=advisor.name,
            adapter=name,
            examples=len(taught),
            held_out=len(kept_back),
            bad=list(examples.bad),
            steps=standing.step,
            taken_up_at=taken_up_at,
            losses=[round(loss, 6) for loss in standing.losses],
            held_out_losses=[round(loss, 6) for loss in standing.held_out],
            best_epoch=None if standing.best is None else standing.best + 1,
            stopped_early=len(standing.losses) < plan.epochs,
            changed=round(changed, 4),
            parameters=lora.parameters,
            folder=str(self._folders.root / name),
        )

    def _give(self, advisor: Advisor, adapter: Adapter) -> None:
        """The advisor has this adapter; the files of the one before are deleted."""
        if not self._libraries.set_adapter(advisor.name, adapter.as_json()):
            self._folders.remove(adapter)
            raise AdvisorNotFound(f"the advisor {advisor.name} was removed meanwhile")
        before = Adapter.from_json(advisor.adapter)
        if before is not None and before.name != adapter.name:
            self._folders.remove(before)


def _counted(listen: ProgressListener, total: int) -> Callable[[int], None]:
    return lambda done: listen(Progress("prepare", done, total, "critiques"))
