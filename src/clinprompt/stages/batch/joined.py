"""The parts of a run as one output of the chosen format, with its ledger and the list of notes that failed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from clinprompt import __version__
from clinprompt.data.atomic import whole_file
from clinprompt.data.stream import Stream
from clinprompt.data.writers import FOLDERS
from clinprompt.errors import InputError
from clinprompt.schema.document import Document
from clinprompt.stages.batch.asked import Asked
from clinprompt.stages.batch.note_answer import document_of
from clinprompt.stages.batch.notes import Notes, entry_digest
from clinprompt.stages.batch.part import Part
from clinprompt.stages.batch.parts_folder import PartsFolder
from clinprompt.stages.batch.report import PredictReport, Tally
from clinprompt.stages.configs import PredictSettings
from clinprompt.stages.exporting import holds_answers, write_documents
from clinprompt.stages.reading import LEDGER

FAILED = "failed.jsonl"


def joined(settings: PredictSettings, notes: Notes, folder: PartsFolder, asked: Asked, *, shards: int) -> PredictReport:
    """Write the output; notes and parts are read again shard by shard, so that one of each is held.

    Raises :class:`InputError` for what the format cannot hold, and when a note has changed.
    """
    numbers = range(1, shards + 1)
    tally = totals(folder, asked, numbers)
    placed, parts = holds_answers(settings.writer), Stream(lambda: _parts(folder, numbers))
    answers = Stream(
        lambda: (note.answer.kept(placed=placed) for part in parts for _, note in sorted(part.answered.items()))
    )
    documents = Stream(lambda: _documents(notes, folder, annotated=bool(asked.mentions)))
    made = folder.begin_joining()
    lost = write_documents(
        documents, made, writer=settings.writer, options=settings.writer_options, answers=answers,
        provenance=_provenance(tally, asked), overwrite=True,
    )  # fmt: skip
    failed = bool(tally.counts["failed"])
    there = settings.model_copy(update={"out": made})
    _write_lines(beside(there, LEDGER), _ledger(parts))
    if failed:
        _write_lines(beside(there, FAILED), _failures(parts))
    if settings.writer not in FOLDERS:  # what stands beside a file is there before the file is
        folder.put(beside(there, LEDGER))
        if failed:
            folder.put(beside(there, FAILED))
        else:
            beside(settings, FAILED).unlink(missing_ok=True)  # of an earlier try
    folder.put(made)
    dead = beside(settings, FAILED) if failed else None
    return tally.report(lost=lost, ledger=beside(settings, LEDGER), extents=asked.extents, dead_letters=dead)


def totals(folder: PartsFolder, asked: Asked, numbers: Iterable[int]) -> Tally:
    """The sums over the parts that are there."""
    tally = Tally()
    for number in numbers:
        part = folder.part(number)
        if part is not None:
            tally.add(part, extents=asked.extents)
    return tally


def beside(settings: PredictSettings, name: str) -> Path:
    """``name`` in an output folder, ``OUT.name`` beside an output file."""
    out = settings.out
    return out / name if settings.writer in FOLDERS else out.with_name(f"{out.name}.{name}")


def _parts(folder: PartsFolder, numbers: Iterable[int]) -> Iterator[Part]:
    for number in numbers:
        part = folder.part(number)
        if part is None:
            raise InputError(f"the part of shard {number} is damaged or gone", where=str(folder.path),
                             fix="run the same command again")  # fmt: skip
        yield part


def _documents(notes: Notes, folder: PartsFolder, *, annotated: bool) -> Iterator[Document]:
    for shard in notes:
        [part] = _parts(folder, [shard.number])
        for place, entry in shard.placed:
            note = part.answered.get(place)
            if note is None:
                continue
            if isinstance(entry, InputError) or entry_digest(entry) != note.digest:
                raise InputError(
                    f"the note {note.id} has changed since it was answered",
                    where=f"note {place}",
                    fix="restore it and run the same command again",
                )
            yield document_of(entry, note.answer, annotated=annotated)


def _ledger(parts: Iterable[Part]) -> Iterator[Mapping[str, Any]]:
    for part in parts:
        for _, note in sorted(part.answered.items()):
            yield from note.answer.ledger


def _failures(parts: Iterable[Part]) -> Iterator[Mapping[str, Any]]:
    for part in parts:
        for one in part.failed:
            yield {"id": one.id, "reason": one.reason, "place": one.place}


def _write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as stream:
        stream.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _provenance(tally: Tally, asked: Asked) -> dict[str, Any]:
    """What made these predictions: backbone, engine, dtype, decoding, how long notes were read, and each prompt by
    name, version and hash.
    """
    common = dict(tally.provenance)
    for single in ("task", "prompt", "grounding", "long_notes"):
        common.pop(single, None)
    common["grounding"] = dict(tally.grounding)
    if tally.strategies:
        common["long_notes"] = dict(tally.strategies)
    return {**common, "clinprompt": __version__, "prompts": list(asked.made_by)}
