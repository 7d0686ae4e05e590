"""A whole synthetic document: some sections of one patient, in one site's writing of one kind of document."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from clinprompt.data.readers.synthetic import assertions, state, treatment
from clinprompt.data.readers.synthetic.kinds import KINDS, DocumentKind
from clinprompt.data.readers.synthetic.picker import Picker
from clinprompt.data.readers.synthetic.style import Style
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
    "assertions": assertions.assertions,
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


def draw_kind(rng: random.Random, *, sections: Sequence[str] = (), kinds: Sequence[str] = ()) -> DocumentKind:
    """One of the named kinds (all, when none is named) that can have these sections, by how common it is."""
    fitting = [KINDS[name] for name in kinds or KINDS if KINDS[name].holds(tuple(sections))]
    return rng.choices(fitting, [kind.share for kind in fitting])[0]


def write_note(
    rng: random.Random,
    *,
    id: str,
    patient: Patient,
    style: Style,
    kind: DocumentKind,
    sections: Sequence[str] = (),
    count: int | None = None,
    reserved: float = 0.0,
    invented: float = 0.0,
) -> Document:
    """A note with the named sections and others drawn until there are ``count`` (as many as the kind usually has).

    ``style`` is the site's own. ``reserved`` and ``invented`` are the shares of reserved terms and of words made up
    on the spot. Half of the notes keep the site's order of sections.
    """
    needed = tuple(dict.fromkeys((*sections, *kind.always)))
    others = [name for name in kind.sections if name not in needed]
    wanted = rng.choice(kind.counts) if count is None else count
    names = [*needed, *rng.sample(others, min(len(others), max(0, wanted - len(needed))))]
    if rng.random() < 0.5:
        rng.shuffle(names)
    else:
        names.sort(key=style.order.index)
    style = kind.style(style)
    writer, picker = NoteWriter(), Picker(rng, reserved=reserved, invented=invented)
    writer.write(kind.openings.get(style.site, ""))
    for index, name in enumerate(names):
        writer.write((style.section_break if index else "") + style.headings[name] + style.heading_end)
        section = state.history_of(patient.age, patient.sex) if name == "history" else _SECTIONS[name]
        section(writer, picker, style)
    if endings := kind.endings.get(style.site):
        writer.write(rng.choice(endings))
    metadata = {
        "source": "synthetic",
        "kind": kind.name,
        "site": style.site,
        "sections": ",".join(names),
        "reserved": "yes" if reserved else "no",
        "heading_end": style.heading_end,
    }
    return writer.document(id=id, group=patient.id, metadata=metadata)
