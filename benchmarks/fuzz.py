"""Answers of a writer that wants anything: every next token is chosen at random among those that a form allows."""

from __future__ import annotations

import random
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from clinprompt.backbones.loading import load_backbone
from clinprompt.inference.constraint import GrammarConstraint, Grammars
from clinprompt.schema.example import Answer, Example, TaskKind
from clinprompt.tasks.codecs import CODECS
from clinprompt.tasks.codecs.items import answer_items, plain, read_mention, split
from clinprompt.tasks.task import Task

PIECES = (
    *("pain", "chest pain", "aspirin 80 mg", "none", "a", "aa", "#2", "# 3", "drug: x", 'said "no"', "q.d.", "4.1"),
    *(" ", " ", " ", "  ", "\r\n", "\n", "\n\n", "\u00a0", "\t", "\u2028", ".", ",", "(", ")", '"', "'", "“", "”"),
    *(";", ":", "|", ">", "#", "\\", "=", " > ", " | ", "; ", "\\n", "<eos>", "<ans>"),
    *("e\u0301", "\u0301", "é", "😀", "👩\u200d⚕️", "ß", "İ", "中文", "µg", "°C", "½", "שלום", "\u202e", "\x00", "\x1c"),
)
ENTITIES = Task(
    name="fuzz-entities", kind=TaskKind.entities, codec="entities", instruction="List.",
    labels=("drug", "dose", "odd", "none"), verbalizer={"odd": " a;b|c#2\\ ", "dose": "x: y > z=1"},
    metrics=("span-f1",),
)  # fmt: skip
RELATIONS = Task(
    name="fuzz-relations", kind=TaskKind.relations, codec="relations", instruction="List.",
    labels=("drug", "dose", "odd"), verbalizer={"odd": "a=b>c"}, metrics=("relation-f1",),
    relations={
        "dose of": {"head": ("dose",), "tail": ("drug",)},
        "any": {"head": ("drug", "odd"), "tail": ("drug", "dose", "odd")},
    },
)  # fmt: skip
LONGEST, WALKS = 80, 40
LONG = 0.03
"""Share of notes of up to 120 pieces; the others are short, where every way to go wrong is met more often."""
SIGNS = (b" |", b" #", b"|", b"#", b";", b" ", b":")


@dataclass
class Counts:
    """What was written and what was wrong with it; ``marked`` and ``in parts`` say that the hard forms were met."""

    notes: int = 0
    answers: int = 0
    items: int = 0
    spans: int = 0
    marked: int = 0
    in_parts: int = 0
    violations: int = 0


def fuzz(spans: int, *, seed: int = 0) -> dict[str, Any]:
    """Write answers until they hold ``spans`` spans (ends of relations are spans too) and count violations."""
    backbone = load_backbone("embedded", device="cpu")
    grammars, chance, counts = Grammars(backbone), random.Random(seed), Counts()
    texts = [grammars.tokenizer.decode_bytes([token]) for token in range(backbone.vocabulary)]
    signs = np.array([text in SIGNS for text in texts])
    began = told = time.monotonic()
    while counts.spans < spans:
        length = chance.randint(1, 120 if chance.random() < LONG else 12)
        note = "".join(chance.choice(PIECES) for _ in range(length))
        task = chance.choice((ENTITIES, RELATIONS))
        example = Example("fuzz", {"note": note}, Answer(), "fuzz")
        start = grammars.constraint(CODECS[task.codec].form(example, task), " ")
        counts.notes += 1
        for _ in range(WALKS):
            text = start and _walk(start.fork(), grammars, signs, backbone.vocabulary, chance)
            if text is None:
                counts.violations += 1
                continue
            _count(text.removeprefix(" "), example, task, counts)
        if time.monotonic() - told > 60:
            told = time.monotonic()
            print(f"fuzz: {counts.spans} spans, {counts.violations} violations", file=sys.stderr, flush=True)
    named = {name.replace("_", " "): value for name, value in vars(counts).items()}
    return {**named, "seconds": round(time.monotonic() - began, 1), "seed": seed}


def _walk(
    constraint: GrammarConstraint, grammars: Grammars, signs: np.ndarray, vocabulary: int, chance: random.Random
) -> str | None:
    """An answer of at most ``LONGEST`` tokens, signs of the form often taken; ``None``: it lost its constraint."""
    bits = torch.empty(-(-vocabulary // 32), dtype=torch.int32)
    view = bits.numpy().view(np.uint8)
    for _ in range(LONGEST):
        constraint.fill(bits)
        may = np.unpackbits(view, bitorder="little")[:vocabulary].astype(bool)
        preferred = np.flatnonzero(may & signs)
        tokens = preferred if len(preferred) and chance.random() < 0.4 else np.flatnonzero(may)
        token = int(tokens[chance.randrange(len(tokens))])
        if constraint.held:
            constraint.advance(token)
        if not constraint.held:
            return None
        if token in grammars.ends or constraint.ended:
            break
    return grammars.text(constraint.written[: constraint.complete])


def _count(text: str, example: Example, task: Task, counts: Counts) -> None:
    """Read an answer as predictions are read, then check each span against the note and the words written."""
    if not text:
        return
    found = CODECS[task.codec].decode(text, example, task)
    answer, report, note = found.answer, found.report, example.note
    counts.answers += 1
    counts.items += report.items
    counts.spans += len(answer.spans)
    counts.violations += report.unreadable + report.unlocated
    written = set()
    for item in answer_items(text):
        for end in split(split(item, ":", limit=1)[1], ">") if task.relations else [split(item, ":", limit=1)[1]]:
            mention = read_mention(split(end, "=", limit=1)[-1] if task.relations else end) or ()
            written.add(tuple(part.words for part in mention))
            counts.marked += any(part.occurrence for part in mention)
            counts.in_parts += len(mention) > 1
        counts.violations += task.label(plain(split(item, ":", limit=1)[0])) is None
    for span in answer.spans:
        inside = all(0 <= start < end <= len(note) for start, end in span.fragments)
        verbatim = tuple(note[start:end] for start, end in span.fragments) in written
        counts.violations += not (inside and verbatim and span.label in task.labels)
    named = {span.id for span in answer.spans}
    for relation in answer.relations:
        known = relation.label in task.relations and {relation.head, relation.tail} <= named
        counts.violations += not known
