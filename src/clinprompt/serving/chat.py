"""``/v1/chat/completions``: the one message of the user is a task's note, the answer the task's."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, model_validator

from clinprompt.backbones.protocol import RawAnswer
from clinprompt.serving.bearer import AnyCaller
from clinprompt.serving.faults import refusals
from clinprompt.serving.findings import STRICT
from clinprompt.serving.refused import Refused
from clinprompt.serving.sampling import Sampling, TokenUsage, finish, usage
from clinprompt.serving.server import Server
from clinprompt.serving.streaming import streamed
from clinprompt.serving.work import unless_given_up
from clinprompt.serving.writing import AnswerWriting, Step, Token, begin

CHAT = "/v1/chat/completions"
NoItems = Annotated[list[Any], Field(max_length=0)]


class _Strict(BaseModel):
    model_config = STRICT


class TextPart(_Strict):
    """A part of a message; only text can be read."""

    type: Literal["text"]
    text: str
    prompt_cache_breakpoint: dict[str, Any] | None = None


class Message(_Strict):
    """A message. Only the user's can be honoured: the task's own words say what is asked."""

    role: Literal["user", "system", "developer", "assistant", "tool", "function"]
    content: str | Annotated[list[TextPart], Field(min_length=1)]
    name: str | None = None

    @property
    def text(self) -> str:
        """The whole text."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class ResponseFormat(_Strict):
    """Answers are text, in the form that the task has."""

    type: Literal["text"]


class ChatRequest(Sampling):
    """OpenAI's request; the one user message is the note. What cannot be honoured is refused.

    All parameters of OpenAI's client are here. Those about caches, tiers and end users, and ``prediction``, change no
    answer; the rest may be sent with the value that changes nothing.
    """

    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, max_length=1)] | None = None
    store: Literal[False] | None = None
    service_tier: Literal["auto", "default"] | None = None
    reasoning_effort: Literal["none"] | None = None
    verbosity: Literal["medium"] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    prediction: dict[str, Any] | None = None
    tools: NoItems | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None
    functions: NoItems | None = None
    function_call: Literal["none", "auto"] | None = None
    audio: None = None
    moderation: None = None
    web_search_options: None = None

    @model_validator(mode="after")
    def _fits_together(self) -> ChatRequest:
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs")
        if None not in (self.max_tokens, self.max_completion_tokens) and self.max_tokens != self.max_completion_tokens:
            raise ValueError("max_tokens and max_completion_tokens differ; give one of them")
        return self

    @property
    def note(self) -> str:
        """The text of the one message; :class:`Refused` for others beside it."""
        others = [one.role for one in self.messages if one.role != "user"]
        if others:
            raise Refused(
                400, "unsupported_message",
                f"a message of the role {others[0]} cannot be honoured: the task's own words say what is asked; "
                "send the note as the one user message",
                param="messages",
            )  # fmt: skip
        if len(self.messages) > 1:
            raise Refused(400, "unsupported_message", "send one user message: the note", param="messages")
        return self.messages[0].text


class TopLogprob(BaseModel):
    """A token that could have stood in a place."""

    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(TopLogprob):
    """A token of the answer, and the likeliest ones of its place."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(BaseModel):
    """Log-probabilities of the answer's tokens."""

    content: list[TokenLogprob]
    refusal: None = None


class ChatMessage(BaseModel):
    """The answer."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChatChoice(BaseModel):
    """The one answer of a request."""

    index: int
    message: ChatMessage
    logprobs: ChatLogprobs | None
    finish_reason: Literal["stop", "length"]


class ChatCompletion(BaseModel):
    """OpenAI's answer; ``model`` is the prompt's name with its version."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: TokenUsage


def chat_routes(server: Server) -> APIRouter:
    """The route of chat completions."""
    router = APIRouter(tags=["openai"])

    @router.post(
        CHAT, responses=refusals(403, 404, 422), response_model=ChatCompletion,
        summary="A task's answer as a message",
    )  # fmt: skip
    async def chat(body: ChatRequest, caller: AnyCaller, request: Request) -> ChatCompletion | StreamingResponse:
        """Write the answer of a task to a note; with ``stream`` as server-sent events."""
        note = body.note
        param = "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens"
        generation = body.generation(server.settings, tokens=body.max_completion_tokens or body.max_tokens, param=param)
        server.admit(request, caller, [note], body.inputs)
        [served] = await server.wanted(request, caller, [body.model])
        chances = (body.top_logprobs or 0) if body.logprobs else None
        writing = await begin(server, request, served, note, body.inputs, generation, chances=chances)
        made = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": served.reference}
        if body.streams:
            return _stream(server, request, body, writing, made, served.name)
        text, tokens, raw = await unless_given_up(server, request, asyncio.ensure_future(writing.whole()))
        server.metrics.queued(CHAT, seconds=writing.queued)
        server.metrics.tokens(served.name, read=writing.read, written=raw.tokens)
        choice = ChatChoice(
            index=0, message=ChatMessage(content=text), finish_reason=finish(raw.truncated),
            logprobs=ChatLogprobs(content=told(tokens)) if body.logprobs else None,
        )  # fmt: skip
        return ChatCompletion(**made, choices=[choice], usage=usage(writing.read, raw.tokens))

    return router


def _stream(
    server: Server, request: Request, body: ChatRequest, writing: AnswerWriting, made: dict[str, Any], name: str
) -> StreamingResponse:
    def chunk(delta: dict[str, Any], tokens: Sequence[Token] = (), reason: str | None = None) -> dict[str, Any]:
        found = ChatLogprobs(content=told(tokens)).model_dump() if body.logprobs and tokens else None
        choice = {"index": 0, "delta": delta, "logprobs": found, "finish_reason": reason}
        return {**made, "object": "chat.completion.chunk", "choices": [choice]}

    def piece(step: Step) -> dict[str, Any]:
        return chunk({"content": step.text}, () if step.token is None else (step.token,))

    def last(answer: RawAnswer) -> Iterator[dict[str, Any]]:
        yield chunk({}, reason=finish(answer.truncated))
        if body.tells_usage:
            counted = usage(writing.read, answer.tokens).model_dump()
            yield {**made, "object": "chat.completion.chunk", "choices": [], "usage": counted}

    first = iter([chunk({"role": "assistant", "content": ""})])
    return streamed(server, request, writing, name=name, first=first, piece=piece, last=last)


def told(tokens: Sequence[Token]) -> list[TokenLogprob]:
    """Tokens as chat tells them."""
    return [
        TokenLogprob(
            token=token.text, logprob=token.chance, bytes=_bytes(token.text),
            top_logprobs=[TopLogprob(token=text, logprob=chance, bytes=_bytes(text)) for text, chance in token.best],
        )
        for token in tokens
    ]  # fmt: skip


def _bytes(text: str) -> list[int] | None:
    """The bytes of a token; ``None`` for one that is only a part of a character."""
    return None if "\N{REPLACEMENT CHARACTER}" in text else list(text.encode())
