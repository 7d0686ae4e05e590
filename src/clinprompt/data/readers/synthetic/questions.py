"""Questions whose answers follow from a synthetic note: choices, yes or no, statements, summaries."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from clinprompt.data.readers.synthetic.vocabulary import DOSES, FLAGS, FREQUENCIES, ROUTES, SIDES, TERMS
from clinprompt.schema.document import Document, Span
from clinprompt.schema.example import Answer


@dataclass(frozen=True, slots=True)
class Question:
    """What is put beside a note (slots), and the answer; ``choices`` are keys and texts of the options."""

    slots: Mapping[str, str]
    answer: Answer
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """A way of asking: the sections it needs and the function that asks (``None``: not of this note)."""

    sections: tuple[str, ...]
    build: Callable[[Document, random.Random], Question | None] = field(repr=False)


def surfaces(note: Document, *labels: str) -> list[str]:
    """The words of all spans with one of these labels, in text order."""
    return [span.surface(note.text) for span in sorted(spans(note, *labels), key=lambda span: span.start)]


def spans(note: Document, *labels: str) -> list[Span]:
    """All spans with one of these labels."""
    return [span for span in note.spans if span.label in labels]


def linked(note: Document, relation: str, head: Span) -> list[str]:
    """The words that a relation links to a span."""
    return [note.span(r.tail).surface(note.text) for r in note.relations if r.label == relation and r.head == head.id]


def absent_term(note: Document, kind: str, rng: random.Random) -> str:
    """A term that this note does not contain; reserved ones only for notes that use reserved terms."""
    terms = TERMS[kind]
    pool = terms.source + (terms.reserved if note.metadata["reserved"] == "yes" else ())
    return rng.choice([term for term in pool if term not in note.text])


def with_options(rng: random.Random, question: str, right: str, wrong: list[str]) -> Question:
    """A multiple-choice question with the right answer at a random key."""
    texts = [right, *wrong]
    rng.shuffle(texts)
    choices = tuple(zip("ABCDEFGH", texts, strict=False))
    slots = {"question": question, "options": " ".join(f"{key}: {text}" for key, text in choices)}
    key = next(key for key, text in choices if text == right)
    return Question(slots=slots, answer=Answer(label=key), choices=choices)


def _others(rng: random.Random, options: tuple[str, ...], but: str, count: int) -> list[str]:
    return rng.sample([option for option in options if option != but], count)


def drug_route(note: Document, rng: random.Random) -> Question | None:
    """How one drug of the medication list is given, three routes to choose from."""
    drug = rng.choice([span for span in spans(note, "drug") if linked(note, "route", span)])
    right = linked(note, "route", drug)[0]
    wrong = _others(rng, ROUTES[note.metadata["site"]], right, 2)
    return with_options(rng, f"how is {drug.surface(note.text)} given?", right, wrong)


def problem_mentioned(note: Document, rng: random.Random) -> Question | None:
    """Whether the patient has a problem: ``yes``, ``no`` (denied or not mentioned) or ``maybe``."""
    classes = {"problem": "yes", "negated": "no", "possible": "maybe"}
    wanted = rng.choice(("problem", "possible", "negated", "elsewhere"))
    if wanted == "elsewhere":
        return Question({"question": f"any {absent_term(note, 'problem', rng)}?"}, Answer(label="no"))
    found = surfaces(note, wanted)
    return Question({"question": f"any {rng.choice(found)}?"}, Answer(label=classes[wanted])) if found else None


def _statement(text: str, label: str) -> Question:
    return Question({"hypothesis": text}, Answer(label=label))


def medication_statement(note: Document, rng: random.Random) -> Question | None:
    """A statement about the dose or frequency of a drug: ``entailment``, ``contradiction`` or ``neutral``."""
    drug = rng.choice([span for span in spans(note, "drug") if linked(note, "dose", span)])
    label = rng.choice(("entailment", "contradiction", "neutral"))
    name = absent_term(note, "drug", rng) if label == "neutral" else drug.surface(note.text)
    relation = rng.choice(("dose", "frequency"))
    value = linked(note, relation, drug)[0]
    if label == "contradiction":
        value = _others(rng, DOSES if relation == "dose" else FREQUENCIES[note.metadata["site"]], value, 1)[0]
    return _statement(f"the dose of {name} is {value}." if relation == "dose" else f"{name} is taken {value}.", label)


def imaging_statement(note: Document, rng: random.Random) -> Question | None:
    """A statement about a finding or its side: ``supported``, ``refuted`` or ``not-stated``."""
    label = rng.choice(("supported", "refuted", "not-stated"))
    positive, negative = "there is a {}.", "no {} is seen."
    if label == "not-stated":
        return _statement(rng.choice((positive, negative)).format(absent_term(note, "finding", rng)), label)
    finding = rng.choice(spans(note, "finding", "no-finding"))
    name, side = finding.surface(note.text), linked(note, "side", finding)
    if len(side) == 1 and rng.random() < 0.4:
        right = label == "supported"
        return _statement(f"the {name} is {side[0] if right else _others(rng, SIDES, side[0], 1)[0]}.", label)
    agrees = (finding.label == "finding") == (label == "supported")
    return _statement((positive if agrees else negative).format(name), label)


def impression(note: Document, rng: random.Random) -> Question | None:
    """The positive findings with their sides."""
    found = [
        f"{' and '.join(linked(note, 'side', finding))} {finding.surface(note.text)}"
        for finding in spans(note, "finding")
    ]
    return Question({}, Answer(text=", ".join(found) or "no acute findings"))


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


def patient_summary(note: Document, rng: random.Random) -> Question | None:
    """Age, sex, known problem, complaint, drugs and active problems in one line."""
    (age,), (sex,), (complaint,) = (surfaces(note, label) for label in ("age", "sex", "symptom"))
    known = surfaces(note, "problem")
    first = spans(note, "symptom")[0].start
    main = max((span for span in spans(note, "problem") if span.start < first), key=lambda span: span.start)
    line = f"{age} {sex}, {main.surface(note.text)}, {complaint}"
    drugs = [span.surface(note.text) for span in spans(note, "drug") if linked(note, "dose", span)]
    line += f"; on {', '.join(drugs)}" if drugs else ""
    also = [name for name in known if name != main.surface(note.text)]
    return Question({}, Answer(text=line + (f"; also {', '.join(also)}" if also else "")))


ASKS: Mapping[str, Ask] = {
    "drug-route": Ask(("medications",), drug_route),
    "problem-mentioned": Ask(("problems",), problem_mentioned),
    "medication-statements": Ask(("medications",), medication_statement),
    "impression": Ask(("imaging",), impression),
    "lab-flag": Ask(("labs",), lab_flag),
    "imaging-statements": Ask(("imaging",), imaging_statement),
    "patient-summary": Ask(("history", "medications"), patient_summary),
}
