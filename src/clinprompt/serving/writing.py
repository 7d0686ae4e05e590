"""One answer written token by token for a client: the raw text of a task's answer, as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request as Asking

from clinprompt.backbones.protocol import Generation, RawAnswer
from clinprompt.inference.engines.local import Request
from clinprompt.inference.engines.ticket import Terms, Ticket, Written
from clinprompt.inference.engines.unanswered import Cancelled
from clinprompt.inference.predictor import Predictor
from clinprompt.serving.asked import example_of
from clinprompt.serving.metered import question_tokens
from clinprompt.serving.refused import Refused
from clinprompt.serving.relay import Relay, RelayTicket
from clinprompt.serving.served import Served
from clinprompt.serving.server import Server
from clinprompt.serving.traffic import terms_of
from clinprompt.serving.work import worked
from clinprompt.stages.adapted import answering


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an answer with its log-probability in nats, and the likeliest tokens of its place with theirs."""

    text: str
    chance: float
    best: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What an answer has got more: text that is final, and the token that was written."""

    text: str
    token: Token | None


class AnswerWriting:
    """An answer on its way; ``read`` counts the tokens of its question."""

    def __init__(
        self, ticket: Ticket | RelayTicket, queue: asyncio.Queue[Written | None], predictor: Predictor, read: int
    ) -> None:
        self.ticket, self.read, self._queue, self._predictor = ticket, read, queue, predictor
        self.answer = asyncio.wrap_future(ticket.future)
        self.answer.add_done_callback(self._ended)
        self._begun = False

    @property
    def queued(self) -> float:
        """Seconds that it waited for its place in the engine's batch."""
        return self.ticket.queued

    @property
    def joint(self) -> str:
        """What stands between cue and answer in training, and belongs to no answer."""
        return self._predictor.template.joint

    async def steps(self) -> AsyncIterator[Step]:
        """What is written, as soon as it is; raises what the engine raises. To leave the loop gives the answer up."""
        try:
            while (written := await self._queue.get()) is not None:
                text, ends = self._own(written.text), written.done and written.token in self._predictor.backbone.stops
                if written.token is None or ends:
                    if text:
                        yield Step(text, None)
                else:
                    yield Step(text, self._token(written, written.token))
            if self.answer.cancelled():  # it waited still when the engine was closed
                raise Cancelled("the engine was closed")
            await self.answer
        finally:
            self.ticket.cancel()

    async def whole(self) -> tuple[str, list[Token], RawAnswer]:
        """The finished text, its tokens, and the engine's record of it."""
        tokens = [step.token async for step in self.steps() if step.token]
        answer = await self.answer
        return answer.text.removeprefix(self.joint), tokens, answer

    def _ended(self, answer: asyncio.Future[RawAnswer]) -> None:
        """End the steps; how an answer ended is taken note of even where nobody waits for it any more."""
        if not answer.cancelled():
            answer.exception()
        self._queue.put_nowait(None)

    def _own(self, text: str) -> str:
        """The text without the joint."""
        if not text or self._begun:
            return text
        self._begun = True
        return text.removeprefix(self.joint)

    def _token(self, written: Written, token: int) -> Token:
        name = self._predictor.backbone.text
        best = tuple((name([one]), chance) for one, chance in written.best)
        return Token(name([token]), written.chance, best)


async def begin(
    server: Server,
    asking: Asking,
    served: Served,
    note: str,
    inputs: Mapping[str, str | Sequence[str]],
    generation: Generation,
    *,
    chances: int | None,
) -> AnswerWriting:
    """Line an answer up in the engine, from the event loop; it is given up after the time of the request ``asking``.

    ``chances`` asks for log-probabilities, with so many of the likeliest tokens. Raises :class:`Refused` for inputs
    that do not belong to the task and for what the engine cannot do, :class:`InputError` for a note without room, what
    :func:`worked` raises, and what the engine raises when it takes nothing more.
    """
    engine = server.engine
    if engine is None:
        raise Refused(400, "encoder", "this server's model finds places and writes no text: ask /v1/extract",
                      param="model")  # fmt: skip
    if chances is not None and isinstance(engine, Relay):
        raise Refused(400, "invalid_parameter", "logprobs: the engine behind this server tells none", param="logprobs")
    decoding = server.settings.decoding

    def prepared(terms: Terms) -> tuple[Predictor, Request]:
        predictor = served.opened.predictor(
            decoding, tokens=generation.tokens, engine=engine.session(), check=terms.check
        )
        example = example_of(served, "note", note, inputs, param="inputs")
        question = answering(served.prompt).question(
            example, served.task, served.opened.template, name=served.reference
        )
        return predictor, predictor.request(question)

    loop, queue = asyncio.get_running_loop(), asyncio.Queue[Any]()
    predictor, request = await worked(server, asking, prepared)  # a long note takes its time
    ticket = engine.submit(
        request,
        replace(generation, stop=(*decoding.stop, *generation.stop)),
        deadline=terms_of(asking).deadline,
        chances=chances or 0,
        heard=lambda written: loop.call_soon_threadsafe(queue.put_nowait, written),
    )
    return AnswerWriting(ticket, queue, predictor, question_tokens(request))
