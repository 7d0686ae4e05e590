"""Synthetic clinical notes of two sites with exact gold annotation; invented, never derived from a patient.

Site A writes sentences, site B shorthand with other headings, abbreviations and order of sections. A part of
the vocabulary is reserved: it appears only in the share ``reserved`` of the terms, so that a model can be
tried on words it has never read.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from clinprompt.data.readers.synthetic.note import draw_patient, write_note
from clinprompt.data.readers.synthetic.questions import ASKS
from clinprompt.data.readers.synthetic.style import SECTION_NAMES, SITES
from clinprompt.errors import InputError
from clinprompt.registry import unknown_name
from clinprompt.schema.document import Document
from clinprompt.schema.example import Example


def read(
    path: Path | None = None,
    *,
    n: int,
    seed: int,
    site: str = "A",
    reserved: float = 0.0,
    sections: Sequence[str] = (),
    ask: str | None = None,
) -> list[Document] | list[Example]:
    """``n`` notes (or, with ``ask``, ``n`` examples), the same for the same options.

    ``sections`` are in every note, one to three others join them by chance. A patient has one or more notes
    in a row and never crosses seeds or sites. Raises :class:`InputError` for unknown names, a path, or
    impossible numbers.
    """
    _check(path, n=n, site=site, reserved=reserved, sections=sections, ask=ask)
    rng = random.Random(f"{seed} {site}")
    needed = tuple(dict.fromkeys((*(ASKS[ask].sections if ask else ()), *sections)))
    records: list = []
    patient = None
    while len(records) < n:
        name = f"synthetic-{site}-{seed}-{len(records)}"
        if patient is None or rng.random() < 0.6:
            patient = draw_patient(rng, id=f"patient-{site}-{seed}-{len(records)}")
        note = write_note(
            rng,
            id=name,
            patient=patient,
            style=SITES[site],
            sections=needed,
            count=max(2, len(needed) + rng.choice((1, 1, 2, 3))),
            reserved=reserved,
        )
        if ask is None:
            records.append(note)
        elif question := ASKS[ask].build(note, rng):
            inputs = {"note": note.text, **question.slots}
            records.append(
                Example(
                    id=name,
                    inputs=inputs,
                    answer=question.answer,
                    group=note.group,
                    document=note.id,
                    choices=question.choices,
                    metadata=note.metadata,
                )
            )
    return records


def _check(path: Path | None, *, n: int, site: str, reserved: float, sections: Sequence[str], ask: str | None) -> None:
    where = "options of the synthetic reader"
    if path is not None:
        raise InputError("synthetic notes are made, not read: a path was given", where=where, fix="remove the path")
    if site not in SITES:
        raise unknown_name("site", site, list(SITES), where=where)
    for section in sections:
        if section not in SECTION_NAMES:
            raise unknown_name("section", section, list(SECTION_NAMES), where=where)
    if ask is not None and ask not in ASKS:
        raise unknown_name("question", ask, ASKS, where=where)
    if n < 0 or not 0 <= reserved <= 1:
        raise InputError("a number is out of range", where=where, allowed="n >= 0, reserved between 0 and 1")
