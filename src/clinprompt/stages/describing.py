"""A prepared task gone through part by part: what it is like, what is wrong with it, what a few-shot draw holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinprompt.data.fewshot import draw
from clinprompt.data.inspection import Finding, inspect_parts
from clinprompt.data.manifest import verify
from clinprompt.data.overlap import PartName
from clinprompt.data.profile import Profile, profile
from clinprompt.data.sections import load_rules, sections
from clinprompt.errors import InputError
from clinprompt.schema.example import Example, Split
from clinprompt.stages.importing import reader_of
from clinprompt.stages.prepare import read_parts
from clinprompt.stages.prepared import Prepared, open_prepared
from clinprompt.tasks.catalog import catalog, load_task

WANTED = {"labels": "label", "choices": "label", "quote": "text", "free_text": "text"}
"""Codec to the field of the answer that each of its examples needs."""


def profiles(prepared: Prepared, *, backbone: str = "") -> dict[str, Profile]:
    """The profile of each part, with lengths in tokens of ``backbone``, or in characters without one."""
    measure = tokens_of(backbone) if backbone else len
    known = {value for schema in prepared.task.attributes.values() for value in schema.values}
    return {part: profile(prepared.part(Split(part)), measure=measure, known=known) for part in prepared.manifest.parts}


def named_parts(name: str, *, data_root: Path | None = None) -> dict[PartName, Sequence[Example]]:
    """The parts of a prepared folder, or of a task of the catalogue whose data lie below ``data_root``."""
    path = Path(name)
    if path.is_dir():
        prepared = open_prepared(path)
        return {(path.name, part): prepared.part(Split(part)) for part in prepared.manifest.parts}
    if name not in catalog():
        fix = "give folders that `clinprompt data import` wrote, or names of `clinprompt show tasks`"
        raise InputError("there is no such folder, and no task of this name in the catalogue", where=name, fix=fix)
    parts, _ = read_parts(load_task(name), data_root=data_root)
    return {(name, split.value): examples for split, examples in parts.items()}


def tokens_of(backbone: str) -> Callable[[str], int]:
    """How many tokens a text has for a backbone's tokenizer; raises :class:`InputError` when there is none."""
    from transformers import AutoTokenizer

    from clinprompt.backbones.loading import resolve

    folder = resolve(backbone)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"the tokenizer cannot be opened ({type(error).__name__})", where=str(folder)) from error
    return lambda text: len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


@dataclass(frozen=True, slots=True)
class SectionCount:
    """One section id: notes that have it, times it is there, characters it covers, and their share of all."""

    id: str
    notes: int
    sections: int
    characters: int
    share: float


def section_counts(
    source: Path, *, reader: str, rules: Path | None = None, options: Mapping[str, Any] | None = None
) -> list[SectionCount]:
    """What sections the notes of a source have, the largest first; ``rules`` is a file of headings."""
    known = load_rules(rules)
    notes, times, characters = Counter[str](), Counter[str](), Counter[str]()
    for item in reader_of(reader, options or {})(source, **(options or {})):
        found = sections(item.note if isinstance(item, Example) else item.text, known)
        notes.update({one.id for one in found})
        for one in found:
            times[one.id] += 1
            characters[one.id] += one.end - one.start
    total = characters.total()
    return [
        SectionCount(name, notes[name], times[name], count, count / total) for name, count in characters.most_common()
    ]


def check_data(folder: Path) -> list[Finding]:
    """What deserves a look in a prepared task, faults first; its files must be those its manifest names."""
    prepared = open_prepared(folder)
    verify(prepared.folder)
    parts = {part: prepared.part(Split(part)) for part in prepared.manifest.parts}
    wants = WANTED.get(prepared.task.codec, "")
    found = inspect_parts(parts, labels=prepared.task.labels, wants=wants)
    return sorted(found, key=lambda finding: not finding.fault)


def sample(folder: Path, *, shots: int, number: int) -> list[Example]:
    """The training examples that draw ``number`` of ``shots`` holds, the same as ``clinprompt adapt`` trains on."""
    prepared = open_prepared(folder)
    return draw(prepared.part(Split.train), k=shots, seed=prepared.draw_seed, draw=number)
