"""Long documents with known answers: short synthetic notes put one behind the other, one question about them all."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer, Example

BETWEEN = "\n\n"


def glued(
    example: Example, others: Sequence[Example], *, tokens: int, length: Callable[[str], int], seed: int
) -> Example:
    """The example with other notes before and behind its own, at most ``tokens`` tokens in all, mostly nearly so.

    A question keeps its answer: notes that hold one of its words are not taken. Without a question the answer is that
    of all notes: their spans and relations at their new places, or their summaries, one a line.
    """
    chance = random.Random(f"{seed} {example.id} {tokens}")
    asked = {word for key, text in example.inputs.items() if key != "note" for word in _words(text)}
    pool = [other for other in others if other.id != example.id and not asked & set(_words(other.note))]
    chance.shuffle(pool)
    taken, left = [example], tokens - length(example.note)
    for other in pool:
        needed = length(BETWEEN + other.note)
        if needed <= left:
            taken.append(other)
            left -= needed
    chance.shuffle(taken)
    note = BETWEEN.join(one.note for one in taken)
    answer = example.answer if asked else _together(taken)
    return replace(
        example, id=f"{example.id}x{tokens}", group=f"{example.id}x{tokens}", inputs={**example.inputs, "note": note},
        answer=answer,
    )  # fmt: skip


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"\w+", text.casefold()) if len(word) > 3]


def _together(notes: Sequence[Example]) -> Answer:
    spans: list[Span] = []
    relations: list[Relation] = []
    at = 0
    for number, example in enumerate(notes):
        answer = example.answer
        spans += [replace(span.shifted(at), id=f"{number}.{span.id}") for span in answer.spans]
        relations += [
            replace(one, head=f"{number}.{one.head}", tail=f"{number}.{one.tail}", id=f"{number}.{one.id}")
            for one in answer.relations
        ]
        at += len(example.note) + len(BETWEEN)
    texts = [example.answer.text for example in notes if example.answer.text is not None]
    return Answer(spans=tuple(spans), relations=tuple(relations), text="\n".join(texts) if texts else None)
