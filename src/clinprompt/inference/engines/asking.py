"""How one server is asked for one checkpoint, and whether it acts as its prompts did when they were made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from clinprompt.inference.checkpoint import Checkpoint
from clinprompt.inference.engines.completion import Completion, parse
from clinprompt.inference.engines.wire import Wire
from clinprompt.inference.reference import SENTENCE
from clinprompt.inference.token_requests import request_text
from clinprompt.prompts.card import Reference
from clinprompt.prompts.exports.token_map import TokenPrompt
from clinprompt.schema.formulated import Piece, TextPair

Form = Literal["token ids", "text", "text without BOS"]
"""How a request is put: as token ids, or spelled, with the token that begins a text or where the server adds it."""

FORMS: tuple[Form, ...] = ("token ids", "text", "text without BOS")

Scoring = Literal["echo", "forced", ""]
"""How an answer's log-probability is had: the server reads it back, it is made to write it token by token, or not."""

REFERENCE = "reference sentence"


@dataclass(frozen=True, slots=True)
class Asking:
    """How one server is asked for one checkpoint.

    ``best`` is how many of the likeliest tokens it tells with their log-probabilities. ``counts``: it says how many
    tokens it has read, and counts them as we do.
    """

    wire: Wire
    model: str
    checkpoint: Checkpoint
    form: Form = "token ids"
    scoring: Scoring = ""
    best: int = 0
    counts: bool = False

    def body(self, ids: Sequence[int], *, tokens: int, where: str, **more: Any) -> dict[str, Any]:
        """A request for the likeliest ``tokens`` tokens behind ``ids``; ``where`` names it in errors."""
        prompt: list[int] | str = list(ids)
        if self.form != "token ids":
            begins = self.form == "text without BOS" and tuple(ids[:1]) == self.checkpoint.backbone.start
            prompt = request_text(ids[begins:], self.checkpoint.backbone.tokenizer, where=where)
        return {"model": self.model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, **more}

    def read(self, content: Mapping[str, Any]) -> Completion:
        """A server's answer."""
        return parse(content, where=self.wire.url)

    def reference_ids(self, prompt: TokenPrompt) -> list[int]:
        """The fixed sentence with a prompt, put as in :mod:`clinprompt.inference.reference`."""
        pair = TextPair(context=(Piece(SENTENCE),), cue=(Piece(":"),), answer="")
        row = self.checkpoint.backbone.encode(pair, name=REFERENCE, reserve=prompt.card.length)
        return prompt.around(self.checkpoint.backbone.start, row.context, row.cue)

    def reference(self, prompt: TokenPrompt) -> Completion:
        """The first token that the server writes behind the fixed sentence with a prompt."""
        more = {"logprobs": self.best} if self.best else {}
        ids = self.reference_ids(prompt)
        return self.read(self.wire.complete(self.body(ids, tokens=1, where=REFERENCE, **more)))

    def acts(self, prompt: TokenPrompt, said: Completion) -> bool:
        """Whether that is what the prompt's card has recorded; true where it has recorded nothing."""
        recorded = prompt.card.reference
        return recorded is None or agrees(said, recorded, lambda token: self.checkpoint.backbone.text([token]))


def tolerance(recorded: Reference) -> float:
    """How far apart log-probabilities may be that should differ as these logits do, in nats.

    Half precision is allowed a tenth of the largest logit here as elsewhere, but no more than half of what lies
    between the strongest and the weakest recorded, or else any order of them would do; rounding needs a fiftieth.
    """
    largest = max(1.0, *(abs(value) for value in recorded.with_prompt))
    return min(0.1 * largest, max(0.02 * largest, spread(recorded) / 2))


def spread(recorded: Reference) -> float:
    """What lies between the strongest and the weakest logit recorded."""
    return max(recorded.with_prompt) - min(recorded.with_prompt)


def agrees(said: Completion, recorded: Reference, text: Callable[[int], str]) -> bool:
    """Whether a first token and the likeliest ones beside it are those recorded.

    Log-probabilities differ from logits by one constant; what is likely now must have been among the strongest then.
    Where a server tells texts in place of ids, tokens that are parts of a character cannot be told; if it tells none
    at all, the written one must be one of the strongest recorded.
    """
    logits = dict(zip(recorded.tokens, recorded.with_prompt, strict=True))
    allowed = tolerance(recorded)
    by_text = {text(token): token for token in recorded.tokens}
    clear = {one: value for one, value in said.best.items() if isinstance(one, int) or "\ufffd" not in one}
    named = [(one if isinstance(one, int) else by_text.get(one), value) for one, value in clear.items()]
    constants = [value - logits[token] for token, value in named if token in logits]
    if constants:
        beyond = min(recorded.with_prompt) + min(constants) + allowed
        unknown = [value for token, value in named if token not in logits]
        return max(constants) - min(constants) <= allowed and all(value <= beyond for value in unknown)
    near = max(recorded.with_prompt) - allowed
    strongest = [text(token) for token, logit in logits.items() if logit >= near]
    return not clear and any(_same_words(said.text, one) for one in strongest)


def _same_words(written: str, spelled: str) -> bool:
    """Whether a server's text is that of a token: some leave out blanks in front, and special tokens."""
    return written.lstrip() == spelled.lstrip() or (not written and spelled[:1] == "<")
