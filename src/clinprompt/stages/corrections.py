"""Corrected notes as a folder: what a person says is right, one file per note and task, for the next version."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clinprompt.data.choices import Choices, rendered
from clinprompt.data.files import read_text
from clinprompt.data.projection import Tally
from clinprompt.data.records import document_of, document_record
from clinprompt.errors import InputError
from clinprompt.prompts.banked import Banked
from clinprompt.schema.document import Document
from clinprompt.schema.example import QUOTED, SPAN_KINDS, Answer, Example
from clinprompt.stages.atomic import write_json
from clinprompt.stages.prepare import project_items
from clinprompt.tasks.codecs import CODECS
from clinprompt.tasks.codecs.quote import NO_ANSWER
from clinprompt.tasks.task import Task

SEEN = "versions.json"
"""Beside the notes of a task: which of them, and with which answer, each version was trained on."""


@dataclass(frozen=True, slots=True)
class Correction:
    """One note with the right answer to one task.

    ``document`` holds text, spans and relations; ``label`` or ``text`` is the answer to tasks that have one,
    ``inputs`` are further texts by slot, ``choices`` the options of multiple choice. ``prompt`` is the version whose
    answer was corrected.
    """

    document: Document
    label: str | None = None
    text: str | None = None
    inputs: Mapping[str, str] | None = None
    choices: Choices = ()
    prompt: str = ""

    @property
    def id(self) -> str:
        """A hash of all that was asked: to correct the same note again replaces what was said before."""
        asked = [self.document.text, dict(self.inputs or {}), self.choices]
        return _hash(asked)

    @property
    def content(self) -> str:
        """A hash of all that can be learnt from it: another one when the note was corrected otherwise."""
        return _hash([document_record(self.document), self.label, self.text, dict(self.inputs or {}), self.choices])

    def examples(self, task: Task) -> list[Example]:
        """The training examples that it is: windows for tasks of spans and relations, else one.

        Raises :class:`InputError` for what the task cannot be trained on, such as labels it does not have.
        """
        if task.about is not None:
            raise InputError(
                "this task asks about mentions that another task finds",
                where=f"task {task.name}",
                fix="correct the attribute in the task that finds the mentions",
            )
        if task.kind in SPAN_KINDS and (self.label is not None or self.text is not None):
            raise InputError("this task has spans, and no answer", where=f"task {task.name}")
        found = self._spans(task) if task.kind in SPAN_KINDS else [self._answer(task)]
        for example in found:
            CODECS[task.codec].encode(example, task)
        return found

    def _spans(self, task: Task) -> list[Example]:
        if task.data is not None:  # these maps are for the labels of the task's corpus
            own = task.data.model_copy(update={"label_map": {}, "attribute_map": {}})
            task = task.model_copy(update={"data": own})
        tally = Tally()
        found = list(project_items(task, [_usual(self.document, task)], tally=tally, strict=True))
        cut = tally.report.cut_spans + tally.report.cut_relations
        if cut or tally.report.wrong_ends:
            what = ", ".join(f"{label} ({count})" for label, count in (cut + tally.report.wrong_ends).items())
            raise InputError(
                f"the task cannot hold some of it: {what}",
                where=f"task {task.name}",
                allowed="spans and relations that fit into one window, between labels that the relation joins",
            )
        return found

    def _answer(self, task: Task) -> Example:
        options = {"options": rendered(self.choices)} if self.choices else {}
        inputs = {"note": self.document.text, **(self.inputs or {}), **options}
        spans, text = (), self.text
        if task.codec == "quote":
            spans = tuple(replace(span, label=QUOTED) for span in self.document.spans[:1])
            text = spans[0].surface(self.document.text) if spans else text or NO_ANSWER
        answer = Answer(spans=spans, label=self.label, text=text)
        name = self.document.id
        return Example(name, inputs, answer, self.document.group, document=name, choices=self.choices)


class Corrections:
    """A folder of corrections, ``TASK/ID.json``, that only its owner can read."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def save(self, task: Task, correction: Correction) -> str:
        """Keep a correction; its id. Raises :class:`InputError` for one that the task cannot be trained on."""
        name = correction.id
        document = replace(correction.document, id=name, group=_group(correction.document, name))
        correction = replace(correction, document=document)
        correction.examples(task)
        record: dict[str, Any] = {
            "task": task.name,
            "prompt": correction.prompt,
            "saved": datetime.now(UTC).isoformat(timespec="seconds"),
            "document": document_record(document),
            "label": correction.label,
            "text": correction.text,
            "inputs": dict(correction.inputs or {}),
            "choices": [list(pair) for pair in correction.choices],
        }
        self._write(self._of(task.name) / f"{name}.json", record)
        return name

    def ids(self, task: str) -> list[str]:
        """The corrections of a task, by id."""
        return sorted(path.stem for path in self._of(task).glob("*.json") if path.name != SEEN)

    def read(self, task: str, name: str) -> Correction:
        """One correction; :class:`InputError` when there is none or it has another form."""
        path = self._of(task) / f"{name}.json"
        where = f"correction {task}/{name}"
        try:
            record = json.loads(read_text(path))
            document = document_of(record["document"], where=where)
            choices = tuple((str(key), str(text)) for key, text in record["choices"])
            return Correction(
                document, record["label"], record["text"], record["inputs"], choices, str(record["prompt"])
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InputError("this correction has another form", where=where, fix="remove the file") from error

    def seen(self, task: str, version: Banked) -> dict[str, str]:
        """The notes that a version, or one that it goes on from, was trained on: the content of each by its id."""
        return self._versions(task).get(version.source, {})

    def unseen(self, task: str, version: Banked) -> list[str]:
        """The corrections that a version was not trained on as they are now."""
        seen = self.seen(task, version)
        return [name for name in self.ids(task) if name not in seen or seen[name] != self._content(task, name)]

    def tell_seen(self, task: str, source: str, contents: Mapping[str, str]) -> None:
        """Note down what is seen by the version that is made of the file with the hash ``source``.

        It is to be told before the file is added to a bank: whatever ends the process then, no version is without it.
        """
        self._write(self._of(task) / SEEN, {**self._versions(task), source: contents})

    def _content(self, task: str, name: str) -> str:
        try:
            return self.read(task, name).content
        except InputError:  # told by who trains on it
            return ""

    def _versions(self, task: str) -> dict[str, dict[str, str]]:
        path = self._of(task) / SEEN
        if not path.is_file():
            return {}
        try:
            return {source: dict(notes) for source, notes in json.loads(read_text(path)).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(
                "the record of the notes that each version has seen has another form", where=f"{task}/{SEEN}",
                fix="remove the file: all notes are then taken for new ones",
            ) from error  # fmt: skip

    def _of(self, task: str) -> Path:
        if not task or task.startswith(".") or "/" in task or "\\" in task:
            raise InputError(f"{task!r} is no name of a task")
        return self.folder / task

    def _write(self, path: Path, record: Mapping[str, Any]) -> None:
        private(self.folder)
        private(path.parent)
        write_json(path, record)
        path.chmod(0o600)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def private(folder: Path) -> Path:
    """A folder that only its owner can enter, made where there is none."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.chmod(folder, 0o700)
    return folder


def _group(document: Document, name: str) -> str:
    """The patient where one was named; the note itself otherwise."""
    return document.group if document.group not in ("", document.id) else name


def _usual(document: Document, task: Task) -> Document:
    """The document with the usual value of each attribute that was left unsaid."""

    def said(label: str, given: Mapping[str, str]) -> dict[str, str]:
        asked = {name: one for name, one in task.attributes.items() if not one.of or label in one.of}
        usual = {name: one.usual for name, one in asked.items() if one.usual}
        return usual | {name: value for name, value in given.items() if name in asked and value}

    spans = tuple(replace(span, attributes=said(span.label, span.attributes)) for span in document.spans)
    return replace(document, spans=spans)
