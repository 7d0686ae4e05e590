"""The ways of asking that a task may name: the sections each needs, and who asks."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from clinprompt.data.readers.synthetic import questions, statements, summaries
from clinprompt.data.readers.synthetic.questions import Question
from clinprompt.schema.document import Document


@dataclass(frozen=True, slots=True)
class Ask:
    """A way of asking: the sections it needs and the function that asks (``None``: not of this note)."""

    sections: tuple[str, ...]
    build: Callable[[Document, random.Random], Question | None] = field(repr=False)


ASKS: Mapping[str, Ask] = {
    "drug-route": Ask(("medications",), questions.drug_route),
    "drug-dose": Ask(("medications",), questions.drug_dose),
    "event-cause": Ask(("adverse-events",), questions.event_cause),
    "lab-flag": Ask(("labs",), questions.lab_flag),
    "problem-mentioned": Ask(("problems",), questions.problem_mentioned),
    "medication-statements": Ask(("medications",), statements.medication_statement),
    "lab-statements": Ask(("labs",), statements.lab_statement),
    "problem-statements": Ask(("problems",), statements.problem_statement),
    "imaging-statements": Ask(("imaging",), statements.imaging_statement),
    "impression": Ask(("imaging",), summaries.impression),
    "medication-summary": Ask(("medications",), summaries.medication_summary),
    "patient-summary": Ask(("history", "medications"), summaries.patient_summary),
}
