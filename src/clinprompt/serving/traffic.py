"""Requests on their way: how many run, whether more are let in, whether the server is about to stop."""

from __future__ import annotations

import time
from typing import Any

from clinprompt.serving.refusal import Refusal, refused

RETRY = 2.0
"""Seconds after which a client may come back to a busy server."""

WORK = "/v1/"


class Traffic:
    """Counts requests for work, those under ``/v1/``; all others always come through."""

    def __init__(self, *, most: int) -> None:
        self.most = most
        self.running = 0
        self.drains_until: float | None = None

    @property
    def draining(self) -> bool:
        """Whether no new work is taken."""
        return self.drains_until is not None

    def drain(self, seconds: float) -> None:
        """Take no new work; what runs has this long."""
        if self.drains_until is None:
            self.drains_until = time.monotonic() + seconds

    @property
    def over(self) -> bool:
        """Whether nothing runs any more, or the time for it is over."""
        return self.drains_until is not None and (not self.running or time.monotonic() > self.drains_until)

    def enter(self) -> None:
        """Raise :class:`Refusal` when there is no place for another request, else count it."""
        if self.draining:
            raise Refusal(503, "stopping", "The server is about to stop.", retry_after=RETRY)
        if self.running >= self.most:
            raise Refusal(503, "overloaded", "The server is busy; try again later.", retry_after=RETRY)
        self.running += 1

    def leave(self) -> None:
        """Count a request out."""
        self.running -= 1


class TrafficGate:
    """ASGI middleware that lets requests in and counts them until their last byte."""

    def __init__(self, app: Any, *, traffic: Traffic) -> None:
        self.app, self.traffic = app, traffic

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        if scope["type"] != "http" or not scope["path"].startswith(WORK):
            await self.app(scope, receive, send)
            return
        try:
            self.traffic.enter()
        except Refusal as refusal:
            response = refused(refusal)
            response.headers["Connection"] = "close"
            await response(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            self.traffic.leave()
