"""Words of the pretraining instructions: names of labels, of relations, and questions about slots.

Held-out tasks of the catalogue use other words on purpose ("ruled out", "employment", "treats", "supported").
"""

from __future__ import annotations

import random

from clinprompt.data.readers.synthetic.picker import pseudo_word

LABELS: dict[str, tuple[str, ...]] = {
    "drug": ("medication", "med", "agent", "medicine"),
    "dose": ("strength", "amount", "quantity"),
    "route": ("way", "given"),
    "frequency": ("schedule", "timing"),
    "reason": ("purpose",),
    "order": ("prescription line",),
    "event": ("reaction", "side effect", "adverse event"),
    "severity": ("degree", "grade"),
    "problem": ("condition", "diagnosis", "disease", "present"),
    "negated": ("denied", "not present", "absent"),
    "possible": ("uncertain", "suspected"),
    "lab": ("test", "assay"),
    "value": ("result", "number", "reading"),
    "flag": ("level",),
    "tobacco": ("smoking status",),
    "alcohol": ("drinking",),
    "illicit": ("street drug",),
    "job": ("occupation", "work"),
    "housing": ("residence", "home"),
    "opioid": ("narcotic", "painkiller"),
    "indication": ("pain type",),
    "status": ("use status",),
    "screen": ("toxicology",),
    "study": ("examination",),
    "finding": ("abnormality", "seen"),
    "no-finding": ("not seen",),
    "side": ("location",),
    "size": ("extent",),
    "located": ("place and finding",),
    "procedure": ("surgery", "operation"),
    "year": ("date",),
    "symptom": ("complaint", "trouble"),
    "duration": ("time course",),
    "age": ("years",),
    "sex": ("gender",),
}

RELATIONS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "dose": ("drug", "dose", ("strength", "amount")),
    "route": ("drug", "route", ("way",)),
    "frequency": ("drug", "frequency", ("schedule",)),
    "reason": ("drug", "reason", ("given for", "purpose")),
    "cause": ("event", "drug", ("caused by", "culprit")),
    "severity": ("event", "severity", ("degree",)),
    "value": ("lab", "value", ("result",)),
    "flag": ("lab", "flag", ("level",)),
    "indication": ("opioid", "indication", ("pain",)),
    "status": ("opioid", "status", ("state",)),
    "side": ("finding", "side", ("location",)),
    "size": ("finding", "size", ("extent",)),
    "year": ("procedure", "year", ("date",)),
    "duration": ("symptom", "duration", ("lasting",)),
}

SLOT_QUESTIONS: dict[str, tuple[str, ...]] = {
    "dose": ("what dose of {}?", "how much {}?"),
    "route": ("by what route is {} taken?", "what is the route of {}?"),
    "frequency": ("how often is {} taken?", "when is {} taken?"),
    "reason": ("why is {} taken?", "what is {} for?"),
    "cause": ("what caused the {}?", "which drug led to {}?"),
    "severity": ("how bad was the {}?", "how severe was {}?"),
    "value": ("what is the {}?", "{} result?"),
    "flag": ("is {} abnormal?", "what is the level of {}?"),
    "indication": ("why {}?", "what pain is {} used in?"),
    "status": ("is {} ongoing?", "what is the state of {}?"),
    "side": ("which side is the {}?", "where is the {}?"),
    "size": ("how big is the {}?", "what is the extent of the {}?"),
    "year": ("when was the {}?", "year of {}?"),
    "duration": ("how long has {} lasted?", "since when {}?"),
}

JUDGEMENTS = (
    ("yes", "no", "unknown"),
    ("true", "false", "unclear"),
    ("entailment", "contradiction", "neutral"),
)


def plain(label: str) -> str:
    """A label of the data as words."""
    return label.replace("-", " ")


def invented(rng: random.Random) -> str:
    """One or two invented words, to be learnt from the instruction alone."""
    return " ".join(pseudo_word(rng) for _ in range(rng.choice((1, 1, 1, 2))))


def renamed(rng: random.Random, name: str, others: tuple[str, ...]) -> str:
    """The name itself (58 %), another word for it (27 %) or an invented one (15 %)."""
    draw = rng.random()
    if draw < 0.58 or (draw < 0.85 and not others):
        return name
    return rng.choice(others) if draw < 0.85 else invented(rng)


def clause(source: str, words: str) -> str:
    """One part of an instruction: "dose", or "dose as strength"."""
    return source if words == source else f"{source} as {words}"
