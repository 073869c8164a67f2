"""A process that serves one collection, from its first line to its last request."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING

from seemory.batching import Passed
from seemory.contained.decoder import ContainedDecoder
from seemory.embedding.sharing import SharedPasses
from seemory.errors import UsageError
from seemory.memory import Memory
from seemory.metrics import SIZES, WORK, Metrics
from seemory.models.session import available_cores
from seemory.service.beginning import Beginning
from seemory.service.guard import is_loopback
from seemory.service.logs import log_to
from seemory.settings import ServiceSettings, Settings
from seemory.telemetry import ProgressListener, ignore

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger(__name__)


def serve(settings: Settings, *, model: str | None, listen: ProgressListener, say: Callable[[str], None]) -> None:
    """Answer until a signal to stop comes; requests that are under way then are answered first.

    A database server that does not answer yet is waited for: until it does, requests are told 503.

    Args:
        settings: whose memory, and how it is served (`settings.service`).
        model: an encoder to insist on.
        listen: hears how far the fetch of an encoder is.
        say: told where the service listens, once it does, and what it waits for.

    Raises:
        UsageError: the extra `serve` is not installed, the address is taken, or others can reach it and there are no
            keys.
        SeemoryError: the memory cannot be opened, or its encoder not be loaded.
    """
    options = settings.service
    try:
        import uvicorn  # noqa: F401

        from seemory.service.app import make_app  # noqa: F401
    except ImportError as error:
        raise UsageError(f"serving needs an extra: pip install 'seemory[serve]' ({error})") from error
    with _listener(options.host, options.port) as listener:
        if options.workers == 1:
            _serve_one(settings, model, listener, say, listen=listen)
        else:
            from seemory.service.workers import serve_by_several

            threads = settings.models.threads or max(1, available_cores() // options.workers)
            models = settings.models.model_copy(update={"threads": threads})
            serve_by_several(settings.model_copy(update={"models": models}), model, listener, say, _serve_one)


def _serve_one(
    settings: Settings,
    model: str | None,
    listener: socket.socket,
    say: Callable[[str], None],
    shared: Path | None = None,
    *,
    listen: ProgressListener = ignore,
) -> None:
    """Answer at a socket in this process; `shared` is where several of them tell one another what they have counted."""
    import uvicorn

    from seemory.service.app import make_app
    from seemory.service.patience import patient
    from seemory.service.together import Together

    class _Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            for stop in ending:  # streams would be waited for
                stop()
            await super().shutdown(sockets)

    ending: list[Callable[[], None]] = []
    options = settings.service
    log_to(requests=options.log_requests)
    metrics = Metrics()
    share = SharedPasses(most=options.batch_size, queue=options.queue, listen=_counting(metrics))
    metrics.gauges(
        "seemory_queue_length",
        "Texts and pictures that wait for a tower of the encoder.",
        lambda: [({"tower": tower}, count) for tower, count in share.waiting().items()],
    )
    together = None if shared is None else Together(shared, lambda: metrics.text() + WORK.text())
    decoder = ContainedDecoder(processes=options.decoders, megabytes=options.decoder_mb, seconds=options.decoder_s)
    with (
        closing(decoder),
        Memory(
            settings, model=model, listen=listen, share=share if options.batching else None, decoder=decoder
        ) as memory,
    ):
        host, port = listener.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

        def serving() -> str:
            return f"Serving {_whose(memory, options)} with {memory.encoder_name} at {address}; Ctrl-C stops"

        beginning = Beginning(memory, options, say, serving)

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            ending.append(app.state.listeners.stop)
            app.state.jobs.look_after()
            if together is not None:
                together.start()
            yield
            await asyncio.to_thread(app.state.jobs.close)
            await asyncio.to_thread(app.state.desk.close)
            if together is not None:
                together.close()

        def late() -> None:
            metrics.count("seemory_failures_total", reason="SlowHead")
            WORK.count("seemory_timeouts_total", reason="head")

        told = None if together is None else together.text
        guard = make_app(memory, options, metrics, lifespan, begun=beginning.done.is_set, told=told)
        server = _Server(
            uvicorn.Config(
                guard,
                http=patient(options.head_s, late),
                log_level="warning",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=options.stop_s,
                h11_max_incomplete_event_size=65_536,
            )
        )

        def give_up() -> None:
            server.should_exit = True

        beginning.begin(waiting=settings.database_url is not None, give_up=give_up)
        # uvicorn raises the signal that stopped it once more when all is done: then it means nothing any more.
        before = [(one, signal.signal(one, _unheard)) for one in (signal.SIGTERM, signal.SIGINT)]
        try:
            server.run(sockets=[listener])
        finally:
            for one, handler in before:
                signal.signal(one, handler)
            beginning.end()


def _whose(memory: Memory, options: ServiceSettings) -> str:
    if options.keys == "none":
        return f"{memory.owner}'s {memory.collection} to anybody"
    if options.keys == "auto" and is_loopback(options.host):
        return f"{memory.owner}'s {memory.collection}"
    return f"{memory.collection} to whoever has a key"


def _unheard(_signal: int, _frame: object) -> None:
    """The signal was heeded already."""


def _counting(metrics: Metrics) -> Callable[[Passed], None]:
    metrics.histogram("seemory_pass_size", "Texts or pictures of one shared pass, by tower.", SIZES)
    metrics.counter("seemory_passes_total", "Shared passes of the encoder, by tower.")
    metrics.counter("seemory_pass_seconds_total", "Time in shared passes, by tower.")

    def heard(passed: Passed) -> None:
        metrics.observe("seemory_pass_size", passed.size, tower=passed.name)
        metrics.count("seemory_passes_total", tower=passed.name)
        metrics.count("seemory_pass_seconds_total", passed.seconds, tower=passed.name)

    return heard


def _listener(host: str, port: int) -> socket.socket:
    """A bound socket, so that a taken port is told before anything is loaded. Raises UsageError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=512)
        # Connections have it from here. Without it the end of an answer waits for the other side's delayed
        # acknowledgement of its beginning: 40 ms of each request on a connection that is kept. (asyncio sets it on
        # sockets of its own making alone.)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        raise UsageError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
