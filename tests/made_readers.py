"""Stand-ins for an encoder: one token per character, answers from annotation or from the prompt's own numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from clinprompt.backbones.protocol import PromptVectors, ReadingRow, TokenSpan
from clinprompt.errors import InputError
from clinprompt.schema.document import Fragment
from clinprompt.schema.example import Example
from clinprompt.schema.formulated import Piece, SpanQuestion
from clinprompt.tasks.formulations.reading import training_questions
from clinprompt.tasks.task import Task

HIDDEN = 4
HEADS = {"edges": torch.ones(2, HIDDEN), "edge_bias": torch.zeros(2)}

Says = Callable[[str, SpanQuestion], Sequence[tuple[Fragment, float]]]
"""Places of a question's context and their scores, by the row's name and the question."""


@dataclass(frozen=True, slots=True)
class _MadeRow(ReadingRow):
    question: SpanQuestion | None = None


class MadeReader:
    """The interface of an encoder backbone; ``says`` answers, shifted by what the row's own prompt sums up to."""

    name = fingerprint = tokenizer_fingerprint = "made"
    template = "reading"
    hidden_size, n_layers = HIDDEN, 1
    embeddings = torch.zeros(3, HIDDEN)

    def __init__(self, says: Says, *, max_tokens: int = 10_000, tokens_at_once: int = 100_000) -> None:
        self.says, self.max_tokens, self.tokens_at_once = says, max_tokens, tokens_at_once
        self.runs: list[list[ReadingRow]] = []
        self.prompts: list[PromptVectors] = []

    def tokens(self, piece: Piece) -> list[int]:
        return [1] * len(piece.text)

    def ask(self, question: SpanQuestion, *, name: str, reserve: int) -> ReadingRow:
        places: list[Fragment | None] = [(i, i + 1) for i in range(len(question.context))]
        if question.head is not None:
            places.insert(question.head[1], None)
            places.insert(question.head[0], None)
        first = len(question.question) + 2
        length = first + len(places) + 1
        if length + reserve > self.max_tokens:
            raise InputError("too long")
        return _MadeRow(name, (1,) * length, (0,) * length, first, first + len(places), tuple(places),
                        question=question)  # fmt: skip

    def read(self, rows: Sequence[_MadeRow], prompts: PromptVectors, *, flat: bool = False) -> list[list[TokenSpan]]:
        self.runs.append(list(rows))
        self.prompts.append(prompts)
        found = []
        for row, owner in zip(rows, prompts.owners(len(rows)), strict=True):
            own = (
                prompts.vectors[owner, ..., : prompts.length(owner), :].sum() + prompts.heads["edge_bias"][owner].sum()
            )
            starts = {place[0]: i for i, place in enumerate(row.places) if place}
            ends = {place[1]: i for i, place in enumerate(row.places) if place}
            found.append(
                [
                    TokenSpan(starts[start], ends[end], score + float(own))
                    for (start, end), score in self.says(row.name, row.question)
                ]
            )
        return found


def knowing(examples: Mapping[str, Example], task: Task, *, wording: str = "label") -> Says:
    """Says the gold answers: of a window named ``id@start`` those that lie in it."""

    gold_of = {name: training_questions(one, task, wording=wording) for name, one in examples.items()}

    def says(name: str, question: SpanQuestion) -> list[tuple[Fragment, float]]:
        own, start = (name, 0) if name in gold_of else (name.rpartition("@")[0], name.rpartition("@")[2])
        begin = int(start)
        end = begin + len(question.context)
        head = question.head and (question.head[0] + begin, question.head[1] + begin)
        return [
            ((first - begin, last - begin), 1.0)
            for gold in gold_of[own]
            if (gold.label, gold.question, gold.head) == (question.label, question.question, head)
            for first, last in gold.answers
            if begin <= first and last <= end
        ]

    return says
