"""Requests on their way: how many run, until when, whether more are let in, whether the server is about to stop."""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import Future
from threading import Event, Lock
from typing import Any

from clinprompt.inference.engines.ticket import Terms
from clinprompt.serving.faults import RETRY, response
from clinprompt.serving.refused import Refused

WORK = "/v1/"
"""What the paths of requests begin with that are counted."""


class Traffic:
    """Counts requests for work, of which each has so many ``seconds``; all others always come through.

    A request is counted until its answer has left and its threads have ended.
    """

    def __init__(self, *, most: int, seconds: float = math.inf) -> None:
        self.most, self.seconds = most, seconds
        self.running = 0
        self.drains_until: float | None = None
        self.stopped = asyncio.Event()
        self._wanted: set[Terms] = set()
        self._counting = Lock()

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

    def stop(self) -> None:
        """Give up what still runs: its clients hear that the server stops; from the event loop."""
        self.stopped.set()
        for terms in self._wanted:
            terms.give_up()

    def enter(self) -> Terms:
        """Count a request in, and say how long it is wanted; :class:`Refused` when there is no place for it."""
        if self.draining:
            raise Refused(503, "stopping", "the server is about to stop", retry_after=RETRY)
        if self.running >= self.most:
            raise Refused(503, "overloaded", "the server is busy; try again later", retry_after=RETRY)
        self._count(1)
        terms = Terms(time.monotonic() + self.seconds, Event())
        self._wanted.add(terms)
        return terms

    def leave(self, terms: Terms) -> None:
        """Count a request out; what it has left at work is given up."""
        terms.give_up()
        self._wanted.discard(terms)
        self._count(-1)

    def outlive(self, job: Future[Any]) -> None:
        """Count a thread until it ends, whose request may leave before."""
        self._count(1)
        job.add_done_callback(lambda _: self._count(-1))

    def _count(self, more: int) -> None:
        with self._counting:
            self.running += more


class TrafficGate:
    """An ASGI application around another one: requests for work are counted from here to their last byte."""

    def __init__(self, app: Any, *, traffic: Traffic) -> None:
        self.app, self.traffic = app, traffic

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        if scope["type"] != "http" or not scope["path"].startswith(WORK):
            return await self.app(scope, receive, send)
        try:
            terms = self.traffic.enter()
        except Refused as refused:
            answer = response(refused)
            answer.headers["connection"] = "close"
            return await answer(scope, receive, send)
        scope.setdefault("state", {})["terms"] = terms
        try:
            await self.app(scope, receive, send)
        finally:
            self.traffic.leave(terms)


def terms_of(request: Any) -> Terms:
    """Until when the answer to a request of the app is wanted."""
    return request.scope["state"]["terms"]
