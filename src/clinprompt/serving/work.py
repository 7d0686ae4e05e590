"""Work of a request in a thread of its own, given up when nobody waits for it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Event
from typing import Any, TypeVar

from fastapi import Request

from clinprompt.serving.refused import Refused
from clinprompt.serving.server import Server

Value = TypeVar("Value")


async def worked(server: Server, request: Request, work: Callable[[Event], Value]) -> Value:
    """What ``work`` returns or raises; the event that it is given is set when the client has gone away."""
    cancelled = Event()
    job = asyncio.get_running_loop().run_in_executor(server.pool, work, cancelled)
    try:
        return await unless_gone(request, job)
    finally:
        cancelled.set()


async def unless_gone(request: Request, answer: asyncio.Future[Value]) -> Value:
    """The answer, unless the client goes away before it is there."""
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.add_done_callback(_heard)
            answer.cancel()
            raise Refused(499, "client_gone", "nobody waits for the answer any more")
        return answer.result()
    finally:
        gone.cancel()


async def _gone(request: Request) -> None:
    """Returns when the connection is closed; the body has been read already."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _heard(answer: asyncio.Future[Any]) -> None:
    """Take note of how an answer ended that nobody waits for."""
    if not answer.cancelled():
        answer.exception()
