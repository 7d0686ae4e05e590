"""Questions whose answers follow from a synthetic note: free words, choices, yes or no."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from clinprompt.data.readers.synthetic.facts import absent_term, linked, other_than, spans, surfaces
from clinprompt.data.readers.synthetic.vocabulary import FLAGS, ROUTES
from clinprompt.schema.document import Document
from clinprompt.schema.example import Answer


@dataclass(frozen=True, slots=True)
class Question:
    """What is put beside a note (slots), and the answer; ``choices`` are keys and texts of the options."""

    slots: Mapping[str, str]
    answer: Answer
    choices: tuple[tuple[str, str], ...] = ()


def with_options(rng: random.Random, question: str, right: str, wrong: list[str]) -> Question:
    """A multiple-choice question with the right answer at a random key."""
    texts = [right, *wrong]
    rng.shuffle(texts)
    choices = tuple(zip("ABCDEFGH", texts, strict=False))
    slots = {"question": question, "options": ", ".join(f"{key} {text}" for key, text in choices)}
    key = next(key for key, text in choices if text == right)
    return Question(slots=slots, answer=Answer(label=key), choices=choices)


def drug_route(note: Document, rng: random.Random) -> Question | None:
    """How one drug of the medication list is given, three routes to choose from."""
    drug = rng.choice([span for span in spans(note, "drug") if linked(note, "route", span)])
    right = linked(note, "route", drug)[0]
    wrong = other_than(rng, ROUTES[note.metadata["site"]], right, 2)
    return with_options(rng, f"how is {drug.surface(note.text)} given?", right, wrong)


def event_cause(note: Document, rng: random.Random) -> Question | None:
    """Which drug caused an adverse event: a choice among drugs of the note, filled up with absent ones."""
    event = rng.choice(spans(note, "event"))
    right = linked(note, "cause", event)[0]
    others = [name for name in surfaces(note, "drug") if name != right]
    rng.shuffle(others)
    while len(others) < 2:
        others = list(dict.fromkeys([*others, absent_term(note, "drug", rng)]))
    return with_options(rng, f"what caused the {event.surface(note.text)}?", right, others[:2])


def drug_dose(note: Document, rng: random.Random) -> Question | None:
    """The dose of one drug, to be written out."""
    drug = rng.choice([span for span in spans(note, "drug") if linked(note, "dose", span)])
    return Question({"question": f"how much {drug.surface(note.text)}?"}, Answer(text=linked(note, "dose", drug)[0]))


def problem_mentioned(note: Document, rng: random.Random) -> Question | None:
    """Whether the patient has a problem: ``yes``, ``no`` (denied or not mentioned) or ``maybe``."""
    classes = {"problem": "yes", "negated": "no", "possible": "maybe"}
    wanted = rng.choice(("problem", "possible", "negated", "elsewhere"))
    if wanted == "elsewhere":
        return Question({"question": f"any {absent_term(note, 'problem', rng)}?"}, Answer(label="no"))
    found = surfaces(note, wanted)
    return Question({"question": f"any {rng.choice(found)}?"}, Answer(label=classes[wanted])) if found else None


def lab_flag(note: Document, rng: random.Random) -> Question | None:
    """Which test is low or high, when only one is."""
    flags = {span.surface(note.text): linked(note, "flag", span)[0] for span in spans(note, "lab")}
    words = dict(zip(FLAGS[note.metadata["site"]], ("low", "high"), strict=False))
    single = [flag for flag in words if list(flags.values()).count(flag) == 1]
    if not single:
        return None
    flag = rng.choice(single)
    right = next(test for test, value in flags.items() if value == flag)
    wrong = [test for test in flags if test != right][:2]
    while len(wrong) < 2:
        wrong.append(absent_term(note, "lab", rng))
    return with_options(rng, f"which test is {words[flag]}?", right, wrong) if len(set(wrong)) == 2 else None
