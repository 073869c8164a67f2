"""What each kind of job does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from seemory.errors import Busy, SeemoryError
from seemory.lookahead import ahead
from seemory.memory import Memory
from seemory.service.jobs.orders import Order, Orders
from seemory.service.refusals import said_of, status_of
from seemory.telemetry import Progress, ProgressListener

_TOLD: Final = 100  # failures that a report names
_TRIED: Final = 10_000
_BUSY_S: Final = 0.2

Report = dict[str, Any]
Work = Callable[[Memory, Order, ProgressListener], Report]


class Works:
    """Does what orders ask, by their kind."""

    def __init__(self, orders: Orders, *, roots: Sequence[Path], at_once: int) -> None:
        """Nothing is begun.

        Args:
            orders: where files lie that were sent.
            roots: folders whose files may be indexed by path.
            at_once: pictures of one upload that are decoded at the same time.
        """
        self._orders = orders
        self._roots = roots
        self._at_once = at_once
        self._by_kind: dict[str, Work] = {
            "index": self._index,
            "upload": self._upload,
            "retry": _retry,
            "reembed": _reembed,
        }

    def do(self, memory: Memory, order: Order, listen: ProgressListener) -> Report:
        """What became of it. Raises what the library raises, and `Stopped` if the listener did."""
        return self._by_kind[order.kind](memory, order, listen)

    def _index(self, memory: Memory, order: Order, listen: ProgressListener) -> Report:
        asked = order.asked
        report = memory.index(
            *asked["paths"],
            recursive=asked["recursive"],
            prune=asked["prune"],
            retry_failed=asked["retry_failed"],
            within=self._roots,
            listen=listen,
        )
        told = asdict(report)
        return {**told, "counts": dict(report.counts)}

    def _upload(self, memory: Memory, order: Order, listen: ProgressListener) -> Report:
        """Adds the files that were sent. Begun again after a kill, those it had added cost a hash."""
        items: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        total = len(order.names)

        def add(number: int) -> dict[str, Any]:
            name = {"file": order.names[number]}
            try:
                added = _patiently(memory, self._orders.file(order.id, number).read_bytes())
            except SeemoryError as error:
                if status_of(error) >= 500:
                    raise
                return name | {"error": said_of(error)}
            return name | asdict(added)

        listen(Progress("upload", 0, total, "pictures"))
        with ThreadPoolExecutor(self._at_once, "upload") as pool:
            for done, one in enumerate(ahead(pool, add, range(total), 2 * self._at_once), 1):
                (errors if "error" in one else items).append(one)
                listen(Progress("upload", done, total, "pictures"))
        added = len({one["item_id"] for one in items if one["new"]})  # twins that came side by side were both new
        return {"added": added, "known": len(items) - added, "failed": len(errors), "items": items, "errors": errors}


def _patiently(memory: Memory, content: bytes) -> Any:
    """The item; where requests have filled the queue, this waits, for nobody waits for it."""
    while True:
        try:
            return memory.add(content)
        except Busy:
            time.sleep(_BUSY_S)


def _retry(memory: Memory, _: Order, listen: ProgressListener) -> Report:
    report = memory.backfill(retry=True, limit=0, listen=listen)
    mended, failed = report.embedded, report.without_vector
    paths = [uri for uri, _, _ in memory.errors(limit=_TRIED) if "://" not in uri and Path(uri).is_file()]
    if paths:
        read = memory.index(*paths, retry_failed=True, listen=listen)
        mended += read.indexed
        failed += read.failed
    return {"mended": mended, "failed": failed}


def _reembed(memory: Memory, order: Order, listen: ProgressListener) -> Report:
    return memory.reembedding().start(order.asked["to"], listen=listen).as_json()
