"""The engine that is another program: any OpenAI-compatible server that holds a prompt-token checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from clinprompt.backbones.protocol import Generation, RawAnswer
from clinprompt.errors import InputError
from clinprompt.inference.checkpoint import Checkpoint
from clinprompt.inference.engines.asking import FORMS, Asking
from clinprompt.inference.engines.completion import Completion
from clinprompt.inference.engines.local import Request
from clinprompt.inference.engines.open_line import text_of
from clinprompt.inference.engines.scoring import Given, likelihoods, scores_as_recorded, scoring_of
from clinprompt.inference.engines.ticket import Terms
from clinprompt.inference.engines.wire import AGAIN, Refused, Wire
from clinprompt.prompts.exports.token_map import TokenPrompt
from clinprompt.schema.formulated import Piece

BEST = 5
"""How many likeliest tokens are asked for: the most that OpenAI's API gives."""


class OpenAIEngine:
    """Answers requests through a server's ``/v1/completions``; any number of threads may use it.

    A request's prompt is named, its tokens stand in the checkpoint. Answers are greedy unless a request says otherwise
    and written freely; a :class:`~clinprompt.inference.predictor.Predictor` checks them against the note. How the
    server wants to be asked is found out once, by the fixed sentence of the checkpoint's first prompt. Raises
    :class:`InputError` for a server that is not there, holds other models, or does not act as the prompt did when it
    was made. ``context`` is the number of tokens that it reads, where it says so.
    """

    def __init__(self, wire: Wire, checkpoint: Checkpoint, *, model: str = "") -> None:
        self.wire, self.checkpoint = wire, checkpoint
        listed = _model(wire, checkpoint, model)
        self.asking = _found_out(Asking(wire, listed["id"], checkpoint))
        self.context = length if isinstance(length := listed.get("max_model_len"), int) else None

    @property
    def scores(self) -> bool:
        """Whether the server gives log-probabilities of given answers."""
        return bool(self.asking.scoring)

    def check(self, prompt: TokenPrompt, *, where: str) -> None:
        """Raise :class:`InputError` when a prompt does not act in the server as it did when it was made."""
        acts = (
            scores_as_recorded(self.asking, prompt) if self.scores
            else self.asking.acts(prompt, self.asking.reference(prompt))
        )  # fmt: skip
        if not acts:
            raise _acts_otherwise(self.wire, prompt, where=where)

    def answers(
        self,
        requests: Sequence[Request],
        generation: Generation,
        *,
        watch: Callable[[int], None] = lambda rows: None,
        terms: Terms | None = None,
        heard: Callable[[str], None] = lambda text: None,
    ) -> list[RawAnswer]:
        """The requests' answers in their order; ``watch`` hears of progress.

        With ``terms`` the server need not finish answers that are not wanted any more, the reason is raised, and
        ``heard`` hears the text of a single answer as it comes. Raises :class:`InputError` for beams, which OpenAI's
        API does not have, and when the server fails.
        """
        if generation.beams > 1:
            raise InputError("beams are not to be had from an engine behind OpenAI's API", where=self.wire.url,
                             fix="answer greedily, or with `--engine local`")  # fmt: skip
        # Requests about one note go side by side: servers keep the states of what they have read.
        order = sorted(range(len(requests)), key=lambda i: (requests[i].row.context, i))
        sent = [self._ids(requests[i]) for i in order]
        more = self._settings(generation)
        bodies = (
            self.asking.body(ids, tokens=generation.tokens, where=f"example {requests[i].row.name}", **more)
            for i, ids in zip(order, sent, strict=True)
        )
        found: dict[int, RawAnswer] = {}
        tell = None if terms is None else lambda piece: heard(text_of(piece))
        contents = self.wire.several(bodies, watch=watch, terms=terms, heard=tell)
        for i, ids, content in zip(order, sent, contents, strict=True):
            said = self.asking.read(content)
            self._check_read(said, len(ids), where=f"example {requests[i].row.name}")
            found[i] = self._answer(said, generation)
        return [found[i] for i in range(len(requests))]

    def likelihoods(
        self, requests: Sequence[Request], choices: Sequence[Sequence[str]], *, terms: Terms | None = None
    ) -> list[list[float]]:
        """Log-probability in nats of each request's possible answers, each with its end token.

        When they are not wanted any more by the ``terms``, nothing more is sent and the reason is raised. Raises
        :class:`InputError` for a server that gives none.
        """
        backbone = self.checkpoint.backbone
        given = [
            Given(tuple(self._ids(one)), backbone.with_answer(one.row, text).answer, f"example {one.row.name}")
            for one, texts in zip(requests, choices, strict=True)
            for text in texts
        ]
        values = iter(likelihoods(self.asking, given, terms=terms))
        return [[next(values) for _ in texts] for texts in choices]

    def close(self) -> None:
        """Close the connections."""
        self.wire.close()

    def _ids(self, request: Request) -> list[int]:
        row, start = request.row, self.checkpoint.backbone.start
        if request.prompt:
            return self.checkpoint.prompts.prompt(request.prompt).around(start, row.context, row.cue)
        if request.vectors is not None:
            raise InputError("a prompt without a name cannot be found in a checkpoint", where=f"example {row.name}")
        return [*start, *row.context, *row.cue]

    def _check_read(self, said: Completion, sent: int, *, where: str) -> None:
        """Raise when the server has cut a question, or put something to it."""
        if self.asking.counts and said.read is not None and said.read != sent:
            raise InputError(
                f"the engine has read {said.read} of {sent} tokens",
                where=where,
                fix="start the engine with a longer context, or read long notes in smaller windows (`--window`)",
            )

    def _answer(self, said: Completion, generation: Generation) -> RawAnswer:
        backbone = self.checkpoint.backbone
        # Some tell of the end token too, which is no part of an answer.
        if said.ids and None not in said.ids:
            told = next((i for i, one in enumerate(said.ids) if one in backbone.stops), len(said.ids))
        else:
            ended = not said.truncated and len(said.texts) > 1 and "".join(said.texts[:-1]) == said.text
            told = len(said.chances) - ended
        ids = tuple(one for one in said.ids[:told] if one is not None)
        # Servers leave special tokens out of texts; where they tell ids, those say what was written.
        text = backbone.text(ids) if len(ids) == told and said.ids and not generation.stop else said.text
        places = [place for stop in generation.stop if (place := text.find(stop)) >= 0]
        return RawAnswer(
            text[: min(places)] if places else text,
            len(backbone.tokens(Piece(text))) if said.written is None else said.written,
            truncated=said.truncated and not places,
            ids=ids,
            chances=tuple(one for one in said.chances[:told] if one is not None),
        )

    def _settings(self, generation: Generation) -> dict[str, Any]:
        """What a request says of how its answer is written; greedily unless it says otherwise."""
        found: dict[str, Any] = {"logprobs": 1} if self.asking.best else {}
        if generation.stop:
            found["stop"] = list(generation.stop)
        if generation.temperature:
            found |= {"temperature": generation.temperature, "top_p": generation.top_p}
        if generation.temperature and generation.seed is not None:
            found["seed"] = generation.seed
        return found


def _model(wire: Wire, checkpoint: Checkpoint, wanted: str) -> dict[str, Any]:
    """What the server says of its model: the one named like the checkpoint's folder, or the only one.

    One that is ``wanted`` need not be listed, as some servers list others than those they answer with.
    """
    try:
        listed = wire.models()
    except Refused as error:
        if not wanted or error.status in (401, 403, *AGAIN):
            raise
        listed = []
    folder = checkpoint.folder.resolve().name
    if wanted:
        return next((one for one in listed if one["id"] == wanted), {"id": wanted})
    fitting = listed if len(listed) == 1 else [one for one in listed if one["id"].rpartition("/")[2] == folder]
    if len(fitting) != 1:
        raise InputError(
            f"the engine holds {len(listed)} models, and it is not clear which of them is this checkpoint",
            where=wire.url,
            allowed=", ".join(one["id"] for one in listed) or "(it names none)",
            fix="name the one that was started with the checkpoint: --engine-model NAME",
        )
    return fitting[0]


def _found_out(asking: Asking) -> Asking:
    """With the form, the log-probabilities and the counts that the server has, by its answers about one prompt."""
    first = asking.checkpoint.prompts.prompts[0]
    heard = False
    for form in FORMS:
        tried, said = _heard(replace(asking, form=form), first)
        if said is None:
            continue
        heard = True
        if asking.acts(first, said):
            counts = form == "token ids" and said.read == len(asking.reference_ids(first))
            return replace(tried, counts=counts, scoring=scoring_of(tried, first))
        if form == "token ids":
            break  # it takes ids, and answers otherwise
    if not heard:
        raise InputError(
            f"the engine takes questions to {asking.model} neither as token ids nor as text", where=asking.wire.url,
            fix="name the model as the engine does (--engine-model), and see the engine's own log",
        )  # fmt: skip
    raise _acts_otherwise(asking.wire, first, where=str(asking.checkpoint.folder))


def _heard(asking: Asking, prompt: TokenPrompt) -> tuple[Asking, Completion | None]:
    """The first token, with log-probabilities if the server has any; ``None`` when it refuses the question."""
    for best in (BEST, 0):
        tried = replace(asking, best=best)
        try:
            return tried, tried.reference(prompt)
        except Refused as error:
            if error.status in (401, 403, 404, *AGAIN):
                raise
    return asking, None


def _acts_otherwise(wire: Wire, prompt: TokenPrompt, *, where: str) -> InputError:
    return InputError(
        f"the engine at {wire.url} does not answer with the prompt {prompt.card.full_name} as it did when it was made",
        where=where,
        fix="start the engine with this checkpoint, and with weights of the same precision; an engine that takes text "
        "only cannot be used with every prompt",
    )
