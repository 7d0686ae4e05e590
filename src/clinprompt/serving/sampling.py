"""The parameters of OpenAI's requests that say how an answer is written: those honoured, and those that must be left.

A parameter that cannot be honoured may be sent with the value that changes nothing; any other is refused.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from clinprompt.backbones.protocol import Generation
from clinprompt.serving.findings import STRICT, Inputs, ModelName
from clinprompt.serving.refused import Refused
from clinprompt.serving.settings import ServeSettings

Stop = Annotated[str, Field(min_length=1, max_length=200)]
Nothing = Annotated[float, Field(ge=0, le=0)]
One = Annotated[int, Field(ge=1, le=1)]


class StreamOptions(BaseModel):
    """What a stream tells besides the answer."""

    model_config = ConfigDict(extra="forbid")

    include_usage: bool = False
    include_obfuscation: Literal[False] | None = None


class Sampling(BaseModel):
    """What requests for completions and for chat have in common. ``user`` and ``metadata`` change nothing.

    Without a temperature answers are greedy, as tasks were scored: OpenAI's default of 1 draws instead.
    """

    model_config = STRICT

    model: ModelName
    inputs: Inputs = Field(
        default_factory=dict, description="Texts of the task's other inputs (extra_body of OpenAI's client)."
    )
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: One | None = None
    presence_penalty: Nothing | None = None
    frequency_penalty: Nothing | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None

    @property
    def streams(self) -> bool:
        """Whether the answer comes in pieces."""
        return bool(self.stream)

    @property
    def tells_usage(self) -> bool:
        """Whether the last piece of a stream counts tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def generation(self, settings: ServeSettings, *, tokens: int | None, param: str) -> Generation:
        """How the answer is written, with at most ``tokens`` tokens.

        Raises :class:`Refused` for more tokens than the server gives, and for stream options without a stream.
        """
        if self.stream_options is not None and not self.streams:
            raise Refused(400, "invalid_parameter", "stream_options: only for a stream", param="stream_options")
        if tokens is not None and tokens > settings.limits.tokens:
            raise Refused(
                400, "invalid_parameter", f"{param}: this server writes at most {settings.limits.tokens} tokens",
                param=param,
            )  # fmt: skip
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return Generation(
            tokens=tokens or min(settings.answer_tokens, settings.limits.tokens),
            stop=stop,
            temperature=self.temperature or 0.0,
            top_p=1.0 if self.top_p is None else self.top_p,
            seed=self.seed,
        )


class TokenUsage(BaseModel):
    """Tokens of the question and of the answer; soft prompts are not counted."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


def usage(read: int, written: int) -> TokenUsage:
    """The count of a request."""
    return TokenUsage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)


def finish(truncated: bool) -> Literal["length", "stop"]:
    """Why an answer ended."""
    return "length" if truncated else "stop"


def event(body: BaseModel | dict[str, Any] | str) -> bytes:
    """One event of a stream."""
    if isinstance(body, BaseModel):
        body = body.model_dump_json(exclude_unset=True)
    elif isinstance(body, dict):
        body = json.dumps(body)
    return f"data: {body}\n\n".encode()
