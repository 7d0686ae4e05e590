"""An encoder backbone, prompts with scorers and tasks together: examples in, predictions with provenance out."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from clinprompt.backbones.protocol import PromptVectors, ReadingRow, TokenSpan
from clinprompt.errors import InputError
from clinprompt.inference.predictor import CONSTRAINED, Question
from clinprompt.schema.document import Fragment
from clinprompt.schema.example import Answer
from clinprompt.schema.formulated import Piece, SpanQuestion
from clinprompt.schema.prediction import DecodeReport, Prediction
from clinprompt.tasks.formulations.asks import asks_twice, questions
from clinprompt.tasks.formulations.reading import (
    LONGEST_HEAD,
    Asked,
    Found,
    assemble,
    first_pass,
    gold_heads,
    heads_found,
    second_pass,
)
from clinprompt.tasks.task import HEAD

if TYPE_CHECKING:
    from clinprompt.backbones.encoder import EncoderBackbone

MOST_HEADS = 100
"""Mentions of one example that are asked about: scorers that have learned little find them everywhere."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A row for the backbone, the question that it asks, and the example that it belongs to."""

    owner: int
    asked: Asked
    row: ReadingRow


class ReadingPredictor:
    """Answers examples of any mix of tasks and prompts by reading comprehension, as :class:`Predictor` does by writing.

    Relations are found end to end, or with ``gold_heads`` for the annotated mentions at one of their ends, which is an
    easier task and told in the provenance. ``flat`` keeps of overlapping answers to one question the best.
    A prediction's ``raw`` text lists what was found as JSON: labels, places in the source document, and scores.
    """

    def __init__(self, backbone: EncoderBackbone, *, gold_heads: bool = False, flat: bool = False) -> None:
        self.backbone, self.gold_heads, self.flat = backbone, gold_heads, flat
        self._lengths: dict[str, int] = {}

    def predict(
        self, questions: Sequence[Question], *, watch: Callable[[int], None] = lambda rows: None
    ) -> list[Prediction]:
        """Predictions in the order of the questions; each is independent of the others.

        ``watch`` hears how many examples are done. Raises :class:`InputError` for an example that does not fit the
        backbone's context, a task that cannot be read and a prompt without scorers. A question about a head that does
        not fit although the others did is left unasked, as are those about all but the ``MOST_HEADS`` surest heads of
        an example; the answer then counts as truncated.
        """
        twice = {i for i, one in enumerate(questions) if asks_twice(one.task)}
        known = {i for i in twice if self.gold_heads}
        first = [line for i, one in enumerate(questions) if i not in known for line in self._first(i, one)]
        found, broken = self._answers(questions, first, lambda done: watch(len(done - twice)))
        second: list[_Line] = []
        unasked: set[int] = set()
        for i in sorted(twice):
            example, task = questions[i].example, questions[i].task
            heads, left_out = (gold_heads(example, task), 0) if i in known else heads_found(found[i], most=MOST_HEADS)
            if left_out:
                unasked.add(i)
            for asked in second_pass(example, task, heads, wording=questions[i].wording):
                try:
                    second.append(self._line(i, questions[i], asked))
                except InputError:
                    unasked.add(i)
        watch(len(twice - {line.owner for line in second}))
        more, also_broken = self._answers(questions, second, lambda done: watch(len(done)))
        broken += also_broken
        return [
            self._prediction(one, found[i] + more[i], broken=broken[i], cut=i in unasked)
            for i, one in enumerate(questions)
        ]

    def fits(self, question: Question) -> bool:
        """Whether the backbone's context has room for the example with its longest question and its prompt."""
        note = question.example.note
        asked = [one.question for one in first_pass(question.example, question.task, wording=question.wording)]
        head = note[:LONGEST_HEAD]
        if asks_twice(question.task) and head:
            asked += [
                SpanQuestion(ask.label, ask.text.replace(HEAD, head), note, head=(0, len(head)))
                for ask in questions(question.task, wording=question.wording)
                if ask.of
            ]
        longest = max(asked, key=lambda one: (one.head is not None, self._tokens(one.question)))
        try:
            self._row(question, longest)
        except InputError:
            return False
        return True

    def possible(self, question: Question) -> None:
        """No closed list: any places may be right."""

    def likeliest(
        self, questions: Sequence[Question], *, watch: Callable[[int], None] = lambda rows: None
    ) -> list[None]:
        """``None`` for each: there are no closed lists of answers to choose from."""
        return [None] * len(questions)

    def sureness(self, questions: Sequence[Question], given: Sequence[Prediction]) -> list[float]:
        """The best score among what was found in each; minus infinity for nothing."""
        return [max((item["score"] for item in json.loads(one.raw)), default=-torch.inf) for one in given]

    def _first(self, owner: int, question: Question) -> list[_Line]:
        asked = first_pass(question.example, question.task, wording=question.wording)
        return [self._line(owner, question, one) for one in asked]

    def _line(self, owner: int, question: Question, asked: Asked) -> _Line:
        return _Line(owner, asked, self._row(question, asked.question))

    def _row(self, question: Question, asked: SpanQuestion) -> ReadingRow:
        return self.backbone.ask(asked, name=question.example.id, reserve=_length(question.vectors))

    def _tokens(self, text: str) -> int:
        if text not in self._lengths:
            self._lengths[text] = len(self.backbone.tokens(Piece(text)))
        return self._lengths[text]

    def _answers(
        self, questions: Sequence[Question], lines: Sequence[_Line], done: Callable[[set[int]], None]
    ) -> tuple[list[list[Found]], Counter[int]]:
        """What was found for each question, in the order of its lines, and answers that are no place in the text."""
        found: list[list[Found]] = [[] for _ in lines]
        broken: Counter[int] = Counter()
        left = Counter(line.owner for line in lines)
        for batch in self._batches(questions, lines):
            part = [lines[j] for j in batch]
            prompts = self._prompts([questions[line.owner] for line in part])
            said = self.backbone.read([line.row for line in part], prompts, flat=self.flat)
            for j, line, spans in zip(batch, part, said, strict=True):
                places = [(span, _place(line.row, span)) for span in spans]
                found[j] = [Found(line.asked, place, span.score) for span, place in places if place is not None]
                broken[line.owner] += len(places) - len(found[j])
            left.subtract(line.owner for line in part)
            done({line.owner for line in part if not left[line.owner]})
        by_owner: list[list[Found]] = [[] for _ in questions]
        for line, several in zip(lines, found, strict=True):
            by_owner[line.owner] += several
        return by_owner, broken

    def _batches(self, questions: Sequence[Question], lines: Sequence[_Line]) -> list[list[int]]:
        """Numbers of lines to run together: of one kind of prompt, padded to at most ``tokens_at_once`` tokens."""
        sizes = [line.row.length + _length(questions[line.owner].vectors) for line in lines]
        longest: dict[str, int] = {}
        for line, size in zip(lines, sizes, strict=True):
            context = line.asked.question.context
            longest[context] = max(longest.get(context, 0), size)
        kinds: dict[object, list[int]] = {}
        for j in sorted(
            range(len(lines)),
            key=lambda j: (longest[lines[j].asked.question.context], lines[j].asked.question.context, sizes[j], j),
        ):
            kinds.setdefault(_kind(questions[lines[j].owner]), []).append(j)
        batches: list[list[int]] = []
        for members in kinds.values():
            width = 0
            for place, j in enumerate(members):
                width = max(width, sizes[j])
                if not place or width * (len(batches[-1]) + 1) > self.backbone.tokens_at_once:
                    batches.append([])
                    width = sizes[j]
                batches[-1].append(j)
        return batches

    def _prompts(self, questions: Sequence[Question]) -> PromptVectors:
        """The different prompts and scorers of questions of one kind, and which question has which."""
        distinct: dict[tuple[int, int], Question] = {}
        for question in questions:
            distinct.setdefault((id(question.vectors), id(question.heads)), question)
        numbers = {key: m for m, key in enumerate(distinct)}
        owner = tuple(numbers[id(question.vectors), id(question.heads)] for question in questions)
        members = list(distinct.values())
        heads: list[Mapping[str, Tensor]] = [_heads(member) for member in members]
        empty = torch.zeros(0, self.backbone.hidden_size, device=next(iter(heads[0].values())).device)
        vectors = [empty if member.vectors is None else member.vectors for member in members]
        most = max(map(_length, vectors))
        widened = [torch.nn.functional.pad(one, (0, 0, 0, most - _length(one))) for one in vectors]
        return PromptVectors(
            _stacked(widened),
            members[0].placement,
            owner,
            tuple(map(_length, vectors)),
            {name: _stacked([one[name] for one in heads]) for name in heads[0]},
        )

    def _prediction(self, question: Question, found: Sequence[Found], *, broken: int, cut: bool) -> Prediction:
        example, task = question.example, question.task
        answer, invalid = assemble(example, task, found)
        report = DecodeReport(items=len(found) + broken, unreadable=broken + invalid, truncated=int(cut))
        raw, provenance = _raw(found, example.offset), self._provenance(question)
        return Prediction(
            example=example.id, answer=answer, report=report, raw=raw, scores=_scores(answer, found),
            provenance=provenance,
        )  # fmt: skip

    def _provenance(self, question: Question) -> dict[str, str]:
        gold = self.gold_heads and asks_twice(question.task)
        return {
            "task": question.task.name,
            "prompt": question.prompt_name,
            "backbone": self.backbone.fingerprint,
            "engine": "local",
            "dtype": str(self.backbone.embeddings.dtype).removeprefix("torch."),
            "grounding": CONSTRAINED,
            "decoding": f"{'the best places' if self.flat else 'all places'} with positive scores"
            + (", gold heads" if gold else ""),
        }


def _length(vectors: Tensor | None) -> int:
    return 0 if vectors is None else vectors.shape[-2]


def _heads(question: Question) -> Mapping[str, Tensor]:
    if not question.heads:
        raise InputError(
            "the prompt has no scorers of places, which an encoder needs for its answers",
            where=f"prompt {question.prompt_name!r}",
            fix="take a prompt that was trained on this backbone",
        )
    return question.heads


def _kind(question: Question) -> object:
    """What questions must share to run in one batch: placement, prompts per layer or not, and sizes of scorers."""
    layered = question.vectors is not None and question.vectors.dim() == 3
    shapes = tuple(sorted((name, tuple(tensor.shape)) for name, tensor in _heads(question).items()))
    return (question.placement, layered, shapes)


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0][None] if len(tensors) == 1 else torch.stack(list(tensors))


def _place(row: ReadingRow, span: TokenSpan) -> Fragment | None:
    """The characters of an answer; ``None`` when it begins or ends at a mark."""
    first, last = row.places[span.first], row.places[span.last]
    return None if first is None or last is None or first[0] >= last[1] else (first[0], last[1])


def _scores(answer: Answer, found: Iterable[Found]) -> dict[str, float]:
    """The match probability of each place, the best where it was found several times; of relations that of the pair."""
    places: dict[object, float] = {}
    pairs: dict[object, float] = {}
    for one in found:
        sure = 1 / (1 + math.exp(-one.score))
        place = (one.asked.ask.finds, (one.place,))
        places[place] = max(sure, places.get(place, 0.0))
        if one.asked.head is not None:
            pair = (one.asked.ask.label, frozenset((place, one.asked.head[:2])))
            pairs[pair] = max(sure, pairs.get(pair, 0.0))
    keys = {span.id: span.key for span in answer.spans}
    links = {one.id: (one.label, frozenset((keys[one.head], keys[one.tail]))) for one in answer.relations}
    return {name: places[key] for name, key in keys.items() if key in places} | {
        name: pairs[key] for name, key in links.items() if key in pairs
    }


def _raw(found: Iterable[Found], offset: int) -> str:
    items = []
    for one in found:
        ask, head = one.asked.ask, one.asked.head
        item = {"label": ask.finds, "start": offset + one.place[0], "end": offset + one.place[1], **ask.attributes}
        if head is not None:
            start, end = head[1][0]
            item |= {"relation": ask.label, "with": [head[0], offset + start, offset + end]}
        items.append(item | {"score": round(one.score, 4)})
    return json.dumps(items, ensure_ascii=False)
