"""Questions about notes that are longer than what is read at once: asked in windows, answered once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from torch import Tensor, float64, tensor

from clinprompt.data.sections import sections
from clinprompt.data.windows import Window, merge, windows, within
from clinprompt.errors import InputError
from clinprompt.inference.predictor import CONSTRAINED, Predictor, Question
from clinprompt.inference.reading import ReadingPredictor
from clinprompt.inference.scores import best_scores
from clinprompt.schema.example import SPAN_KINDS, Answer, TaskKind
from clinprompt.schema.formulated import Piece
from clinprompt.schema.prediction import DecodeReport, Prediction

OVERLAP = 100
"""Characters that neighbouring windows share where nothing says how long the longest item of an answer is."""

LEAST = 40
"""Characters of a note for which there must be room."""

WHOLE = "whole"
"""Strategy of a note that is read in one piece."""

Choices = Literal["surest", "summed"]
Summaries = Literal["again", "joined"]


@dataclass(frozen=True, slots=True)
class Plan:
    """A question, the windows of its note in which it is asked, and how one answer is made of theirs.

    ``overlap`` is the least number of characters that neighbouring windows share.
    """

    question: Question
    places: tuple[Window, ...]
    strategy: str
    overlap: int = 0


class LongNotes:
    """Plans windows and answers plans.

    A note is read whole when it has room beside the prompt, the task's words and the longest answer. Else spans and
    relations of its windows are merged; of a closed list the answer is taken that some window gives the largest share
    of the likelihood (``choices`` ``surest``) or that is likeliest over all windows together (``summed``); of
    written answers the one with the highest mean log-probability of its tokens; summaries of windows are joined, and
    (``summaries`` ``again``) the joined text is summarised in turn. ``rules`` are those of
    :func:`clinprompt.data.sections.sections`.
    """

    def __init__(
        self,
        predictor: Predictor | ReadingPredictor,
        *,
        choices: Choices = "surest",
        summaries: Summaries = "again",
        rules: Mapping[str, str] | None = None,
    ) -> None:
        self.predictor, self.choices, self.summaries, self.rules = predictor, choices, summaries, rules

    def plan(
        self, question: Question, *, longest: int | None = None, tokens: int | None = None, overlap: int = OVERLAP
    ) -> Plan:
        """The windows for one question: at most ``longest`` characters and ``tokens`` tokens, and what has room.

        Neighbours share at least ``overlap`` characters. Raises :class:`InputError` when there is no room for a note.
        """
        note = question.example.note

        def fits(stretch: str) -> bool:
            if tokens is not None and len(self.predictor.backbone.tokens(Piece(stretch))) > tokens:
                return False
            return self.predictor.fits(_with_note(question, stretch))

        if (longest is None or len(note) <= longest) and fits(note):
            return Plan(question, ((0, len(note)),), WHOLE)
        if not fits(note[:LEAST]):
            raise InputError(
                "the prompt, the task's words and the answer leave no room for the note",
                where=f"example {question.example.id}",
                allowed=f"at most {self.predictor.backbone.max_tokens} tokens in all for this backbone"
                + (f", {tokens} for a stretch of the note" if tokens is not None else ""),
                fix="ask for shorter answers (`answer_tokens`) or use a backbone with a longer context",
            )
        begins = [section.start for section in sections(note, self.rules)[1:]]
        places = windows(note, longest=longest, overlap=overlap, sections=begins, fits=fits)
        shared = min((one[1] - two[0] for one, two in pairwise(places)), default=0)
        read = tuple(place for place in places if note[slice(*place)].strip())
        return Plan(question, read or tuple(places[:1]), self._strategy(question), shared)

    def answers(self, plans: Sequence[Plan], *, watch: Callable[[int], None] = lambda rows: None) -> list[Prediction]:
        """One prediction per plan, in order; ``watch`` hears how many windows were answered."""
        parts = [[_part(plan, place) for place in plan.places] for plan in plans]
        listed = [self._is_listed(plan) for plan in plans]
        asked = [part for i, several in enumerate(parts) if not listed[i] for part in several]
        said = iter(self.predictor.predict(asked, watch=watch))
        found: list[Prediction] = []
        again: dict[int, Plan] = {}
        for i, plan in enumerate(plans):
            if listed[i]:
                found.append(self._choose(plan, parts[i]))
                watch(len(parts[i]))
                continue
            given = [next(said) for _ in parts[i]]
            found.append(self._combined(plan, parts[i], given))
            if plan.strategy != WHOLE and self._summarised_again(plan, found[i]):
                again[i] = self.plan(_with_note(plan.question, found[i].answer.text or ""))
        if again:
            for i, last in zip(again, self.answers(list(again.values())), strict=True):
                found[i] = replace(last, report=found[i].report + last.report, provenance=found[i].provenance)
        return found

    def likeliest(self, plans: Sequence[Plan]) -> list[Prediction | None]:
        """The likeliest of the possible answers to each; ``None`` where there is no closed list of them."""
        whole = iter(self.predictor.likeliest([plan.question for plan in plans if plan.strategy == WHOLE]))
        return [
            next(whole) if plan.strategy == WHOLE
            else self._choose(plan, [_part(plan, place) for place in plan.places]) if self._is_listed(plan)
            else None
            for plan in plans
        ]  # fmt: skip

    def _strategy(self, question: Question) -> str:
        if question.task.kind in SPAN_KINDS:
            return "spans merged"
        if self.predictor.possible(question) is not None:
            return "surest choice" if self.choices == "surest" else "choice by summed log-likelihood"
        if question.task.kind is TaskKind.summarisation:
            return "summaries summarised again" if self.summaries == "again" else "summaries joined"
        return "surest answer"

    def _is_listed(self, plan: Plan) -> bool:
        return plan.strategy != WHOLE and self.predictor.possible(plan.question) is not None

    def _combined(self, plan: Plan, parts: Sequence[Question], given: Sequence[Prediction]) -> Prediction:
        if plan.strategy == WHOLE:
            return given[0]
        kind = plan.question.task.kind
        ambiguous: tuple[str, ...] = ()
        scores: dict[str, float] = {}
        score = min((one.score for one in given if one.score is not None), default=None)
        if kind in SPAN_KINDS:
            answer = merge(plan.places, [one.answer for one in given])
            ambiguous = _ambiguous(plan, given, answer)
            scores = best_scores(plan.places, given, answer)
        elif kind is TaskKind.summarisation:
            texts = [(one.answer.text or "").strip() for one in given]
            answer = Answer(text="\n".join(text for text in texts if text))
        else:
            answer, score = self._surest(plan, parts, given)
            scores = {span.id: score for span in answer.spans if score is not None}
        report = sum((one.report for one in given), DecodeReport())
        raw = "\n".join(one.raw for one in given)
        loosest = min(given, key=lambda one: one.provenance["grounding"] == CONSTRAINED)
        name, provenance = plan.question.example.id, loosest.provenance
        return _told(plan, Prediction(name, answer, report, raw, ambiguous, {}, scores, score, provenance))

    def _surest(
        self, plan: Plan, parts: Sequence[Question], given: Sequence[Prediction]
    ) -> tuple[Answer, float | None]:
        """The answer that the predictor is surest of, with its score; blank ones only when all are."""
        scored = [i for i, one in enumerate(given) if (one.answer.text or "").strip()] or list(range(len(given)))
        values = self.predictor.sureness([parts[i] for i in scored], [given[i] for i in scored])
        best = scored[max(range(len(scored)), key=values.__getitem__)]
        answer, start = given[best].answer, plan.places[best][0]
        return replace(answer, spans=tuple(span.shifted(start) for span in answer.spans)), given[best].score

    def _choose(self, plan: Plan, parts: Sequence[Question]) -> Prediction:
        texts = self.predictor.possible(plan.question) or ()
        values: Tensor = tensor(self.predictor.likelihoods(parts, [texts] * len(parts)), dtype=float64)  # [windows, C]
        # Shares within a window: a stretch that makes every answer unlikely says nothing about which is right.
        scores = values.log_softmax(-1).amax(0) if self.choices == "surest" else values.sum(0).log_softmax(-1)
        best = int(scores.argmax())
        return _told(plan, self.predictor.chosen(plan.question, texts[best], float(scores[best].exp())))

    def _summarised_again(self, plan: Plan, found: Prediction) -> bool:
        """Whether there is a shorter text to summarise in turn."""
        wanted = plan.question.task.kind is TaskKind.summarisation and self.summaries == "again"
        text = found.answer.text or ""
        return wanted and len(plan.places) > 1 and bool(text) and len(text) < len(plan.question.example.note)


def _part(plan: Plan, place: Window) -> Question:
    """The question about one window; about a whole note it is the question itself."""
    if plan.strategy == WHOLE:
        return plan.question
    example = plan.question.example
    part = _with_note(plan.question, example.note[slice(*place)])
    gold = within(example.answer, place)  # told apart from found ones, annotated heads may be asked about
    named = replace(part.example, id=f"{example.id}@{place[0]}", offset=example.offset + place[0], answer=gold)
    return replace(part, example=named)


def _with_note(question: Question, note: str) -> Question:
    """The question about another text, without the gold answer, whose places would be others."""
    example = replace(question.example, inputs={**question.example.inputs, "note": note}, answer=Answer())
    return replace(question, example=example)


def _ambiguous(plan: Plan, given: Sequence[Prediction], merged: Answer) -> tuple[str, ...]:
    """The spans that no window could place for certain."""
    sure = {
        span.shifted(start).key
        for (start, _), one in zip(plan.places, given, strict=True)
        for span in one.answer.spans
        if span.id not in one.ambiguous
    }
    return tuple(span.id for span in merged.spans if span.key not in sure)


def _told(plan: Plan, prediction: Prediction) -> Prediction:
    told = f"{len(plan.places)} windows, {plan.strategy}"
    return replace(prediction, provenance={**prediction.provenance, "long_notes": told})
