"""Decoding and embedding on a Ray cluster (`EmbedFiles`): batches go to workers, vectors come back in order.

Walking, hashing and writing stay in the process that talks to Postgres, so a kill of it loses nothing more than before.
Files go by path; a node that does not see them gets their bytes. A batch whose worker is lost is done again once, file
by file, so that a picture that kills its worker fails alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import chain
from threading import Lock
from types import TracebackType
from typing import Any

from seemory.embedding.pictures import Made, MadeBatch, S, Source, Targets, decode
from seemory.embedding.ray_cluster import Cluster, connect
from seemory.embedding.ray_crew import BatchLost, Crew, Hand
from seemory.embedding.ray_worker import Duty, EncoderName, Order, Worker, state_of
from seemory.lookahead import ahead, batches

SENT_AT_ONCE = 32 * 2**20  # bytes of files in one message, where they are sent; a larger file goes alone
LARGEST_SENT = 512 * 2**20  # bytes
_SPARE = 2  # batches beyond one a worker, so that none waits while results are taken in order


class RayEmbedding:
    """Embeds on the workers of a cluster, which is joined when the first file comes and left when the block ends."""

    def __init__(
        self,
        address: str,
        duty: Duty,
        *,
        batch_size: int = 32,
        cpus: int | None = None,
        worker: type[Worker] = Worker,
    ) -> None:
        """Nothing is connected yet.

        Args:
            address: `host:port` of a cluster that this machine belongs to, `auto` (find it) or `local` (a new one).
            duty: what every worker is told.
            batch_size: pictures a forward pass, and files a message.
            cpus: cores of one worker; by default up to four, as many as the smallest node has.
            worker: what runs on the nodes.
        """
        self._address = address
        self._duty = duty
        self._batch_size = batch_size
        self._cpus = cpus
        self._worker = worker
        self._lock = Lock()
        self._cluster: Cluster | None = None
        self._crew: Crew | None = None

    def __enter__(self) -> RayEmbedding:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if self._crew is not None:
                self._crew.dismiss()
            if self._cluster is not None:
                self._cluster.leave()
            self._crew = self._cluster = None

    def stream(self, files: Iterable[S], targets: Callable[[], Targets]) -> Iterator[MadeBatch[S]]:
        """The files in their order, in batches; at most one batch a worker, and two more, are under way.

        Raises:
            UsageError: Ray is not installed, or the address is of the wrong form.
            ClusterUnreachable: there is no such cluster, it does not fit, or no worker is left.
            ModelUnavailable, CollectionMismatch: a node has not the collection's encoder.
        """
        groups = batches(files, self._batch_size)
        first = next(groups, None)
        if first is None:
            return
        crew = self._hired()
        window = crew.size + _SPARE
        work = ((group, targets()) for group in chain([first], groups))
        with (
            ThreadPoolExecutor(window) as pool,
            closing(ahead(pool, lambda one: self._batch(crew, *one), work, window)) as made,
        ):
            yield from made

    def _hired(self) -> Crew:
        with self._lock:
            if self._crew is None:
                self._cluster = connect(self._address)
                cpus, size = self._cluster.places(self._cpus)
                duty = replace(self._duty, cpus=cpus)
                self._crew = Crew(lambda: self._started(duty), size)
            return self._crew

    def _started(self, duty: Duty) -> Any:
        import ray

        kind = ray.remote(self._worker)
        # Ray itself neither restarts nor repeats anything: a lost batch is this module's business.
        options = {"num_cpus": duty.cpus, "max_restarts": 0, "max_task_retries": 0, "scheduling_strategy": "SPREAD"}
        return kind.options(**options).remote(duty)

    def _batch(self, crew: Crew, files: Sequence[S], targets: Targets) -> MadeBatch[S]:
        names = [EncoderName(target.generation.model, target.encoder.fingerprint) for target in targets.all]
        found = [_order(file) for file in files]
        orders = [order for order in found if order is not None]
        answers = iter(_twice(crew, orders, names) if orders else [])
        made = [
            self._absent(file, targets) if order is None else next(answers)
            for file, order in zip(files, found, strict=True)
        ]
        return MadeBatch(files, targets, made)

    def _absent(self, file: Source, targets: Targets) -> Made:
        """Why there is nothing to send of a file, in the words that indexing here would use."""
        if file.path is None:
            return Made(error="there is no file to read")
        encoders = [target.encoder for target in targets.all]
        squares = decode(file.path, encoders, max_pixels=self._duty.max_pixels)
        return Made(error=squares.error or "the file was not there a moment ago")


def _twice(crew: Crew, orders: Sequence[Order], names: Sequence[EncoderName]) -> list[Made]:
    """What was made of the files; of a lost batch, each file has one more try, alone."""
    try:
        return _once(crew, orders, names)
    except BatchLost:
        return [_alone(crew, order, names) for order in orders]


def _alone(crew: Crew, order: Order, names: Sequence[EncoderName]) -> Made:
    try:
        return _once(crew, [order], names)[0]
    except BatchLost as error:
        return Made(error=f"WorkerLost: with this file twice ({error})"[:200])


def _once(crew: Crew, orders: Sequence[Order], names: Sequence[EncoderName]) -> list[Made]:
    with crew.hand() as hand:
        made: list[Made | None] = [None] * len(orders) if hand.blind else hand.make(orders, names)
        unseen = [n for n, one in enumerate(made) if one is None]
        hand.blind = len(unseen) == len(orders)
        sent = [one for group in _messages([orders[n] for n in unseen]) for one in _sent(hand, group, names)]
        for n, one in zip(unseen, sent, strict=True):
            made[n] = one
        return [one or Made(error="the worker did not answer for this file") for one in made]


def _messages(orders: Sequence[Order]) -> Iterator[list[Order]]:
    """The files in groups whose bytes may be sent together."""
    group: list[Order] = []
    total = 0
    for order in orders:
        if group and total + order.state[0] > SENT_AT_ONCE:
            yield group
            group, total = [], 0
        group.append(order)
        total += order.state[0]
    if group:
        yield group


def _sent(hand: Hand, orders: Sequence[Order], names: Sequence[EncoderName]) -> list[Made]:
    """What the worker made of the files' bytes."""
    read = [_read(order) for order in orders]
    answers = iter(hand.make([one for one in read if isinstance(one, Order)], names))
    return [(next(answers) or Made(error="nothing came back")) if isinstance(one, Order) else one for one in read]


def _read(order: Order) -> Order | Made:
    if order.state[0] > LARGEST_SENT:
        return Made(
            error=f"{order.state[0] / 1e6:,.0f} MB are too many to send to a node that does not see the file: "
            f"put it on storage that the nodes share, or index it without --ray"
        )
    try:
        return replace(order, content=order.path.read_bytes())
    except OSError as error:
        return Made(error=str(error))


def _order(file: Source) -> Order | None:
    """What a worker is told of the file, or None if it is none that could be read."""
    if file.path is None:
        return None
    state = state_of(file.path)
    return None if state is None else Order(file.path, file.key, state)
