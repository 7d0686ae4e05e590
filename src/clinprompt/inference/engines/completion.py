"""What a server of OpenAI's form said: text, why it ended, and log-probabilities in either of two forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clinprompt.errors import InputError


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer. ``truncated``: the limit ended it; ``read`` and ``written`` count tokens, where the server does.

    ``chances`` are log-probabilities in nats of the tokens written (of the prompt's too where they were asked for,
    ``None`` where one has none), ``ids`` and ``texts`` those tokens as far as they are told. ``best`` are the
    likeliest first tokens with theirs, by id (``int``) or by text.
    """

    text: str
    truncated: bool
    read: int | None
    written: int | None
    chances: tuple[float | None, ...]
    ids: tuple[int | None, ...]
    texts: tuple[str, ...]
    best: Mapping[int | str, float]


def parse(content: Mapping[str, Any], *, where: str) -> Completion:
    """The answer in a response of ``/completions``; :class:`InputError` where it is none."""
    try:
        choice = content["choices"][0]
        usage = content.get("usage") or {}
        chances, ids, texts, best = _chances(choice.get("logprobs") or {})
        return Completion(
            text=_is(str, choice["text"]),
            truncated=choice.get("finish_reason") == "length",
            read=_count(usage.get("prompt_tokens")),
            written=_count(usage.get("completion_tokens")),
            chances=chances,
            ids=ids,
            texts=texts,
            best=best,
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"the server does not answer as OpenAI's /completions does ({type(error).__name__})", where=where
        ) from None


def _chances(
    told: Mapping[str, Any],
) -> tuple[tuple[float | None, ...], tuple[int | None, ...], tuple[str, ...], dict[int | str, float]]:
    """Log-probabilities as parallel lists (OpenAI's completions), or as a list of tokens (its chats, llama.cpp)."""
    if "content" in told:
        tokens = told["content"] or []
        first = tokens[0].get("top_logprobs") or [] if tokens else []
        return (
            tuple(_number(one["logprob"]) for one in tokens),
            tuple(_count(one.get("id")) for one in tokens),
            tuple(one.get("token", "") for one in tokens),
            {one["id"] if "id" in one else one["token"]: float(one["logprob"]) for one in first},
        )
    texts = tuple(told.get("tokens") or ())
    top = told.get("top_logprobs") or []
    first = next((one for one in top if one), {})
    return (
        tuple(_number(one) for one in told.get("token_logprobs") or ()),
        (None,) * len(texts),
        texts,
        {str(text): float(value) for text, value in first.items()},
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _is(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError
    return value
