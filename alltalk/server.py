"""Running the application as a process: listening, signals, leaving in good order."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from types import FrameType

import uvicorn

from alltalk import logs
from alltalk.app import create_app
from alltalk.errors import ConfigError, ShuttingDown
from alltalk.home import Home
from alltalk.service import SpeechService
from alltalk.ui.pages import Pages

logger = logging.getLogger(__name__)

IDLE_S = 0.2
"""Seconds between two looks for connections that ask for nothing."""
CUT_OFF_S = 2.0
"""Seconds that cancelled requests have to answer, after the drain."""


def run(home: Home, *, host: str | None = None, port: int | None = None) -> None:
    """Serve until a signal comes. Raises ConfigError when the address cannot be listened on."""
    app = create_app(home)
    service: SpeechService = app.state.service
    settings = service.config.server
    logs.configure(service.config)
    host = host if host is not None else settings.host
    ports = [port if port is not None else service.config.port]
    if settings.listen_gradio_port:
        ports.append(service.config.gradio_port_number)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=round(settings.drain_s + 2 * CUT_OFF_S),
        server_header=False,
    )
    with ExitStack() as opened, suppress(KeyboardInterrupt):  # uvicorn raises it again at its end
        listeners = [opened.enter_context(_listen(host, each)) for each in ports]
        for listener in listeners:
            name, bound = listener.getsockname()[:2]
            logger.info("AllTalk listens on http://%s:%s", _shown(name), bound)
        _Server(config, service, settings.drain_s, app.state.pages).run(sockets=listeners)


class _Server(uvicorn.Server):
    """Waits for running requests at the signal, not for as long as the slowest reader reads."""

    def __init__(
        self,
        config: uvicorn.Config,
        service: SpeechService,
        drain_s: float,
        pages: Pages,
    ) -> None:
        super().__init__(config)
        self._service, self._drain_s, self._pages = service, drain_s, pages
        self._hurried = False
        self._hurry: Callable[[], object] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins to leave; the second stops what is waited for.

        Of uvicorn's own, the second one would tear clients and workers off.
        """
        if not self.should_exit or self._hurried:
            super().handle_exit(sig, frame)
            return
        self._hurried = True
        if self._hurry is not None:
            self._hurry()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer from here on; what is not needed for that comes after it."""
        await super().startup(sockets)
        self._preparing = asyncio.ensure_future(self._pages.prepare())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse new requests, give running ones their time, stop the rest, then hang up."""
        self._preparing.cancel()
        self._pages.leave()
        tasks = [asyncio.ensure_future(each) for each in (self._drain(), self._hang_up_idle())]
        try:
            await super().shutdown(sockets)
        finally:
            for task in tasks:
                task.cancel()

    async def _hang_up_idle(self) -> None:
        """Close connections that ask for nothing, again and again.

        uvicorn does it once. A browser's spare connection that is accepted just then would be
        waited for as if somebody were speaking on it.
        """
        while True:
            await asyncio.sleep(IDLE_S)
            for connection in tuple(self.server_state.connections):
                connection.shutdown()

    async def _drain(self) -> None:
        loop, hurried = asyncio.get_running_loop(), asyncio.Event()
        self._hurry = partial(loop.call_soon_threadsafe, hurried.set)
        waiting = len(self._service.requests)
        if waiting:
            logger.info(
                "Waiting up to %g s for %d requests; a second signal stops them.",
                *(self._drain_s, waiting),
            )
        if not self._hurried:
            with suppress(TimeoutError):
                await asyncio.wait_for(hurried.wait(), self._drain_s)
        self._service.requests.cancel_all(ShuttingDown("The server is shutting down."))
        await asyncio.sleep(CUT_OFF_S)
        # Whoever reads slowly has not seen that yet. Left to uvicorn it is logged as our failure.
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. "
            "Stop what uses the port, or choose another with --port."
        ) from error
    listener.set_inheritable(False)
    return listener


def _shown(name: str) -> str:
    return f"[{name}]" if ":" in name else name
