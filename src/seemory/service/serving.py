"""One process that serves one owner's memory, from its first line to its last request."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

from seemory.batching import Passed
from seemory.contained.decoder import ContainedDecoder
from seemory.embedding.sharing import SharedPasses
from seemory.errors import UsageError
from seemory.memory import Memory
from seemory.metrics import SIZES, Metrics
from seemory.service.guard import is_loopback
from seemory.service.logs import log_to
from seemory.settings import ServiceSettings, Settings
from seemory.store.keys import Keys
from seemory.telemetry import ProgressListener

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger(__name__)


def serve(settings: Settings, *, model: str | None, listen: ProgressListener, say: Callable[[str], None]) -> None:
    """Answer until a signal to stop comes; requests that are under way then are answered first.

    Args:
        settings: whose memory, and how it is served (`settings.service`).
        model: an encoder to insist on.
        listen: hears how far the fetch of an encoder is.
        say: told where the service listens, once it does.

    Raises:
        UsageError: the extra `serve` is not installed, the address is taken, or others can reach it and there are no
            keys.
        SeemoryError: the memory cannot be opened, or its encoder not be loaded.
    """
    options = settings.service
    try:
        import uvicorn

        from seemory.service.app import make_app
    except ImportError as error:
        raise UsageError(f"serving needs an extra: pip install 'seemory[serve]' ({error})") from error

    metrics = Metrics()
    share = SharedPasses(most=options.batch_size, queue=options.queue, listen=_counting(metrics))
    listener = _listener(options.host, options.port)
    decoder = ContainedDecoder(processes=options.decoders, megabytes=options.decoder_mb, seconds=options.decoder_s)
    with (
        listener,
        closing(decoder),
        Memory(
            settings, model=model, listen=listen, share=share if options.batching else None, decoder=decoder
        ) as memory,
    ):
        require_keys(options, Keys(memory.database))
        log_to(requests=options.log_requests)
        memory.encoder.load()

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            app.state.jobs.look_after()
            yield
            await asyncio.to_thread(app.state.jobs.close)
            await asyncio.to_thread(app.state.desk.close)

        app = make_app(memory, options, metrics, lifespan)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="warning",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=options.stop_s,
                h11_max_incomplete_event_size=65_536,
            )
        )
        host, port = listener.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        say(f"Serving {_whose(memory, options)} with {memory.encoder_name} at {address}; Ctrl-C stops")
        # uvicorn raises the signal that stopped it once more when all is done: then it means nothing any more.
        before = [(one, signal.signal(one, _unheard)) for one in (signal.SIGTERM, signal.SIGINT)]
        try:
            server.run(sockets=[listener])
        finally:
            for one, handler in before:
                signal.signal(one, handler)


def require_keys(options: ServiceSettings, keys: Keys) -> None:
    """Refuse to answer just anybody who can reach the address.

    Raises:
        UsageError: others than this machine can, there is no key yet, and it was not said that nobody needs one.
    """
    if options.keys != "none" and not is_loopback(options.host) and not keys.any():
        raise UsageError(
            f"{options.host!r} is not this machine alone, and there is no key yet that would tell who asks: make one "
            f"(seemory keys create --owner NAME --scope read), or serve on 127.0.0.1; if whoever reaches the port may "
            f"do everything, say --keys none"
        )


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
        return socket.create_server(address[:2], family=family, backlog=512)
    except OSError as error:
        raise UsageError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
