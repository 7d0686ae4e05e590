"""Label Studio tasks with predictions, to be looked at and corrected by people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clinprompt.data.answered import Answers, answered, made_by
from clinprompt.data.atomic import new_file
from clinprompt.data.label_studio import SOURCES, task_of
from clinprompt.data.offsets import checked_unit
from clinprompt.errors import InputError
from clinprompt.schema.document import Document


def write(
    documents: Iterable[Document],
    path: Path,
    *,
    overwrite: bool = False,
    provenance: Mapping[str, Any] | None = None,
    answers: Iterable[Answers] | None = None,
    unit: str = "codepoint",
    source: str = "predictions",
    control: str = "label",
    text: str = "text",
    choices: Sequence[str] = ("assertion", "temporality", "experiencer"),
) -> dict[str, int]:
    """Write a JSON file for Label Studio's import and return what it cannot hold, counted.

    Each document is a task with one prediction (or annotation: ``source``). ``control`` is the name of the
    project's label control, ``text`` that of its text. ``unit`` is what offsets count: code points since
    version 1.4, ``utf16`` before. The attribute ``score`` of a span is its region's score, the mean of them the
    prediction's; ``model_version`` names version, prompts and backbone of ``provenance``. Attributes named in
    ``choices`` become choices of their names beside the region; other attributes, and answers about the whole
    text, become text areas. A discontinuous span becomes regions that
    relations labelled ``discontinuous`` join. Ids of relations are lost unless they are R1, R2, …
    """
    checked_unit(unit)
    if source not in SOURCES:
        raise InputError(f"the option source has the value {source!r}", allowed=", ".join(SOURCES))
    lost: Counter[str] = Counter()
    with (
        new_file(path, overwrite=overwrite) as part,
        part.open("w", encoding="utf-8", newline="") as stream,
    ):
        stream.write("[")
        for place, (document, said) in enumerate(answered(documents, answers)):
            task = task_of(
                document, said, unit=unit, source=source, model=made_by(provenance), control=control, field_name=text,
                choices=choices, lost=lost,
            )  # fmt: skip
            stream.write((",\n" if place else "\n") + json.dumps(task, ensure_ascii=False))
        stream.write("\n]\n")
    return {kind: count for kind, count in sorted(lost.items()) if count}
