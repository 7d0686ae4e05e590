"""Statements to be judged against a synthetic note; three classes each: it follows, it is wrong, it is not said."""

from __future__ import annotations

import random
from collections.abc import Sequence

from clinprompt.data.readers.synthetic.facts import absent_term, linked, other_than, spans
from clinprompt.data.readers.synthetic.questions import Question
from clinprompt.data.readers.synthetic.vocabulary import DOSES, FLAGS, FREQUENCIES, SIDES
from clinprompt.schema.document import Document
from clinprompt.schema.example import Answer

FOLLOWS, WRONG, UNSAID = range(3)


def medication_statement(note: Document, rng: random.Random) -> Question | None:
    """The dose or frequency of a drug: ``entailment``, ``contradiction`` or ``neutral``."""
    drug = rng.choice([span for span in spans(note, "drug") if linked(note, "dose", span)])
    case = rng.randrange(3)
    name = absent_term(note, "drug", rng) if case == UNSAID else drug.surface(note.text)
    relation = rng.choice(("dose", "frequency"))
    value = linked(note, relation, drug)[0]
    if case == WRONG:
        value = other_than(rng, DOSES if relation == "dose" else FREQUENCIES[note.metadata["site"]], value, 1)[0]
    text = f"the dose of {name} is {value}." if relation == "dose" else f"{name} is taken {value}."
    return _statement(text, case, ("entailment", "contradiction", "neutral"))


def lab_statement(note: Document, rng: random.Random) -> Question | None:
    """The level of a test: ``yes``, ``no`` or ``unknown``."""
    test = rng.choice(spans(note, "lab"))
    case = rng.randrange(3)
    name = absent_term(note, "lab", rng) if case == UNSAID else test.surface(note.text)
    (flag,) = linked(note, "flag", test)
    levels = FLAGS[note.metadata["site"]]
    said = flag if case == FOLLOWS else other_than(rng, levels, flag, 1)[0]
    return _statement(f"the level of {name} is {said}.", case, ("yes", "no", "unknown"))


def problem_statement(note: Document, rng: random.Random) -> Question | None:
    """A problem that the patient has, or denies: ``true``, ``false`` or ``unclear``."""
    yes, no = "the patient has {}.", "the patient does not have {}."
    return presence_statement(note, rng, ("problem", "negated"), (yes, no), ("true", "false", "unclear"))


def imaging_statement(note: Document, rng: random.Random) -> Question | None:
    """A finding or its side: ``supported``, ``refuted`` or ``not-stated``."""
    classes = ("supported", "refuted", "not-stated")
    located = [span for span in spans(note, "finding") if len(linked(note, "side", span)) == 1]
    if located and rng.random() < 0.35:
        finding, right = rng.choice(located), rng.random() < 0.5
        (side,) = linked(note, "side", finding)
        said = side if right else other_than(rng, SIDES, side, 1)[0]
        return _statement(f"the {finding.surface(note.text)} is {said}.", FOLLOWS if right else WRONG, classes)
    return presence_statement(
        note, rng, ("finding", "no-finding"), ("there is a {}.", "no {} is seen."), classes, kind="finding"
    )


def presence_statement(
    note: Document,
    rng: random.Random,
    labels: tuple[str, str],
    wordings: tuple[str, str],
    classes: Sequence[str],
    *,
    kind: str = "problem",
) -> Question | None:
    """Something of a kind is said to be there or not; ``labels`` are those of what is there and of what is not."""
    case = rng.randrange(3)
    if case == UNSAID:
        return _statement(rng.choice(wordings).format(absent_term(note, kind, rng)), case, classes)
    pool = spans(note, *labels)
    if not pool:
        return None
    span = rng.choice(pool)
    agrees = (span.label == labels[0]) == (case == FOLLOWS)
    return _statement(wordings[0 if agrees else 1].format(span.surface(note.text)), case, classes)


def _statement(text: str, case: int, classes: Sequence[str]) -> Question:
    return Question({"hypothesis": text}, Answer(label=classes[case]))
