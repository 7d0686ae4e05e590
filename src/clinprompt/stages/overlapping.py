"""A task's parts without what the test parts of others hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clinprompt.data.overlap import NoteIndex, without_overlap
from clinprompt.errors import InputError
from clinprompt.schema.example import Example, Split
from clinprompt.stages.prepared import Prepared


def apart_from(
    parts: Mapping[Split, Sequence[Example]], targets: Sequence[Prepared], *, name: str
) -> tuple[dict[Split, list[Example]], dict[str, int]]:
    """The parts with ``train`` and ``dev`` without what the targets' test parts hold, and how many examples went.

    Counts are by ``<part>: <target>``. Raises :class:`InputError` when nothing is left of ``train``.
    """
    held_out = {target.task.name: NoteIndex(target.part(Split.test)) for target in targets}
    kept: dict[Split, list[Example]] = {}
    counts: dict[str, int] = {}
    for split, examples in parts.items():
        if split is Split.test:
            kept[split] = list(examples)
            continue
        kept[split], found = without_overlap(examples, held_out)
        counts |= {f"{split.value}: {target}": count for target, count in found.items()}
    if parts.get(Split.train) and not kept[Split.train]:
        raise InputError("every training example stands in the test part of a target", where=f"task {name}",
                         fix="leave the task out of the sources, or out of the targets")  # fmt: skip
    return {split: examples for split, examples in kept.items() if examples}, counts
