"""An answer as server-sent events: sent as it is written, given up when the client goes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse

from clinprompt.backbones.protocol import RawAnswer
from clinprompt.errors import InputError
from clinprompt.inference.engines.unanswered import Unanswered
from clinprompt.serving.faults import unanswered
from clinprompt.serving.refused import Refused
from clinprompt.serving.sampling import event
from clinprompt.serving.server import Server
from clinprompt.serving.visit import visit_of
from clinprompt.serving.writing import AnswerWriting, Step

Piece = Any
"""A body that becomes one event."""


def streamed(
    server: Server,
    request: Request,
    writing: AnswerWriting,
    *,
    name: str,
    first: Iterator[Piece],
    piece: Callable[[Step], Piece],
    last: Callable[[RawAnswer], Iterator[Piece]],
) -> StreamingResponse:
    """The events ``first``, one per step, ``last`` for the finished answer, and the mark of the end.

    What goes wrong on the way is an event with OpenAI's form of an error.
    """
    visit = visit_of(request)
    visit.streams = True

    async def events() -> AsyncIterator[bytes]:
        begun = False
        try:
            for body in first:
                yield event(body)
            async for step in writing.steps():
                if not begun:
                    server.metrics.first_token(visit.route, seconds=visit.seconds)
                begun = True
                yield event(piece(step))
            answer = await writing.answer
            server.metrics.queued(visit.route, seconds=writing.queued)
            server.metrics.tokens(name, read=writing.read, written=answer.tokens)
            for body in last(answer):
                yield event(body)
            yield event("[DONE]")
        except Unanswered as fault:
            yield event(unanswered(fault).body())
        except InputError as fault:
            yield event(Refused(422, "unusable", str(fault)).body())

    return AnswerStream(events(), writing)


class AnswerStream(StreamingResponse):
    """Server-sent events of an answer, which is given up however the response ends, also before its first byte."""

    def __init__(self, events: AsyncIterator[bytes], writing: AnswerWriting) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"x-accel-buffering": "no"})
        self.writing = writing

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send the events."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.writing.ticket.cancel()
