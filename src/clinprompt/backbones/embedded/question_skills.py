"""Pretraining instructions with a question, a choice or a statement to judge."""

from __future__ import annotations

import random

from clinprompt.backbones.embedded.turn import Turn
from clinprompt.backbones.embedded.wording import JUDGEMENTS, RELATIONS, SLOT_QUESTIONS
from clinprompt.data.readers.synthetic.facts import absent_term, spans, surfaces
from clinprompt.data.readers.synthetic.questions import Question, drug_route, problem_mentioned, with_options
from clinprompt.data.readers.synthetic.statements import medication_statement, presence_statement
from clinprompt.data.readers.synthetic.vocabulary import (
    DOSES,
    FLAGS,
    FREQUENCIES,
    ROUTES,
    SEVERITIES,
    SIDES,
    SIZES,
    STATUSES,
    TERMS,
)
from clinprompt.schema.document import Document, Relation
from clinprompt.schema.example import Answer

_KINDS = {
    "drug": "drug",
    "lab": "lab",
    "procedure": "procedure",
    "event": "symptom",
    "finding": "finding",
    "opioid": "opioid",
}
_STATUS = {
    "problem": "present",
    "finding": "present",
    "negated": "absent",
    "no-finding": "absent",
    "possible": "possible",
}
_PICK = ("choose the right option.", "pick the letter.", "multiple choice.")


def _single_facts(note: Document) -> list[Relation]:
    """Relations whose head has no other tail of the same kind."""
    keys = [(relation.label, relation.head) for relation in note.relations]
    return [relation for relation, key in zip(note.relations, keys, strict=True) if keys.count(key) == 1]


def _values(label: str, site: str, rng: random.Random) -> tuple[str, ...]:
    lists = {
        "dose": DOSES,
        "route": ROUTES[site],
        "frequency": FREQUENCIES[site],
        "reason": TERMS["problem"].source,
        "cause": TERMS["drug"].source,
        "severity": SEVERITIES,
        "flag": FLAGS[site],
        "indication": TERMS["indication"].source,
        "status": STATUSES,
        "side": SIDES,
        "size": SIZES,
    }
    if label in lists:
        return lists[label]
    if label == "year":
        return tuple(str(rng.randint(1985, 2023)) for _ in range(6))
    if label == "duration":
        return tuple(f"{rng.randint(2, 9)} {unit}" for unit in ("days", "weeks", "days", "weeks"))
    return tuple(f"{rng.uniform(0.5, 15):.1f}" for _ in range(6))


def slot(note: Document, rng: random.Random) -> Turn | None:
    """The value of one slot, in free words or as a choice among three."""
    facts = _single_facts(note)
    if not facts:
        return None
    fact = rng.choice(facts)
    question = rng.choice(SLOT_QUESTIONS[fact.label]).format(note.span(fact.head).surface(note.text))
    right = note.span(fact.tail).surface(note.text)
    if rng.random() < 0.5:
        return Turn(
            "qa",
            rng.choice(("answer the question.", "reply from the note.", "answer.")),
            right,
            question=question,
        )
    near = [text for text in surfaces(note, note.span(fact.tail).label) if text != right]
    far = list(_values(fact.label, note.metadata["site"], rng))
    rng.shuffle(far)
    wrong = [text for text in dict.fromkeys([*near, *far]) if text != right][:2]
    return _choice(with_options(rng, question, right, wrong), rng)


def owner(note: Document, rng: random.Random) -> Turn | None:
    """Which mention has a value: the slot question turned round, as a choice."""
    facts = [fact for fact in _single_facts(note) if RELATIONS[fact.label][0] in _KINDS]
    if not facts:
        return None
    fact = rng.choice(facts)
    value = note.span(fact.tail).surface(note.text)
    same = [r for r in note.relations if r.label == fact.label and note.span(r.tail).surface(note.text) == value]
    if len(same) > 1:
        return None
    label = RELATIONS[fact.label][0]
    right = note.span(fact.head).surface(note.text)
    near = [text for text in surfaces(note, label) if text != right]
    far = [absent_term(note, _KINDS[label], rng) for _ in range(3)]
    wrong = [text for text in dict.fromkeys([*near, *far]) if text != right][:2]
    asked = f"which {label} has {fact.label} {value}?"
    if rng.random() < 0.35:
        return Turn("qa", rng.choice(("answer the question.", "answer.")), right, question=asked)
    return _choice(with_options(rng, asked, right, wrong), rng)


def letter(note: Document, rng: random.Random) -> Turn | None:
    """The key of an option that is named outright, or the text of a key: the last step of a choice."""
    terms = [absent_term(note, rng.choice(("drug", "problem", "symptom")), rng) for _ in range(3)]
    if len(set(terms)) < 3:
        return None
    asked = with_options(rng, f"which is {terms[0]}?", terms[0], terms[1:])
    if rng.random() < 0.5:
        return _choice(asked, rng)
    key, text = rng.choice(asked.choices)
    return Turn("qa", "give the words of the option.", text, question=f"{key}?", options=asked.slots["options"])


def _choice(asked: Question, rng: random.Random) -> Turn:
    return Turn("mc", rng.choice(_PICK), asked.answer.label or "", **asked.slots)


def status(note: Document, rng: random.Random) -> Turn | None:
    """Whether a problem or finding is present, absent or possible."""
    found = spans(note, *_STATUS)
    if not found:
        return None
    label = rng.choice(sorted({span.label for span in found}))
    span = rng.choice([span for span in found if span.label == label])
    asked = rng.choice(("status?", "present, absent or possible?", "what is the status?"))
    return Turn("nli", asked, _STATUS[label], question=span.surface(note.text))


def mentioned(note: Document, rng: random.Random) -> Turn | None:
    """Whether a term stands in the note at all."""
    kinds = {
        **_KINDS,
        "problem": "problem",
        "negated": "problem",
        "possible": "problem",
        "no-finding": "finding",
    }
    found = spans(note, *kinds)
    if not found:
        return None
    span = rng.choice(found)
    there = rng.random() < 0.5
    term = span.surface(note.text) if there else absent_term(note, kinds[span.label], rng)
    asked = rng.choice(("is it mentioned? yes or no.", "in the note? yes or no."))
    return Turn("nli", asked, "yes" if there else "no", question=term)


_THREE = ("entailment", "contradiction", "neutral")


def judged(note: Document, rng: random.Random) -> Turn | None:
    """A statement about a drug, a problem, a finding or any slot, judged in one of several vocabularies."""
    makers = [_slot_statement] if _single_facts(note) else []
    makers += [medication_statement] * 2 if any(r.label == "dose" for r in note.relations) else []
    makers += [_presence_statement] * 2 if spans(note, *_STATUS) else []
    if not makers:
        return None
    asked = rng.choice(makers)(note, rng)
    if asked is None:
        return None
    words = rng.choice(JUDGEMENTS)
    verb = rng.choice(("is the statement right?", "check the claim:", "judge:"))
    answer = words[_THREE.index(asked.answer.label or "")]
    return Turn("nli", f"{verb} {', '.join(words)}.", answer, hypothesis=asked.slots["hypothesis"])


def _presence_statement(note: Document, rng: random.Random) -> Question | None:
    if rng.random() < 0.5 and spans(note, "finding", "no-finding"):
        wordings = ("{} is present.", "{} is absent.")
        return presence_statement(note, rng, ("finding", "no-finding"), wordings, _THREE, kind="finding")
    wordings = ("the patient has {}.", "the patient does not have {}.")
    return presence_statement(note, rng, ("problem", "negated"), wordings, _THREE)


def _slot_statement(note: Document, rng: random.Random) -> Question | None:
    fact = rng.choice(_single_facts(note))
    label = rng.choice(_THREE)
    name, value = note.span(fact.head).surface(note.text), note.span(fact.tail).surface(note.text)
    if label == "contradiction":
        value = rng.choice([text for text in _values(fact.label, note.metadata["site"], rng) if text != value])
    if label == "neutral":
        kind = _KINDS.get(RELATIONS[fact.label][0], "symptom")
        name = absent_term(note, kind, rng)
    return Question({"hypothesis": f"the {fact.label} of {name} is {value}."}, Answer(label=label))


def any_problem(note: Document, rng: random.Random) -> Turn | None:
    """The yes, no or maybe question about problems."""
    if not spans(note, "negated", "possible"):
        return None
    asked = problem_mentioned(note, rng)
    if asked is None:
        return None
    return Turn("nli", "answer yes, no or maybe.", asked.answer.label or "", question=asked.slots["question"])


def route_choice(note: Document, rng: random.Random) -> Turn | None:
    """The choice among three routes of a drug."""
    if not any(relation.label == "route" for relation in note.relations):
        return None
    asked = drug_route(note, rng)
    return asked and _choice(asked, rng)


def kind_of_document(note: Document, rng: random.Random) -> Turn:
    """What kind of document the note is."""
    asked = rng.choice(("what kind of document is it?", "name the document type."))
    return Turn("qa", asked, note.metadata["kind"].replace("-", " "))
