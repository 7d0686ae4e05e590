"""A task's data on disk: parts, manifest and the task itself in one folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from clinprompt.data.extent import longest_item
from clinprompt.data.files import file_hash, read_text
from clinprompt.data.manifest import FILE as MANIFEST
from clinprompt.data.manifest import Manifest, read_manifest, read_part, write_parts
from clinprompt.errors import InputError
from clinprompt.metrics import METRICS
from clinprompt.schema.example import SPAN_KINDS, Example, Split
from clinprompt.stages.atomic import write_text
from clinprompt.tasks.catalog import TASK
from clinprompt.tasks.task import Task

DRAW_SEED = 13
"""Seed of the k-shot draws: one for all methods, so that each sees the same examples."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task with its parts; made by :func:`open_prepared`."""

    path: Path
    folder: Path
    task: Task
    manifest: Manifest
    digest: str
    draw_seed: int = DRAW_SEED

    def part(self, split: Split) -> list[Example]:
        """The examples of a part, verified against the manifest; empty when the data has no such part."""
        return list(self.examples(split))

    def examples(self, split: Split) -> Iterator[Example]:
        """The examples of a part as :meth:`part` gives them, some at a time."""
        return read_part(self.folder, split.value) if split.value in self.manifest.parts else iter(())

    @property
    def content(self) -> str:
        """What of it decides results, 16 hexadecimal digits: the task and the examples of each part.

        Not where it lies, where it is from or what made it, nor a field that a task gains later and does not use.
        """
        parts = {name: part.sha256 for name, part in self.manifest.parts.items()}
        task = self.task.model_dump(mode="json", exclude_defaults=True, exclude={"data", "description", "licence"})
        return hashlib.sha256(json.dumps([task, parts], sort_keys=True).encode()).hexdigest()[:16]

    @property
    def extent(self) -> int | None:
        """Characters of the longest item of a training answer, for tasks of spans and relations."""
        spans = self.task.kind in SPAN_KINDS
        return _extent(self.folder, self.digest) if spans and Split.train.value in self.manifest.parts else None


@lru_cache(maxsize=256)  # an adapt run asks once per finished prompt
def _extent(folder: Path, digest: str) -> int | None:
    return longest_item(read_part(folder, Split.train.value))


def write_prepared(
    folder: Path,
    task: Task,
    examples: Iterable[tuple[Split, Example]],
    *,
    reader: str,
    source_root: Path | None = None,
    source_files: Sequence[Path] = (),
) -> Manifest:
    """Write a task and its examples, each into its part, into a folder.

    Raises :class:`InputError` for a metric that does not exist.
    """
    for name in task.metrics:
        _ = METRICS[name]  # now, not after a training run
    write_text(folder / TASK, task.model_dump_json(indent=1) + "\n")
    return write_parts(
        folder,
        ((split.value, example) for split, example in examples),
        task=task.name,
        reader=reader,
        licence=task.licence,
        source_root=source_root,
        source_files=source_files,
    )


def open_prepared(path: Path) -> Prepared:
    """Open a prepared folder, or the run folder of a prepare stage."""
    folder = path / "outputs" if (path / "outputs").is_dir() else path
    if not (folder / TASK).is_file():
        raise InputError(
            "this folder holds no prepared task",
            where=str(path),
            fix="make it with `clinprompt data import`",
        )
    try:
        task = Task.model_validate_json(read_text(folder / TASK))
    except ValidationError as error:
        raise InputError(
            "the task of this folder cannot be read", where=str(folder / TASK), fix="import the data again"
        ) from error
    return Prepared(path, folder, task, read_manifest(folder), file_hash(folder / MANIFEST)[:16])
