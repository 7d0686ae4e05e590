"""``clinprompt show``: the tables of parts that come with the package."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from clinprompt.cli.console import console
from clinprompt.registry import Registry, unknown_name

Row = dict[str, Any]


def show(
    kind: Annotated[str, typer.Argument(help="tasks, readers, writers, metrics, codecs, templates, methods, backbones, "
                                             "prompt")],
    name: Annotated[str | None, typer.Argument(help="one of them, to see all about it")] = None,
) -> None:  # fmt: skip
    """List the parts of a kind; with a name, all about one of them."""
    if kind == "prompt":
        _show_card(name)
        return
    if kind not in KINDS:
        raise unknown_name("kind of part", kind, list(KINDS))
    rows = {row["name"]: row for row in KINDS[kind]()}
    if name is not None:
        if name not in rows:
            raise unknown_name(kind.removesuffix("s"), name, list(rows))
        row = rows[name] | _details(kind, name)
        console.result(row)
        if not console.json:
            console.table(("", ""), [(key, _text(value)) for key, value in row.items()])
        return
    listed = list(rows.values())
    console.result({kind: listed})
    if not console.json:
        columns = tuple(listed[0]) if listed else ()
        console.table(columns, [tuple(_text(row[column]) for column in columns) for row in listed])


def _show_card(name: str | None) -> None:
    from pathlib import Path

    from clinprompt.errors import InputError
    from clinprompt.prompts.prompt_file import read_card

    if name is None:
        raise InputError("which prompt?", fix="give the path of a prompt file: `clinprompt show prompt FILE`")
    card = read_card(Path(name)).model_dump(mode="json", exclude={"task": {"data"}, "reference": True})
    console.result(card)
    if not console.json:
        console.table(("", ""), [(key, _text(value)) for key, value in card.items() if value not in (None, [], {})])


def _tasks() -> list[Row]:
    from clinprompt.tasks.catalog import catalog, load_task

    rows = []
    for name in catalog():
        task = load_task(name)
        rows.append(
            {
                "name": name,
                "kind": task.kind.value,
                "group": task.group,
                "labels": len(task.labels),
                "metric": task.metrics[0],
                "reader": task.data.reader if task.data else "",
                "licence": task.licence,
            }
        )
    return rows


def _readers() -> list[Row]:
    from clinprompt.data.readers import READERS

    return _rows(READERS)


def _writers() -> list[Row]:
    from clinprompt.data.writers import WRITERS

    return _rows(WRITERS)


def _metrics() -> list[Row]:
    from clinprompt.metrics import METRICS

    return _rows(METRICS)


def _codecs() -> list[Row]:
    from clinprompt.tasks.codecs import CODECS

    return _rows(CODECS)


def _templates() -> list[Row]:
    from clinprompt.tasks.template import READING, TEMPLATES

    asked = {"label": "the words of one label [and a mention's]", "words": "one question in full"}
    written = [{"name": name, "context": part.context, "cue": part.cue} for name, part in TEMPLATES.items()]
    return written + [
        {"name": name, "context": f"(encoders) {asked[part.wording]}, beside {{note}}", "cue": ""}
        for name, part in READING.items()
    ]


def _methods() -> list[Row]:
    from clinprompt.training.method import METHODS

    return [
        {"name": row.name, "prompt": row.prompt, "weights": row.weights, "role": row.role} for row in METHODS.values()
    ]


def _backbones() -> list[Row]:
    """The papers' backbones with what a target trains on each, counted from tensors (prompt length 100, rank 1).

    On an encoder that is its span scorers too.
    """
    from clinprompt.backbones.heads import new_heads
    from clinprompt.backbones.published import ENCODER_TYPES, PUBLISHED, meta_model
    from clinprompt.prompts.sizes import trainable_numbers
    from clinprompt.stages.configs import BackboneSettings

    width = BackboneSettings.model_fields["head_width"].default
    rows = []
    for name in PUBLISHED:
        model = meta_model(name)
        parameters = sum(weight.numel() for weight in model.parameters())
        hidden = model.config.hidden_size
        heads = new_heads(1, hidden, width, 0) if model.config.model_type in ENCODER_TYPES else None
        counted = trainable_numbers(length=100, rank=1, hidden=hidden, heads=heads)
        shares = {method: f"{count:,} ({100 * count / parameters:.5f} %)" for method, count in counted.items()}
        rows.append({"name": name, "parameters": f"{parameters:,}", **shares})
    return rows


KINDS: dict[str, Callable[[], list[Row]]] = {
    "tasks": _tasks,
    "readers": _readers,
    "writers": _writers,
    "metrics": _metrics,
    "codecs": _codecs,
    "templates": _templates,
    "methods": _methods,
    "backbones": _backbones,
}
"""What can be shown, and how its rows are found."""


def _rows(table: Registry) -> list[Row]:
    return [{"name": name, "what": _document(table, name).partition("\n")[0]} for name in table]


def _document(table: Registry, name: str) -> str:
    """The docstring of a part, or of its module when the part is an object made there."""
    part = table[name]
    owner = part if inspect.isroutine(part) or inspect.isclass(part) else None
    module = sys.modules[table.rows[name].partition(":")[0]]
    return inspect.getdoc(owner if owner is not None and owner.__doc__ else module) or ""


def _details(kind: str, name: str) -> Row:
    if kind == "tasks":
        from clinprompt.tasks.catalog import load_task

        task = load_task(name)
        place = (task.data.apply or task.data.obtain) if task.data else ""
        return task.model_dump(mode="json", exclude_defaults=True) | ({"obtain": place} if place else {})
    if kind in ("templates", "methods", "backbones"):  # their row says it all
        return {}
    from clinprompt.data.readers import READERS
    from clinprompt.data.writers import WRITERS
    from clinprompt.metrics import METRICS
    from clinprompt.tasks.codecs import CODECS

    table = {"readers": READERS, "writers": WRITERS, "metrics": METRICS, "codecs": CODECS}[kind]
    return {"what": _document(table, name), "module": table.rows[name]}


def _text(value: Any) -> Any:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_text(item)}" for key, item in value.items())
    return ", ".join(str(item) for item in value) if isinstance(value, list | tuple) else value
