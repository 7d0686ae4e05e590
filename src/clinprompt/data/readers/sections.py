"""Reports in plain text with headed sections: one section as the note, another as the answer (MIMIC-CXR)."""

from __future__ import annotations

import re
from itertools import zip_longest
from pathlib import Path

from clinprompt.data.faults import Faults
from clinprompt.data.files import files_below, read_text
from clinprompt.data.naming import group_name, note_name
from clinprompt.errors import InputError
from clinprompt.schema.example import Answer, Example

_HEADING = re.compile(r"^[ \t]*([A-Z][A-Z /&()-]*[A-Z)]):", re.MULTILINE)


def read(
    path: Path | None, *, note: str = "FINDINGS", text: str = "IMPRESSION", group: str = "", incomplete: bool = False
) -> list[Example]:
    """One :class:`Example` per report (``.txt``) of a file or folder.

    A section begins at its heading, which is in capitals at the beginning of a line with a colon after it,
    and ends at the next heading. ``note`` and ``text`` name the two sections; of several with one name the
    last counts (addenda come first). Blanks around a section are left out, and :attr:`Example.offset` tells
    where the note begins in the report. ``group`` is a regular expression that finds the patient in the
    file's name below the folder, such as ``p[0-9]{8}``. A report without one of the two sections is a fault,
    or left out when ``incomplete`` is true.

    Raises one :class:`InputError` that lists all reports that cannot be read or miss a section.
    """
    faults, examples = Faults(), []
    for file in files_below(path, reader="sections", suffixes=(".txt",)):
        with faults.gathered():
            report = read_text(file)
            places = sections(report)
            missing = [name for name in (note, text) if name not in places]
            if missing and incomplete:
                continue
            if missing:
                raise InputError(f"the report has no section {' and no '.join(missing)}", where=str(file),
                                 fix="set incomplete: true to leave such reports out")  # fmt: skip
            name = note_name(file, Path(path))  # type: ignore[arg-type]
            start, end = places[note]
            examples.append(
                Example(
                    id=name,
                    inputs={"note": report[start:end]},
                    answer=Answer(text=report[slice(*places[text])]),
                    group=group_name(name, group),
                    document=name,
                    offset=start,
                )
            )
    faults.raise_all()
    return examples


def sections(report: str) -> dict[str, tuple[int, int]]:
    """Heading to half-open character range of the section's words; empty sections are left out.

    >>> sections("FINDINGS: Clear lungs.\\n\\nIMPRESSION:\\n Normal.\\n")
    {'FINDINGS': (10, 22), 'IMPRESSION': (37, 44)}
    """
    headings = list(_HEADING.finditer(report))
    places = {}
    for heading, following in zip_longest(headings, headings[1:]):
        end = following.start() if following else len(report)
        words = report[heading.end() : end]
        start = heading.end() + len(words) - len(words.lstrip())
        if words.strip():
            places[heading[1]] = (start, start + len(words.strip()))
    return places
