"""Short texts that sum up a synthetic note."""

from __future__ import annotations

import random

from clinprompt.data.readers.synthetic.facts import linked, spans, surfaces
from clinprompt.data.readers.synthetic.questions import Question
from clinprompt.schema.document import Document
from clinprompt.schema.example import Answer


def impression(note: Document, rng: random.Random) -> Question | None:
    """The positive findings with their sides."""
    found = [
        f"{' and '.join(linked(note, 'side', finding))} {finding.surface(note.text)}"
        for finding in spans(note, "finding")
    ]
    return Question({}, Answer(text=", ".join(found) or "no acute findings"))


def medication_summary(note: Document, rng: random.Random) -> Question | None:
    """The drugs that are taken."""
    return Question({}, Answer(text="on " + ", ".join(ordered_drugs(note))))


def ordered_drugs(note: Document) -> list[str]:
    """The drugs of the medication list, in its order; culprits of adverse events are not among them."""
    return [span.surface(note.text) for span in spans(note, "drug") if linked(note, "dose", span)]


def patient_summary(note: Document, rng: random.Random) -> Question | None:
    """Age, sex, known problem, complaint, drugs and active problems in one line."""
    (age,), (sex,), (complaint,) = (surfaces(note, label) for label in ("age", "sex", "symptom"))
    first = spans(note, "symptom")[0].start
    main = max((span for span in spans(note, "problem") if span.start < first), key=lambda span: span.start)
    line = f"{age} {sex}, {main.surface(note.text)}, {complaint}; on {', '.join(ordered_drugs(note))}"
    also = [name for name in surfaces(note, "problem") if name != main.surface(note.text)]
    return Question({}, Answer(text=line + (f"; also {', '.join(also)}" if also else "")))
