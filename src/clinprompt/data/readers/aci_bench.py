"""ACI-BENCH: the dialogue of a visit and the clinical note it becomes, as CSV or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clinprompt.data.faults import Faults
from clinprompt.data.fields import Fields, example_of
from clinprompt.data.files import one_file, parse_json, read_text
from clinprompt.data.tables import rows_of
from clinprompt.errors import InputError
from clinprompt.schema.example import Example

FIELDS = Fields(note="dialogue", text="note", id="encounter_id")


def read(path: Path | None) -> list[Example]:
    """Every visit of one file: the dialogue as ``note``, the clinical note as text, under its encounter id.

    The two forms of the release give the same examples. Raises one :class:`InputError` that lists all visits
    that cannot be read or whose id stands twice.
    """
    file = one_file(path, reader="aci_bench")
    faults, examples = Faults(), {}
    for where, row in _visits(file):
        with faults.gathered():
            example = example_of(row, FIELDS, fallback_id="", where=where)
            if example.id in examples:
                raise InputError("the encounter stands twice", where=where)
            examples[example.id] = example
    faults.raise_all()
    return list(examples.values())


def _visits(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if file.suffix.lower() != ".json":
        for number, row in rows_of(file):
            yield f"{file} line {number}", row
        return
    content = parse_json(read_text(file), where=str(file))
    visits = content.get("data") if isinstance(content, dict) else None
    if not isinstance(visits, list):
        raise InputError("the file has no list `data` of visits", where=str(file))
    for number, visit in enumerate(visits, 1):
        if not isinstance(visit, dict) or not {"src", "tgt", "file"} <= visit.keys():
            raise InputError("the visit misses src, tgt or file", where=f"{file} visit {number}")
        # `file` is the encounter and the collection it is from: D2N068-virtassist.
        encounter = str(visit["file"]).partition("-")[0]
        yield f"{file} visit {number}", {"dialogue": visit["src"], "note": visit["tgt"], "encounter_id": encounter}
