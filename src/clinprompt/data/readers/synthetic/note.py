"""A whole synthetic note: some sections of one patient in one site's style."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from clinprompt.data.readers.synthetic import state, treatment
from clinprompt.data.readers.synthetic.picker import Picker
from clinprompt.data.readers.synthetic.style import SECTION_NAMES, Style
from clinprompt.data.readers.synthetic.writer import NoteWriter
from clinprompt.schema.document import Document

Section = Callable[[NoteWriter, Picker, Style], None]

_SECTIONS: Mapping[str, Section] = {
    "medications": treatment.medications,
    "adverse-events": treatment.adverse_events,
    "opioids": treatment.opioids,
    "procedures": treatment.procedures,
    "problems": state.problems,
    "labs": state.labs,
    "social": state.social,
    "imaging": state.imaging,
}


@dataclass(frozen=True, slots=True)
class Patient:
    """Who a note is about; notes of one patient share the group."""

    id: str
    age: int
    sex: str


def draw_patient(rng: random.Random, *, id: str) -> Patient:
    """A patient of 19 to 90 years."""
    return Patient(id=id, age=rng.randint(19, 90), sex=rng.choice(("male", "female")))


def write_note(
    rng: random.Random,
    *,
    id: str,
    patient: Patient,
    style: Style,
    sections: Sequence[str] = (),
    count: int = 3,
    reserved: float = 0.0,
    pseudo: float = 0.0,
) -> Document:
    """A note with the named sections and others drawn until there are ``count``.

    ``reserved`` and ``pseudo`` are the shares of reserved terms and of invented words. Half of the notes keep
    the site's order of sections.
    """
    others = [name for name in SECTION_NAMES if name not in sections]
    names = [*sections, *rng.sample(others, min(len(others), max(0, count - len(sections))))]
    if rng.random() < 0.5:
        rng.shuffle(names)
    else:
        names.sort(key=style.order.index)
    writer, picker = NoteWriter(), Picker(rng, reserved=reserved, pseudo=pseudo)
    for index, name in enumerate(names):
        writer.write(("\n" if index else "") + style.headings[name] + style.heading_end)
        section = state.history_of(patient.age, patient.sex) if name == "history" else _SECTIONS[name]
        section(writer, picker, style)
    metadata = {
        "source": "synthetic",
        "site": style.site,
        "sections": ",".join(names),
        "reserved": "yes" if reserved else "no",
        "heading_end": style.heading_end,
    }
    return writer.document(id=id, group=patient.id, metadata=metadata)
