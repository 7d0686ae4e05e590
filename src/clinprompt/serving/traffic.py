"""Requests on their way: how many run, whether more are let in, whether the server is about to stop."""

from __future__ import annotations

import time
from typing import Any

from clinprompt.serving.faults import RETRY, response
from clinprompt.serving.refused import Refused

WORK = "/v1/"
"""What the paths of requests begin with that are counted."""


class Traffic:
    """Counts requests for work; all others always come through."""

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
        """Count a request in; :class:`Refused` when there is no place for it."""
        if self.draining:
            raise Refused(503, "stopping", "the server is about to stop", retry_after=RETRY)
        if self.running >= self.most:
            raise Refused(503, "overloaded", "the server is busy; try again later", retry_after=RETRY)
        self.running += 1

    def leave(self) -> None:
        """Count a request out."""
        self.running -= 1


class TrafficGate:
    """An ASGI application around another one: requests for work are counted from here to their last byte."""

    def __init__(self, app: Any, *, traffic: Traffic) -> None:
        self.app, self.traffic = app, traffic

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        if scope["type"] != "http" or not scope["path"].startswith(WORK):
            return await self.app(scope, receive, send)
        try:
            self.traffic.enter()
        except Refused as refused:
            answer = response(refused)
            answer.headers["connection"] = "close"
            return await answer(scope, receive, send)
        try:
            await self.app(scope, receive, send)
        finally:
            self.traffic.leave()
