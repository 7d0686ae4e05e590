"""Synthetic clinical documents of two sites with exact gold annotation; invented, never derived from a patient.

Discharge summaries, progress notes, radiology reports, questions of patients and dialogues. Site A writes sentences,
site B shorthand with other headings, abbreviations and order of sections. A part of the vocabulary is reserved: it
appears only in the share ``reserved`` of the terms, so that a model can be tried on words it has never read; the
share ``invented`` is words made up on the spot, which no dictionary holds.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from clinprompt.data.readers.synthetic.asks import ASKS
from clinprompt.data.readers.synthetic.kinds import KINDS
from clinprompt.data.readers.synthetic.note import draw_kind, draw_patient, write_note
from clinprompt.data.readers.synthetic.style import ON_REQUEST, SECTION_NAMES, SITES
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
    invented: float = 0.0,
    sections: Sequence[str] = (),
    kinds: Sequence[str] = (),
    ask: str | None = None,
) -> list[Document] | list[Example]:
    """``n`` notes (or, with ``ask``, ``n`` examples), the same for the same options.

    ``sections`` are in every note, others join them by chance; ``kinds`` of documents are all that can have these
    sections, unless some are named. A patient has one or more notes in a row and never crosses seeds or sites.
    Raises :class:`InputError` for unknown names, a path, or impossible numbers.
    """
    _check(path, n=n, site=site, shares=(reserved, invented), sections=sections, kinds=kinds, ask=ask)
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
            kind=draw_kind(rng, sections=needed, kinds=kinds),
            sections=needed,
            reserved=reserved,
            invented=invented,
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


def _check(
    path: Path | None,
    *,
    n: int,
    site: str,
    shares: tuple[float, float],
    sections: Sequence[str],
    kinds: Sequence[str],
    ask: str | None,
) -> None:
    where = "options of the synthetic reader"
    if path is not None:
        raise InputError("synthetic notes are made, not read: a path was given", where=where, fix="remove the path")
    named = [("site", site, SITES), *(("section", name, (*SECTION_NAMES, *ON_REQUEST)) for name in sections)]
    named += [("kind of document", name, KINDS) for name in kinds]
    named += [] if ask is None else [("question", ask, ASKS)]
    for what, name, known in named:
        if name not in known:
            raise unknown_name(what, name, list(known), where=where)
    if n < 0 or not all(0 <= share <= 1 for share in shares):
        allowed = "n >= 0, reserved and invented between 0 and 1"
        raise InputError("a number is out of range", where=where, allowed=allowed)
    needed = (*(ASKS[ask].sections if ask else ()), *sections)
    if not any(KINDS[name].holds(needed) for name in kinds or KINDS):
        holders = [name for name, kind in KINDS.items() if kind.holds(needed)]
        raise InputError(
            f"none of the kinds of documents has all of the sections {', '.join(needed)}",
            where=where,
            allowed=", ".join(holders),
        )
