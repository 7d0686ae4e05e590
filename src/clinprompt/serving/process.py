"""A server as a process: it listens, and on SIGTERM or SIGINT finishes what runs and ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn

from clinprompt.errors import InputError
from clinprompt.serving.app import create_app
from clinprompt.serving.server import Server


def serve(server: Server, *, told: Callable[[str], None] = lambda address: None) -> None:
    """Answer requests until a signal comes; ``told`` hears the address once the server listens.

    On the first signal `/readyz` says 503 and no new work is taken; what runs has ``limits.drain`` seconds; then the
    process goes on behind this call. A second signal ends the waiting. Raises :class:`InputError` for an address that
    cannot be listened at.
    """
    settings = server.settings
    try:
        listener = listen(settings.host, settings.port)
    except OSError as error:
        raise InputError(
            f"the server cannot listen: {error.strerror or error}",
            where=f"{settings.host}:{settings.port}",
            fix="choose another --port or --host",
        ) from None
    host, port = listener.getsockname()[:2]
    named = f"[{host}]" if ":" in host else host
    try:
        Draining(server, told=lambda: told(f"http://{named}:{port}")).run(sockets=[listener])
    finally:
        server.close()


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address; :class:`OSError` when it is taken or not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


class Draining(uvicorn.Server):
    """A uvicorn server that goes on answering while its last requests run: who asks hears that it stops."""

    def __init__(self, server: Server, *, told: Callable[[], None] = lambda: None) -> None:
        # No access log: addresses of requests and of clients belong into the audit log only.
        config = uvicorn.Config(
            create_app(server), access_log=False, log_config=None, lifespan="off", server_header=False, ws="none",
            timeout_graceful_shutdown=2, timeout_keep_alive=30, proxy_headers=False,
        )  # fmt: skip
        super().__init__(config)
        self.serves, self.told = server, told

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, look at the bank from time to time, and tell that the server is there."""
        await super().startup(sockets=sockets)
        threading.Thread(target=self.serves.watch, name="bank", daemon=True).start()
        self.told()

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop, asked ten times a second."""
        return await super().on_tick(counter) or self.serves.traffic.over

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cancel what still runs, so that its clients hear of it, and close all connections."""
        runs = self.serves.engine or self.serves.reader
        if runs is not None and self.serves.traffic.running:
            await asyncio.to_thread(runs.close)
        await super().shutdown(sockets=sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; at the second signal stop."""
        if self.serves.traffic.draining:
            self.should_exit = True
        self.serves.traffic.drain(self.serves.settings.limits.drain)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear signals; unlike uvicorn do not raise them again at the end, which is an orderly one."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[signal.Signals, Any] = {
            one: signal.signal(one, self.handle_exit) for one in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
