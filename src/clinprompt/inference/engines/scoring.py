"""Log-probabilities of given answers from servers that were made to write: read back, or forced token by token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from clinprompt.errors import InputError
from clinprompt.inference.engines.asking import REFERENCE, Asking, Scoring, spread, tolerance
from clinprompt.inference.engines.completion import Completion
from clinprompt.inference.engines.ticket import Terms
from clinprompt.inference.engines.wire import AGAIN, Refused
from clinprompt.prompts.exports.token_map import TokenPrompt

BIAS = 100
"""What is added to a token's logit so that it is written: the most that OpenAI's API takes."""

WAYS: tuple[Scoring, ...] = ("echo", "forced")


@dataclass(frozen=True, slots=True)
class Given:
    """An answer to be scored: the request's ids, the answer's with its end token, and the name for errors."""

    ids: tuple[int, ...]
    answer: tuple[int, ...]
    where: str


def scoring_of(asking: Asking, prompt: TokenPrompt) -> Scoring:
    """The way in which this server gives what a prompt's card has recorded; empty where none does.

    A server that reports log-probabilities after the bias has changed them is found out: all forced tokens are then
    equally sure. Without recorded logits nothing is believed.
    """
    if prompt.card.reference is None or asking.form != "token ids":
        return ""
    for way in WAYS:
        try:
            if scores_as_recorded(replace(asking, scoring=way), prompt, clearly=True):
                return way
        except Refused as error:
            if error.status in (401, 403, *AGAIN):
                raise
        except InputError:
            continue
    return ""


def scores_as_recorded(asking: Asking, prompt: TokenPrompt, *, clearly: bool = False) -> bool:
    """Whether the strongest tokens behind the fixed sentence differ as they did when the prompt was made.

    ``clearly``: by less than half of what lies between the first and the last of them, too.
    """
    recorded = prompt.card.reference
    if recorded is None:
        return True
    ids = tuple(asking.reference_ids(prompt))
    values = likelihoods(asking, [Given(ids, (token,), REFERENCE) for token in recorded.tokens])
    constants = [value - logit for value, logit in zip(values, recorded.with_prompt, strict=True)]
    allowed = tolerance(recorded)
    if clearly:
        allowed = min(allowed, spread(recorded) / 2)
    return max(constants) - min(constants) <= allowed


def likelihoods(
    asking: Asking,
    given: Sequence[Given],
    *,
    watch: Callable[[int], None] = lambda rows: None,
    terms: Terms | None = None,
) -> list[float]:
    """Log-probability in nats of each answer behind its request; raises the reason when ``terms`` are broken.

    Raises :class:`InputError` for a server that does not say.
    """
    if asking.scoring == "echo":
        return _echoed(asking, given, watch, terms)
    if asking.scoring == "forced":
        return _forced(asking, given, watch, terms)
    raise InputError(
        "this engine gives no log-probabilities of given answers, which the choice between several answers needs",
        where=asking.wire.url,
        fix="answer with `--engine local`, or with an engine that has them (vLLM, llama.cpp's server); notes that are "
        "read whole can be answered greedily",
    )


def _echoed(asking: Asking, given: Sequence[Given], watch: Callable[[int], None], terms: Terms | None) -> list[float]:
    """The server reads request and answer, and says how likely each token of both was."""
    bodies = (asking.body([*one.ids, *one.answer], tokens=1, where=one.where, echo=True, logprobs=1) for one in given)
    found = [asking.read(content) for content in asking.wire.several(bodies, watch=watch, terms=terms)]
    values = []
    for one, said in zip(given, found, strict=True):
        chances = said.chances[len(one.ids) : len(one.ids) + len(one.answer)]
        if len(said.chances) > len(one.ids) + len(one.answer) + 1 or len(chances) < len(one.answer):
            raise _unsaid(asking, one.where)
        values.append(sum(_said(asking, chance, one.where) for chance in chances))
    return values


def _forced(asking: Asking, given: Sequence[Given], watch: Callable[[int], None], terms: Terms | None) -> list[float]:
    """One request per token, in which the token is given so much weight that it is written; equal ones only once."""
    steps: dict[tuple[tuple[int, ...], int], str] = {}
    for one in given:
        for place, token in enumerate(one.answer):
            steps.setdefault(((*one.ids, *one.answer[:place]), token), one.where)
    bodies = (
        asking.body(ids, tokens=1, where=where, logprobs=1, logit_bias={str(token): BIAS})
        for (ids, token), where in steps.items()
    )
    found = [asking.read(content) for content in asking.wire.several(bodies, terms=terms)]
    values = {
        step: _first(asking, step[1], said, where) for (step, where), said in zip(steps.items(), found, strict=True)
    }
    watch(len(given))
    return [
        sum(values[(*one.ids, *one.answer[:place]), token] for place, token in enumerate(one.answer)) for one in given
    ]


def _first(asking: Asking, token: int, said: Completion, where: str) -> float:
    """The forced token's log-probability; where another was written all the same, what it is below."""
    if not said.chances:
        raise _unsaid(asking, where)
    value = _said(asking, said.chances[0], where)
    text = asking.checkpoint.backbone.text([token])
    if said.ids and said.ids[0] is not None:
        written = said.ids[0] == token
    else:  # by its text, where that is one: special tokens are often left out, parts of a character cannot be told
        unclear = token in asking.checkpoint.backbone.tokenizer.all_special_ids or "\ufffd" in text
        written = unclear or not said.texts or said.texts[0].lstrip() == text.lstrip()
    return value if written else value - BIAS


def _said(asking: Asking, chance: float | None, where: str) -> float:
    if chance is None:
        raise _unsaid(asking, where)
    return chance


def _unsaid(asking: Asking, where: str) -> InputError:
    return InputError("the engine has left log-probabilities out", where=f"{asking.wire.url}, {where}")
