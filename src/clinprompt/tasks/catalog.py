"""The catalogue of tasks: strict YAML files, by name or by path, with all their faults shown together."""

from __future__ import annotations

import datetime
import math
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from clinprompt.errors import InputError, raise_all
from clinprompt.registry import unknown_name
from clinprompt.schema.example import SPAN_KINDS, TaskKind
from clinprompt.tasks.codecs import CODECS
from clinprompt.tasks.task import HEAD, Task

CATALOG_ROOT = Path(__file__).parent / "catalog"
TASK = "task.json"
"""The task in a folder of prepared data."""

CODECS_OF_KIND = {
    TaskKind.entities: ("entities",),
    TaskKind.relations: ("relations",),
    TaskKind.question_answering: ("labels", "choices", "quote", "free_text"),
    TaskKind.inference: ("labels",),
    TaskKind.summarisation: ("free_text",),
}
_LABELLED_CODECS = ("entities", "relations", "labels")
MOST_FORMS = 256
"""Ways to name a kind of entity with its attributes."""
_PARTS = ("train", "dev", "test", "all")


def catalog(root: Path = CATALOG_ROOT) -> dict[str, Path]:
    """The task files that come with the package: file name without ending to path, sorted by name."""
    files = sorted(root.rglob("*.yaml"), key=lambda path: path.stem)
    return {path.stem: path for path in files}


def load_task(path_or_name: str | Path) -> Task:
    """The task of a catalogue name, a YAML file or a prepared folder; raises :class:`InputError` with all faults."""
    path = _task_file(path_or_name)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as fault:
        raise InputError("the task file is not UTF-8 text", where=str(path)) from fault
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        what = getattr(fault, "problem", None) or "cannot be read"
        raise InputError(f"the task file is not valid YAML: {what}", where=f"{path}{line}") from fault
    if not isinstance(content, dict):
        raise InputError("the task file is not a mapping of fields", where=str(path), allowed=_fields())
    return task_from(content, where=str(path))


def prepared_folder(path_or_name: str | Path) -> Path | None:
    """The folder of prepared data that a task is named by: itself, a run that prepared it, or its ``task.json``.

    ``None`` for names of the catalogue and for task files.
    """
    path = Path(path_or_name)
    if path.name == TASK:
        path = path.parent
    folders = (path / "outputs", path)
    known = str(path_or_name) in catalog()
    return None if known else next((folder for folder in folders if (folder / TASK).is_file()), None)


def task_from(content: dict[str, Any], *, where: str) -> Task:
    """The task that these fields describe; raises :class:`InputError` naming every field that is wrong."""
    try:
        task = Task.model_validate(content)
    except ValidationError as faults:
        raise_all([_field_fault(fault, where=where) for fault in faults.errors()])
        raise AssertionError("a validation error without errors") from faults
    raise_all(list(_contradictions(task, where=where)))
    return task


def _task_file(path_or_name: str | Path) -> Path:
    known = catalog()
    if str(path_or_name) in known:
        return known[str(path_or_name)]
    path = Path(path_or_name)
    if (folder := prepared_folder(path_or_name)) is not None:
        return folder / TASK
    if path.is_file():
        return path
    if path.is_dir():
        fix = "make one with `clinprompt data import`"
        raise InputError("this folder holds no prepared task", where=str(path), fix=fix)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        raise InputError("there is no such task file", where=str(path), fix=f"known tasks: {', '.join(known)}")
    raise unknown_name("task", str(path_or_name), known)


def _fields() -> str:
    return ", ".join(Task.model_fields)


def _field_fault(fault: Any, *, where: str) -> InputError:
    """One pydantic fault in the error grammar, with the traps of unquoted YAML explained."""
    path = [str(step) for step in fault["loc"]]
    if path[-1:] == ["[key]"]:
        path[-2:] = [f"key {fault['input']}"]
    field = ".".join(path)
    place = f"{where}, field {field}" if field else where
    given = fault["input"]
    if fault["type"] == "string_type" and isinstance(given, bool):
        return InputError(
            f"{field} is a truth value, not text: YAML reads unquoted yes, no, on, off, true and false so",
            where=place,
            fix='quote it: "yes" or "no"' + ("" if given else ' (here "no", "off" or "false")'),
        )
    if fault["type"] == "string_type" and isinstance(given, int | float | datetime.date):
        return InputError(f"{field} is a {type(given).__name__}, not text", where=place, fix=f'quote it: "{given}"')
    if fault["type"] == "extra_forbidden":
        top = len(fault["loc"]) == 1
        return InputError(f"there is no field {field!r}", where=where, allowed=_fields() if top else "")
    if fault["type"] == "missing":
        return InputError(f"the field {field!r} is missing", where=where)
    allowed = ", ".join(kind.value for kind in TaskKind) if field == "kind" else ""
    message = fault["msg"].removeprefix("Value error, ")
    return InputError(f"{field}: {message}" if field else message, where=where, allowed=allowed)


def _contradictions(task: Task, *, where: str) -> list[InputError]:
    """What the fields say against each other."""
    faults: list[InputError] = []

    def fault(what: str, **more: str) -> None:
        faults.append(InputError(what, where=where, **more))

    if task.codec not in CODECS:
        faults.append(unknown_name("codec", task.codec, CODECS, where=where))
    elif task.codec not in CODECS_OF_KIND[task.kind]:
        fault(
            f"the codec {task.codec!r} does not fit the kind {task.kind.value!r}",
            allowed=", ".join(CODECS_OF_KIND[task.kind]),
        )
    if task.codec in _LABELLED_CODECS and not task.labels:
        fault(f"the codec {task.codec!r} needs labels")
    if task.kind is TaskKind.relations and not task.relations:
        fault("a task of relations needs the field 'relations'")
    if len(set(task.labels)) < len(task.labels):
        fault("a label stands twice in labels")
    names = (*task.labels, *task.relations)
    if any(not task.words(name).strip() for name in names):
        fault("a label has no words", fix="give it words in verbalizer")
    relation_words = [task.words(name) for name in task.relations]
    if len(set(relation_words)) < len(relation_words):
        fault("two relations share the same verbalizer words")
    for name, ends in task.relations.items():
        for end, labels in (("head", ends.head), ("tail", ends.tail)):
            if not labels or set(labels) - set(task.labels):
                fault(f"relations.{name}.{end} must name labels of the task", allowed=", ".join(task.labels))
    faults += _attribute_contradictions(task, where=where)
    faults += _question_contradictions(task, where=where)
    if task.data:
        faults += _data_contradictions(task, where=where)
    return faults


def _attribute_contradictions(task: Task, *, where: str) -> list[InputError]:
    faults: list[InputError] = []
    if task.attributes and task.codec not in ("entities", "relations"):
        faults.append(InputError("the field 'attributes' is for the codecs 'entities' and 'relations'", where=where))
    if task.about and (task.kind is not TaskKind.question_answering or task.codec != "labels"):
        faults.append(InputError("the field 'about' is for question answering with the codec 'labels'", where=where))
    for name, schema in task.attributes.items():
        strange = sorted(set(schema.of) - set(task.labels))
        if strange:
            allowed = ", ".join(task.labels)
            faults.append(InputError(f"attributes.{name}.of names {strange}", where=where, allowed=allowed))
    usuals = [(f"attributes.{name}", schema.usual, schema.values) for name, schema in task.attributes.items()]
    usuals += [("about", task.about.usual, task.labels)] if task.about else []
    for field, usual, values in usuals:
        if usual and usual not in values:
            faults.append(InputError(f"{field}.usual is {usual!r}", where=where, allowed=", ".join(values)))
    combinations = max((_combinations(task, label) for label in task.labels), default=1)
    if combinations > MOST_FORMS:
        fault = f"the attributes have {combinations} combinations of values"
        faults.append(InputError(fault, where=where, allowed=f"at most {MOST_FORMS}", fix="ask for them in two tasks"))
    elif task.attributes and len(task.forms()) < sum(_combinations(task, label) for label in task.labels):
        faults.append(InputError("two combinations of label and values share the same words", where=where,
                                 fix="give the values other words in verbalizer"))  # fmt: skip
    return faults


def _question_contradictions(task: Task, *, where: str) -> list[InputError]:
    if task.questions and task.codec not in ("entities", "relations"):
        return [InputError("the field 'questions' is for the codecs 'entities' and 'relations' only", where=where)]
    faults: list[InputError] = []
    for name, text in task.questions.items():
        allowed = {HEAD} if name in task.relations else set()
        strange = sorted(set(re.findall(r"\{[^{}]*\}", text)) - allowed)
        if name not in (*task.labels, *task.relations):
            known = ", ".join([*task.labels, *task.relations])
            faults.append(InputError(f"questions names {name!r}", where=where, allowed=known))
        elif not text.strip():
            faults.append(InputError(f"questions.{name} has no words", where=where, fix="write it or leave it out"))
        elif strange:
            faults.append(
                InputError(
                    f"questions.{name} has the slots {', '.join(strange)}",
                    where=where,
                    allowed=f"{HEAD}, in questions of relations" if name in task.labels else HEAD,
                )
            )
    return faults


def _combinations(task: Task, label: str) -> int:
    asked = (schema for schema in task.attributes.values() if label in (schema.of or task.labels))
    return math.prod(len(schema.values) for schema in asked)


def _data_contradictions(task: Task, *, where: str) -> list[InputError]:
    assert task.data is not None
    faults: list[InputError] = []
    unknown = sorted(set(task.data.parts) - set(_PARTS))
    if unknown:
        faults.append(InputError(f"data.parts has unknown parts {unknown}", where=where, allowed=", ".join(_PARTS)))
    if "all" in task.data.parts and (len(task.data.parts) > 1 or task.data.split is None):
        faults.append(InputError("data.parts.all stands alone and needs data.split", where=where, fix="add data.split"))
    known = (*(task.about.of if task.about else task.labels), *task.relations)
    strange = sorted(set(task.data.label_map.values()) - {*known, ""})
    if strange:
        allowed = f"{', '.join(known)}, or empty for labels to leave out"
        faults.append(InputError(f"data.label_map maps to {strange}", where=where, allowed=allowed))
    if task.data.window is not None and task.kind not in SPAN_KINDS and not task.about:
        faults.append(InputError("data.window is for entities, relations and questions about mentions", where=where))
    asked = {name: schema.values for name, schema in task.attributes.items()}
    if task.about:
        asked[task.about.attribute] = task.labels
    for name, renames in task.data.attribute_map.items():
        strange = sorted(set(renames.values()) - set(asked.get(name, ())))
        if name not in asked or strange:
            what = f".{name} maps to {strange}" if name in asked else f" names {name!r}"
            faults.append(
                InputError(f"data.attribute_map{what}", where=where, allowed=", ".join(asked.get(name, asked)))
            )
    return faults
