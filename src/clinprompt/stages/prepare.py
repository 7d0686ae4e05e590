"""A corpus to a prepared task: read, projected to the task's schema, divided by group, written with a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from clinprompt.data.attributes import Asked, with_attributes
from clinprompt.data.limit import length_of, limited, short_enough
from clinprompt.data.mentions import ask_about_mentions
from clinprompt.data.projection import Projected, ProjectionReport, Tally, project_each, relabel
from clinprompt.data.readers import READERS
from clinprompt.data.split import split_by_group
from clinprompt.errors import InputError
from clinprompt.schema.document import Document
from clinprompt.schema.example import Example, Split
from clinprompt.stages.absent import absent_data, part_path
from clinprompt.stages.configs import PrepareSettings
from clinprompt.stages.overlapping import apart_from
from clinprompt.stages.prepared import open_prepared, write_prepared
from clinprompt.stages.run_folder import RunFolder, open_run
from clinprompt.tasks.catalog import load_task, prepared_folder
from clinprompt.tasks.mention import mention_words
from clinprompt.tasks.task import DataSource, Task

STAGE, VERSION = "prepare", 3
LEFT_OUT = "left out"
"""The entry of a finished run that counts what was left out because a target's test part holds it."""
TOO_LONG = "too long"
"""The entry of a finished run that counts, for each part, what has more characters than its limits allow."""


def prepare(settings: PrepareSettings, *, runs: Path, force: bool = False) -> RunFolder:
    """Prepare one task; ``outputs/`` is a folder that :func:`open_prepared` opens.

    Of a task that is a prepared folder already the limits are kept, and what it must be ``apart_from``.
    """
    task = load_task(settings.task)
    folder = prepared_folder(settings.task)
    given = open_prepared(folder) if folder else None
    if task.data is None and given is None:
        raise InputError(
            "the task names no data", where=f"task {task.name}",
            fix="add `data` to the task file, or give a folder that `clinprompt data import` wrote",
        )  # fmt: skip
    paths = _paths(task.data, settings.data_root) if task.data and given is None else []
    held_out = [open_prepared(path) for path in settings.apart_from]
    # The task file counts by its content, so that a change of the catalogue makes a new run.
    run = open_run(
        runs,
        stage=STAGE,
        version=VERSION,
        config=settings,
        inputs={f"data {path.name}": path for path in paths if path.exists()},
        fingerprints={
            "task": task.model_dump_json(),
            **({"folder": given.digest} if given else {}),
            **{f"apart from {t.task.name}": t.digest for t in held_out},
        },
        force=force,
    )
    if run.done:
        return run
    with run:
        if given:
            parts = {split: item for split in Split if (item := given.part(split))}
            report = ProjectionReport()
        else:
            parts, report = read_parts(task, data_root=settings.data_root)
        left_out: dict[str, int] = {}
        if held_out:
            parts, left_out = apart_from(parts, held_out, name=task.name)
        short, too_long = _without_long(parts, settings.limits.get("characters"), name=task.name)
        fewer = {split: limited(found, settings.limits.get(split.value)) for split, found in short.items()}
        sources = [path for path in paths if path.is_file()]
        manifest = write_prepared(
            run.outputs,
            task,
            ((split, example) for split, found in fewer.items() for example in found),
            reader=given.manifest.reader if given else task.data.reader if task.data else "",
            source_root=settings.data_root,
            source_files=sources,
        )
        counts = {name: part.examples for name, part in manifest.parts.items()}
        told = {LEFT_OUT: left_out} if held_out else {}
        long = {TOO_LONG: too_long} if any(too_long.values()) else {}
        run.finish({"task": task.name, "examples": counts, "projection": _plain(report), **told, **long})
    return run


def _without_long(
    parts: Mapping[Split, list[Example]], characters: int | None, *, name: str
) -> tuple[dict[Split, list[Example]], dict[str, int]]:
    """Training and dev examples that are short enough and all test examples; how many of each part are left out.

    Raises :class:`InputError` where none of a part would stay.
    """
    short = {
        split: list(found) if split is Split.test else short_enough(found, characters) for split, found in parts.items()
    }
    if empty := [split for split, found in parts.items() if found and not short[split]]:
        shortest = min(map(length_of, parts[empty[0]]))
        raise InputError(
            f"not one of the {len(parts[empty[0]])} examples of {empty[0].value} has at most {characters} characters",
            where=f"task {name}",
            fix=f"raise `limits.characters` (the shortest has {shortest}), or read in smaller windows",
        )
    return short, {split.value: len(found) - len(short[split]) for split, found in parts.items()}


def read_parts(
    task: Task, *, data_root: Path | None = None, strict: bool = False
) -> tuple[dict[Split, list[Example]], ProjectionReport]:
    """Read all parts of a task's data as examples, and report what of the annotation they do not hold.

    ``strict``: labels outside the task's schema raise :class:`InputError` instead of being left out.
    """
    data = task.data
    assert data is not None
    whole = ProjectionReport()
    parts: dict[Split, list[Example]] = {}
    for split, items in _divided(data, data_root).items():
        tally = Tally()
        parts[split] = [
            replace(example, split=split) for example in project_items(task, items, tally=tally, strict=strict)
        ]
        whole += tally.report
    return parts, whole


def _divided(data: DataSource, data_root: Path | None) -> dict[Split, list[Any]]:
    """The corpus's own parts; a part that it lacks is cut, by group, from ``all`` or from ``train``."""
    if fault := absent_data(data, data_root=data_root):
        raise fault
    given = {name: _read(data, options, data_root) for name, options in data.parts.items()}
    whole = "all" if "all" in given else "train"
    if data.split is None or whole not in given:
        return {Split(name): items for name, items in given.items()}
    lacking = {name: 0.0 if name in given else getattr(data.split, name) for name in ("dev", "test")}
    cut = split_by_group(given.pop(whole), **lacking, seed=data.split.seed)
    return {split: items for split, items in cut.items() if items} | {Split(n): items for n, items in given.items()}


def _read(data: DataSource, options: dict[str, Any], data_root: Path | None) -> list[Any]:
    path = part_path(data, options, data_root)
    rest = {name: value for name, value in {**data.options, **options}.items() if name != "path"}
    return list(READERS[data.reader](path, **rest))


def project_items(task: Task, items: Iterable[Any], *, tally: Tally, strict: bool) -> Iterator[Example]:
    """Documents or examples as examples of a task, one by one, in its labels and windows, reported in ``tally``.

    ``strict`` as in :func:`read_parts`; what the task does not have is refused after the last.
    """
    label_map = task.data.label_map if task.data else {}
    rest = iter(items)
    first = list(islice(rest, 1))
    items = chain(first, rest)
    if not first or not isinstance(first[0], Document):
        yield from relabel(items, labels=task.labels, label_map=label_map) if task.labels else items
        return
    if task.about:
        yield from tally.examples(questions_about(task, items))
        if strict and not tally.report.examples:
            known = ", ".join(task.about.of)
            raise InputError(f"no mention has a label that task {task.name} asks about", allowed=known)
        return
    projected = project_each(
        items,
        labels=task.labels,
        relations={name: (schema.head, schema.tail) for name, schema in task.relations.items()} or None,
        label_map=label_map,
        window=task.data.window if task.data else None,
        strict=strict,
    )
    examples = tally.examples(projected)
    yield from with_attributes(examples, asked_of(task)) if task.attributes else examples


def questions_about(
    task: Task, documents: Iterable[Document], *, window: int | None = None, gold: bool = True
) -> Iterator[Projected]:
    """The questions of a task about mentions, in windows of the task's length or of ``window`` characters."""
    assert task.about is not None
    data = task.data
    (asked,) = asked_of(task)
    return ask_about_mentions(
        documents,
        asked,
        naming=lambda note, span: mention_words(note, span, task),
        label_map=data.label_map if data else {},
        window=window or (data.window if data else None),
        gold=gold,
    )


def asked_of(task: Task) -> list[Asked]:
    """The attributes that a task asks for, with how its corpus says them."""
    renames = task.data.attribute_map if task.data else {}
    if task.about:
        name = task.about.attribute
        return [Asked(name, task.labels, task.about.of, task.about.usual, renames.get(name, {}))]
    return [
        Asked(name, schema.values, schema.of, schema.usual, renames.get(name, {}))
        for name, schema in task.attributes.items()
    ]


def _paths(data: DataSource, data_root: Path | None) -> list[Path]:
    found = (part_path(data, options, data_root) for options in data.parts.values())
    return sorted({path for path in found if path is not None})


def _plain(report: ProjectionReport) -> dict[str, Any]:
    return {field.name: getattr(report, field.name) for field in fields(report)}  # `asdict` breaks a Counter
