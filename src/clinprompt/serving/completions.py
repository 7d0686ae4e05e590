"""``/v1/completions``: the text is a task's note, the answer the task's answer as it was written."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from clinprompt.backbones.protocol import RawAnswer
from clinprompt.serving.bearer import AnyCaller
from clinprompt.serving.faults import refusals
from clinprompt.serving.refused import Refused
from clinprompt.serving.sampling import One, Sampling, TokenUsage, finish, usage
from clinprompt.serving.server import Server
from clinprompt.serving.streaming import streamed
from clinprompt.serving.work import unless_given_up
from clinprompt.serving.writing import Step, Token, begin

COMPLETIONS = "/v1/completions"


class CompletionRequest(Sampling):
    """OpenAI's request; ``prompt`` is a note or several. Token ids are refused, as is all that cannot be honoured."""

    prompt: str | Annotated[list[str], Field(min_length=1)]
    max_tokens: int | None = Field(None, ge=1)
    logprobs: int | None = Field(None, ge=0, le=20)
    best_of: One | None = None
    echo: Literal[False] | None = False
    suffix: Annotated[str, Field(max_length=0)] | None = None

    @property
    def notes(self) -> list[str]:
        """The notes."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt


class Logprobs(BaseModel):
    """Log-probabilities of the tokens; ``text_offset`` counts code points of the answer."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]] | None
    text_offset: list[int]


class CompletionChoice(BaseModel):
    """One answer."""

    index: int
    text: str
    logprobs: Logprobs | None
    finish_reason: Literal["stop", "length"] | None


class Completion(BaseModel):
    """OpenAI's answer; ``model`` is the prompt's name with its version."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: TokenUsage | None = None


def completion_routes(server: Server) -> APIRouter:
    """The route of plain completions."""
    router = APIRouter(tags=["openai"])

    @router.post(
        COMPLETIONS,
        responses=refusals(403, 404, 422),
        response_model=Completion,
        summary="A task's answer as text",
    )
    async def complete(body: CompletionRequest, caller: AnyCaller, request: Request) -> Completion | StreamingResponse:
        """Write the answer of a task to a note (or to several); with ``stream`` as server-sent events."""
        notes, limits = body.notes, server.settings.limits
        if len(notes) > limits.notes:
            raise Refused(413, "too_many_notes", f"a request may have {limits.notes} notes", param="prompt")
        if body.streams and len(notes) > 1:
            raise Refused(400, "invalid_parameter", "stream: one prompt at a time", param="stream")
        generation = body.generation(server.settings, tokens=body.max_tokens, param="max_tokens")
        server.admit(request, caller, notes, body.inputs)
        [served] = await server.wanted(request, caller, [body.model])
        writings = []
        try:
            for note in notes:
                writings.append(
                    await begin(server, request, served, note, body.inputs, generation, chances=body.logprobs)
                )
            made = {"id": f"cmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": served.reference}
            if body.streams:
                return _stream(server, request, body, writings[0], made, served.name)
            answers = await unless_given_up(server, request, asyncio.gather(*(one.whole() for one in writings)))
        except BaseException:
            for one in writings:
                one.ticket.cancel()
            raise
        choices = [
            CompletionChoice(
                index=i, text=text, finish_reason=finish(raw.truncated),
                logprobs=None if body.logprobs is None else told(tokens, body.logprobs, at=-len(writings[i].joint)),
            )
            for i, (text, tokens, raw) in enumerate(answers)
        ]  # fmt: skip
        read, written = sum(one.read for one in writings), sum(raw.tokens for _, _, raw in answers)
        for one in writings:
            server.metrics.queued(COMPLETIONS, seconds=one.queued)
        server.metrics.tokens(served.name, read=read, written=written)
        return Completion(**made, choices=choices, usage=usage(read, written))

    return router


def _stream(server, request, body, writing, made, name) -> StreamingResponse:
    at = -len(writing.joint)

    def piece(step: Step) -> Completion:
        nonlocal at
        tokens = [] if step.token is None else [step.token]
        found = None if body.logprobs is None else told(tokens, body.logprobs, at=at)
        at += sum(len(token.text) for token in tokens)
        choice = CompletionChoice(index=0, text=step.text, logprobs=found, finish_reason=None)
        return Completion(**made, object="text_completion", choices=[choice])

    def last(answer: RawAnswer) -> Iterator[Completion]:
        choice = CompletionChoice(index=0, text="", logprobs=None, finish_reason=finish(answer.truncated))
        yield Completion(**made, object="text_completion", choices=[choice])
        if body.tells_usage:
            counted = usage(writing.read, answer.tokens)
            yield Completion(**made, object="text_completion", choices=[], usage=counted)

    return streamed(server, request, writing, name=name, first=iter(()), piece=piece, last=last)


def told(tokens: Sequence[Token], most: int, *, at: int = 0) -> Logprobs:
    """Tokens as completions tell them; ``at`` is where the first one begins in the answer, before it for the blank."""
    offsets = []
    for token in tokens:
        offsets.append(max(0, at))
        at += len(token.text)
    return Logprobs(
        tokens=[token.text for token in tokens],
        token_logprobs=[token.chance for token in tokens],
        # Some tokens of bytes have the same name: the likeliest stays.
        top_logprobs=[dict(reversed(token.best)) for token in tokens] if most else None,
        text_offset=offsets,
    )
