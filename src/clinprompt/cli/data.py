"""``clinprompt data``: import a corpus, describe what was imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clinprompt.cli.console import console

if TYPE_CHECKING:
    from clinprompt.data.manifest import Manifest

app = typer.Typer(help="Import a corpus, describe it.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Import a corpus, describe it."""


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="Folder or file of annotated notes.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write the prepared task to.")],
    name: Annotated[str | None, typer.Option(help="Name of the task.", show_default="name of the folder")] = None,
    reader: Annotated[str, typer.Option(help="Format; see `clinprompt show readers`.")] = "brat",
    kind: Annotated[str | None, typer.Option(help="entities, relations, question-answering, inference or "
                                                  "summarisation.", show_default="what the data shows")] = None,
    task: Annotated[str | None, typer.Option(help="Task file or catalogue name whose schema must hold.")] = None,
    instruction: Annotated[str, typer.Option(help="The task in words.", show_default="made from the labels")] = "",
    window: Annotated[int, typer.Option(help="Longest stretch of a note in one example, in characters.")] = 600,
    group: Annotated[str, typer.Option(help="Regular expression that finds the patient in a note's name (brat, plain).",
                                       show_default="each note its own")] = "",
    dev: Annotated[float, typer.Option(help="Share of the patients or documents for development.")] = 0.15,
    test: Annotated[float, typer.Option(help="Share for testing.")] = 0.25,
    seed: Annotated[int, typer.Option(help="Seed of the division.")] = 13,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder.")] = False,
) -> None:  # fmt: skip
    """Read annotated notes, check every offset, divide by patient, write a prepared task."""
    from clinprompt.registry import unknown_name
    from clinprompt.schema.example import TaskKind
    from clinprompt.stages.importing import import_data
    from clinprompt.tasks.catalog import load_task

    if kind is not None and kind not in set(TaskKind):
        raise unknown_name("kind of task", kind, [known.value for known in TaskKind])
    imported = import_data(
        source,
        out,
        name=name or out.name,
        reader=reader,
        kind=TaskKind(kind) if kind else None,
        task=load_task(task) if task else None,
        instruction=instruction,
        window=window,
        dev=dev,
        test=test,
        seed=seed,
        overwrite=overwrite,
        options={"group": group} if group else None,
    )
    report = imported.report
    _describe(imported.manifest)
    for what, counted in (
        ("not asked for by the task", report.outside),
        ("spans cut by a window", report.cut_spans),
        ("relations cut by a window", report.cut_relations),
    ):
        if counted:
            console.warn(f"{what}: {', '.join(f'{label} {count}' for label, count in counted.most_common())}")
    console.line(f"instruction: {imported.task.instruction}")
    console.line(f"written to {out}")
    console.result({"out": out, "manifest": imported.manifest.model_dump()})


@app.command()
def describe(folder: Annotated[Path, typer.Argument(help="A prepared task.")]) -> None:
    """Counts, labels and overlaps of a prepared task; every file is checked against the manifest."""
    from clinprompt.data.manifest import verify
    from clinprompt.stages.prepared import open_prepared

    prepared = open_prepared(folder)
    _describe(verify(prepared.folder))
    console.result({"task": prepared.task.model_dump(mode="json"), "manifest": prepared.manifest.model_dump()})


def _describe(manifest: Manifest) -> None:
    rows = [
        [
            part, record.examples, record.groups,
            ", ".join(f"{label} {count}" for label, count in sorted(record.labels.items())),
            ", ".join(f"{label} {count}" for label, count in sorted(record.relations.items())),
        ]
        for part, record in manifest.parts.items()
    ]  # fmt: skip
    console.table(["part", "examples", "groups", "labels", "relations"], rows, title=f"Task {manifest.task}")
    for overlap in manifest.overlaps:
        shared = {key: value for key, value in overlap.model_dump().items() if key not in ("first", "second") and value}
        if shared:
            said = ", ".join(f"{value} {key}" for key, value in shared.items())
            console.warn(f"{overlap.second} shares with {overlap.first}: {said}")
