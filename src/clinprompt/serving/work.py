"""Work of a request in a thread of its own, given up when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import Request

from clinprompt.inference.engines.ticket import Terms
from clinprompt.inference.engines.unanswered import Cancelled, Expired
from clinprompt.serving.refused import Refused
from clinprompt.serving.server import Server
from clinprompt.serving.traffic import terms_of

Value = TypeVar("Value")


async def worked(server: Server, request: Request, work: Callable[[Terms], Value]) -> Value:
    """What ``work`` returns or raises; raises as :func:`unless_given_up` does.

    The terms that it is given break as soon as nobody waits any more. A thread that does not end then, because it is at
    something that cannot be broken off, goes on without its request and keeps that one's place.
    """
    terms = terms_of(request)
    job = server.pool.submit(work, terms)
    try:
        return await unless_given_up(server, request, asyncio.wrap_future(job))
    except BaseException:
        terms.give_up()
        raise
    finally:
        if not job.done():
            server.traffic.outlive(job)


async def unless_given_up(server: Server, request: Request, answer: asyncio.Future[Value]) -> Value:
    """The answer, if it comes in time.

    Raises :class:`Refused` when the client goes away before, :class:`Expired` when the time of the request is over,
    :class:`Cancelled` when the server stops.
    """
    deadline = terms_of(request).deadline
    gone, stopped = asyncio.ensure_future(_gone(request)), asyncio.ensure_future(server.traffic.stopped.wait())
    try:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        await asyncio.wait({answer, gone, stopped}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if answer.done() and not answer.cancelled():
            return answer.result()
        stops = stopped.done() or answer.cancelled()
        answer.add_done_callback(_heard)
        answer.cancel()
        if gone.done():
            raise Refused(499, "client_gone", "nobody waits for the answer any more")
        if stops:
            raise Cancelled("the server stops")
        raise Expired("the answer was not finished in time")
    finally:
        gone.cancel()
        stopped.cancel()


async def _gone(request: Request) -> None:
    """Returns when the connection is closed; the body has been read already."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _heard(answer: asyncio.Future[Any]) -> None:
    """Take note of how an answer ended that nobody waits for."""
    if not answer.cancelled():
        answer.exception()
