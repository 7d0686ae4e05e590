"""PubMedQA: yes, no or maybe to a question over an abstract without its conclusion."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

from clinprompt.data.faults import Faults
from clinprompt.data.files import one_file, parse_json, read_text
from clinprompt.errors import InputError
from clinprompt.schema.example import Answer, Example

LABELS = ("yes", "no", "maybe")
PARTS = ("all", "train", "dev", "test")
FOLDS = 10


def read(path: Path | None, *, part: str = "all", fold: int = 0, test_ids: str = "") -> list[Example]:
    """The labelled questions of ``ori_pqal.json``: ``question``, and the abstract's sections as ``note``.

    ``LONG_ANSWER`` (the conclusion, which gives the answer away) is left out. ``part`` and ``fold`` (0-9)
    give the official division: 500 test questions, and 500 in ten folds of which ``fold`` is dev and the
    others train. ``test_ids`` names a file beside ``path`` whose keys are checked to be that test part.

    Raises :class:`InputError` for records that miss a field and for test ids that differ.
    """
    if part not in PARTS or not 0 <= fold < FOLDS:
        raise InputError(f"the options are part {part!r}, fold {fold}", allowed=f"{', '.join(PARTS)}; 0-{FOLDS - 1}")
    file = one_file(path, reader="pubmedqa")
    records = parse_json(read_text(file), where=str(file))
    if not isinstance(records, dict):
        raise InputError("the file is no mapping of PubMed ids to questions", where=str(file))
    faults, examples = Faults(), {}
    for place, (name, record) in enumerate(records.items(), 1):
        with faults.gathered():
            examples[name] = _example(name, record, where=f"{file} record {place}")
    faults.raise_all()
    if part == "all":
        return list(examples.values())
    ids = official_parts({name: str(example.answer.label) for name, example in examples.items()}, fold=fold)
    if test_ids:
        listed = parse_json(read_text(file.with_name(test_ids)), where=str(file.with_name(test_ids)))
        if set(listed) != set(ids["test"]):
            raise InputError("the test ids are not those of the official division", where=test_ids)
    return [examples[name] for name in ids[part]]


def official_parts(labels: dict[str, str], *, fold: int) -> dict[str, list[str]]:
    """Train, dev and test ids as the authors draw them: seed 0, stratified halves, then stratified folds.

    ``labels`` maps ids to answers in the order of the authors' file, on which the draw depends.
    """
    chance = random.Random(0)
    held, test = _shares(list(labels), labels, count=2, chance=chance)
    folds = _shares(held, labels, count=FOLDS, chance=chance)
    train = [name for number, share in enumerate(folds) if number != fold for name in share]
    return {"train": train, "dev": folds[fold], "test": test}


def _shares(names: list[str], labels: dict[str, str], *, count: int, chance: random.Random) -> list[list[str]]:
    shares: list[list[str]] = [[] for _ in range(count)]
    for label in LABELS:
        members = [name for name in names if labels[name] == label]
        chance.shuffle(members)
        size = math.ceil(len(members) / count)
        for number, share in enumerate(shares):
            share += members[number * size : (number + 1) * size]
    if len(shares[-1]) != len(shares[0]):
        for share in shares[:-1]:
            moved = chance.choice(share)
            share.remove(moved)
            shares[-1].append(moved)
    return shares


def _example(name: str, record: Any, *, where: str) -> Example:
    if not isinstance(record, dict):
        raise InputError("the record is no mapping", where=where)
    question, contexts, label = (record.get(key) for key in ("QUESTION", "CONTEXTS", "final_decision"))
    if not isinstance(question, str) or not isinstance(contexts, list):
        raise InputError("the record has no QUESTION text or no CONTEXTS list", where=where)
    if label not in LABELS or not all(isinstance(context, str) for context in contexts):
        raise InputError("final_decision or CONTEXTS cannot be read", where=where, allowed=", ".join(LABELS))
    return Example(
        id=name,
        inputs={"note": "\n".join(contexts), "question": question},
        answer=Answer(label=label),
        group=name,
        document=name,
    )
