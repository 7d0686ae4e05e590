"""A server as a process: it listens, and on SIGTERM or SIGINT finishes what runs and ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn

from clinprompt.errors import InputError
from clinprompt.serving.app import create_app
from clinprompt.serving.server import Server

WRITTEN = 5.0
"""Seconds for the last lines of the audit log, when a disk is slow."""

PATIENCE = 1.0
"""Seconds for threads of requests that were given up."""


def serve(server: Server, *, told: Callable[[str], None] = lambda address: None) -> int:
    """Answer requests until a signal comes; ``told`` hears the address once the server listens.

    On the first signal `/readyz` says 503 and no new work is taken; what runs has ``limits.drain`` seconds, and is
    answered with 503 then; the process goes on behind this call with the number of those that were given up. A second
    signal ends the waiting. Raises :class:`InputError` for an address that cannot be listened at.
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
        process = Draining(server, told=lambda: told(f"http://{named}:{port}"))
        process.run(sockets=[listener])
        return process.given_up
    finally:
        server.close()


def end() -> None:
    """End the process at once, as a success, where a thread is at something that cannot be broken off, such as putting
    a long note into tokens: Python waits for all of them, and nobody waits for what they find.
    """
    until = time.monotonic() + PATIENCE
    others = [one for one in threading.enumerate() if one is not threading.current_thread() and not one.daemon]
    for one in others:
        one.join(max(0.0, until - time.monotonic()))
    if any(one.is_alive() for one in others):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


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
        self.given_up = 0

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
        self.given_up = self.serves.traffic.running
        self.serves.traffic.stop()
        runs = self.serves.engine or self.serves.reader
        if runs is not None and self.given_up:
            await asyncio.to_thread(runs.close)
        await super().shutdown(sockets=sockets)
        if left := set(self.server_state.tasks):  # cancelled by now; they have an answer to write down yet
            await asyncio.wait(left, timeout=WRITTEN)

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
