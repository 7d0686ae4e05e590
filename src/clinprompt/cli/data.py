"""``clinprompt data``: import a corpus; describe, check and sample what was imported; export to other formats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clinprompt.cli.console import console
from clinprompt.cli.format_options import format_and_path, given_format, named_options, named_split
from clinprompt.cli.leakage import leakage

if TYPE_CHECKING:
    from clinprompt.data.manifest import Manifest

app = typer.Typer(help="Import a corpus; describe, check, sample and export it.", no_args_is_help=True)

app.command()(leakage)

Folder = Annotated[Path, typer.Argument(help="A prepared task.")]


@app.callback()
def _group() -> None:
    """Import a corpus; describe, check, sample and export it."""


@app.command("import")
def import_(
    source: Annotated[list[str], typer.Argument(metavar="[FORMAT] PATH", help="Folder or file of annotated notes; its "
                                                "format (`clinprompt show readers`) before it, guessed if auto or left "
                                                "out.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write the prepared task to.")],
    name: Annotated[str | None, typer.Option(help="Name of the task.", show_default="name of the folder")] = None,
    option: Annotated[list[str] | None, typer.Option(help="Option of the reader, such as note=report_text.")] = None,
    kind: Annotated[str | None, typer.Option(help="entities, relations, question-answering, inference or "
                                                  "summarisation.", show_default="what the data shows")] = None,
    task: Annotated[str | None, typer.Option(help="Task file or catalogue name whose schema must hold.")] = None,
    attribute: Annotated[list[str] | None, typer.Option(help="Attribute of the entities to ask for too; repeat. With "
                                                             "--kind question-answering: of marked mentions.")] = None,
    instruction: Annotated[str, typer.Option(help="The task in words.", show_default="made from the labels")] = "",
    window: Annotated[int, typer.Option(min=40, help="Longest stretch of a note in one example, in characters.")] = 600,
    group: Annotated[str, typer.Option(help="Regular expression that finds the patient in a note's name (brat, plain).",
                                       show_default="each note its own")] = "",
    split: Annotated[list[str] | None, typer.Option(help="Shares of the patients or documents, and the seed of the "
                                                    "division; or the parts below PATH, train=PATH,test=PATH.",
                                                    show_default="dev=0.15,test=0.25,seed=13")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder.")] = False,
) -> None:  # fmt: skip
    """Read annotated notes, check every offset, divide by patient, write a prepared task."""
    from clinprompt.errors import InputError
    from clinprompt.registry import unknown_name
    from clinprompt.schema.example import TaskKind
    from clinprompt.stages.importing import import_data
    from clinprompt.tasks.catalog import load_task

    if task and attribute:
        raise InputError("a task file says itself which attributes it asks for", where="--attribute", fix="leave it")
    if kind is not None and kind not in set(TaskKind):
        raise unknown_name("kind of task", kind, [known.value for known in TaskKind])
    reader, path = format_and_path(source)
    parts = named_split(split) if split else {}
    found = given_format(path, reader, option or [], group, how="another format goes before the path")
    imported = import_data(
        found.path,
        out,
        name=name or out.name,
        reader=found.reader,
        kind=TaskKind(kind) if kind else None,
        task=load_task(task) if task else None,
        attributes=attribute or (),
        instruction=instruction,
        window=window,
        **parts,
        overwrite=overwrite,
        options=dict(found.options),
    )
    report = imported.report
    _describe(imported.manifest)
    for what, counted in (
        ("not asked for by the task", report.outside),
        ("spans cut by a window", report.cut_spans),
        ("relations cut by a window", report.cut_relations),
        ("attributes not asked for (--attribute)", imported.unasked),
    ):
        if counted:
            console.warn(f"{what}: {', '.join(f'{label} {count}' for label, count in counted.most_common())}")
    console.line(f"instruction: {imported.task.instruction}")
    console.line(f"written to {out}")
    console.result({"out": out, "manifest": imported.manifest.model_dump()})


@app.command()
def export(
    source: Annotated[Path, typer.Argument(help="Annotated notes, predictions, or a prepared task.")],
    to: Annotated[str, typer.Option("--format", "-f", help="Format to write; see `clinprompt show writers`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder (brat) or file to write.")],
    to_option: Annotated[list[str] | None, typer.Option(help="Option of the format, such as unit=utf16.")] = None,
    reader: Annotated[str, typer.Option(help="Format (`clinprompt show readers`); auto guesses it.")] = "auto",
    option: Annotated[list[str] | None, typer.Option(help="Option of the reader, such as note=report_text.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Annotated notes into another format; what it cannot hold is counted in NAME.loss.json beside the output."""
    from clinprompt.stages.exporting import export as stage
    from clinprompt.stages.exporting import is_prepared

    found = None if reader == "auto" and is_prepared(source) else given_format(source, reader, option or [], "")
    done = stage(
        found.path if found else source, out, reader=found.reader if found else None,
        reader_options=dict(found.options) if found else {}, writer=to,
        writer_options=named_options(to_option or [], "--to-option"), overwrite=overwrite,
    )  # fmt: skip
    counts = {name: getattr(done, name) for name in ("documents", "spans", "relations", "answers")}
    console.table(list(counts), [list(counts.values())])
    if done.lost:
        console.warn(f"{to} cannot hold: {', '.join(f'{kind} {count}' for kind, count in done.lost.items())}")
    console.line(f"written to {out}, the report to {done.report}")
    console.result({"out": out, "report": done.report, "read": counts, "lost": done.lost})


@app.command()
def sections(
    source: Annotated[Path, typer.Argument(help="Folder or file of notes.")],
    rules: Annotated[Path | None, typer.Option("--sections", help="YAML file of headings, added to our own.")] = None,
    reader: Annotated[
        str, typer.Option(help="Format (`clinprompt show readers`).", show_default="guessed; text files are plain")
    ] = "auto",
    option: Annotated[list[str] | None, typer.Option(help="Option of the reader, such as note=report_text.")] = None,
) -> None:
    """How often each section is found in notes, and how much of them it covers; never their text."""
    from clinprompt.stages.describing import section_counts

    read = given_format(source, reader, option or [], answers=False)
    found = section_counts(read.path, rules=rules, reader=read.reader, options=read.options)
    rows = [[one.id, one.notes, one.sections, one.characters, f"{one.share:.1%}"] for one in found]
    console.table(["section", "notes", "times", "characters", "share"], rows)
    console.result({"sections": [{"id": one.id, "notes": one.notes, "times": one.sections,
                                  "characters": one.characters} for one in found]})  # fmt: skip


@app.command()
def describe(
    folder: Folder,
    backbone: Annotated[
        str | None, typer.Option("--backbone", "-b", help="Count lengths in its tokens.", show_default="in characters")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Write a picture: .png, .svg or .pdf.")] = None,
) -> None:
    """Counts, labels, attributes, lengths, repeats and overlaps of a prepared task, whose files must be as imported."""
    from clinprompt.data.manifest import verify
    from clinprompt.data.profile import OTHERS, quantiles
    from clinprompt.stages.describing import profiles
    from clinprompt.stages.prepared import open_prepared

    prepared = open_prepared(folder)
    _describe(verify(prepared.folder))
    found = profiles(prepared, backbone=backbone or "")
    unit = "tokens" if backbone else "characters"
    rows = [
        [part, what, *(quantiles(lengths) or ["–"] * 4)]
        for part, record in found.items()
        for what, lengths in (("note", record.notes), ("answer", record.answers))
        if lengths
    ]
    console.table(["part", unit, "shortest", "median", "95 %", "longest"], rows)
    rows = [
        [part, record.repeated, record.empty, "–" if record.imbalance is None else f"1:{record.imbalance:.1f}"]
        for part, record in found.items()
    ]
    console.table(["part", "repeated inputs", "empty notes", "rarest to commonest label"], rows)
    rows = [
        [part, label, name, ", ".join(f"{value} {count}" for value, count in values.items())]
        for part, record in found.items()
        for label, attributes in record.attributes.items()
        for name, values in attributes.items()
        if values.keys() != {OTHERS}
    ]
    if rows:
        console.table(["part", "label", "attribute", "values"], rows)
    if picture is not None:
        from clinprompt.study.data_picture import draw_profiles

        left_out = draw_profiles(found, picture, title=prepared.task.name, unit=unit)
        console.line(f"picture written to {picture}{f'; {left_out} rarer labels not shown' if left_out else ''}")
    console.result(
        {
            "task": prepared.task.model_dump(mode="json"),
            "manifest": prepared.manifest.model_dump(),
            "unit": unit,
            "profiles": {
                part: {
                    "notes": quantiles(record.notes), "answers": quantiles(record.answers),
                    "repeated": record.repeated, "empty": record.empty, "imbalance": record.imbalance,
                    "attributes": record.attributes,
                }
                for part, record in found.items()
            },
        }
    )  # fmt: skip


@app.command()
def check(folder: Folder) -> None:
    """Go through every example: offsets, empty texts, gold answers, repeats, overlaps. Exit code 2 for a fault."""
    from dataclasses import asdict

    from clinprompt.errors import InputError
    from clinprompt.stages.describing import check_data

    found = check_data(folder)
    faults = sum(finding.count for finding in found if finding.fault)
    console.table(
        ["", "part", "what", "count", "examples"],
        [["fault" if f.fault else "look", f.part, f.what, f.count, ", ".join(f.examples)] for f in found],
    )
    console.result({"faults": faults, "findings": [asdict(finding) for finding in found]})
    if faults:
        raise InputError(f"{faults} faults were found", where=str(folder), fix="correct the source and import it again")
    console.line("no fault found" + (f"; {len(found)} things deserve a look" if found else ""))


@app.command()
def sample(
    folder: Folder,
    shots: Annotated[int, typer.Option(min=0, help="Training examples to draw.")] = 5,
    draw: Annotated[int, typer.Option(min=0, help="Number of the draw.")] = 0,
    text: Annotated[bool, typer.Option("--text", help="Show the notes too.")] = False,
) -> None:
    """The training examples of one few-shot draw, the same ones that `clinprompt adapt` takes."""
    from collections import Counter

    from clinprompt.stages.describing import sample as drawn

    rows = []
    for example in drawn(folder, shots=shots, number=draw):
        answer = example.answer
        counts = Counter(span.label for span in answer.spans) + Counter(link.label for link in answer.relations)
        said = answer.label or ", ".join(f"{label} {count}" for label, count in sorted(counts.items()))
        said = said if answer.text is None else f"{len(answer.text)} characters"
        row = {"id": example.id, "group": example.group, "characters": len(example.note), "answer": said}
        rows.append(row | ({"note": example.note} if text else {}))
    columns = ["id", "group", "characters", "answer", *(["note"] if text else [])]
    console.table(columns, [[row[column] for column in columns] for row in rows])
    console.result({"shots": shots, "draw": draw, "examples": rows})


@app.command()
def overlap(
    tasks: Annotated[list[str], typer.Argument(help="Prepared tasks, or names of the catalogue.")],
    data_root: Annotated[Path | None, typer.Option(help="Folder of the corpora of the catalogue's tasks.")] = None,
    share: Annotated[
        float, typer.Option(min=0.05, max=1, help="A note is near when this share of it stands in notes of the other.")
    ] = 0.5,
    everything: Annotated[bool, typer.Option("--all", help="List pairs that share nothing too.")] = False,
) -> None:
    """What tasks and their parts share: patients or documents, the same notes, notes that are nearly the same."""
    from dataclasses import asdict

    from clinprompt.data.overlap import NoteIndex, compare
    from clinprompt.stages.describing import named_parts

    parts = {}
    with console.progress("read", len(tasks)) as advance:
        for name in tasks:
            parts |= {part: NoteIndex(held) for part, held in named_parts(name, data_root=data_root).items()}
            advance(1)
    found = list(compare(parts, share=share))
    shown = found if everything else [pair for pair in found if not pair.nothing]
    console.table(
        ["first", "second", "groups", "same note", "but for case and blanks", "near, of first", "near, of second"],
        [["/".join(pair.first), "/".join(pair.second), pair.groups, pair.exact, pair.normalised, pair.near_first,
          pair.near_second] for pair in shown],
    )  # fmt: skip
    console.line(f"{len(found)} pairs of parts compared, {sum(not pair.nothing for pair in found)} share something")
    console.result({"share": share, "pairs": [asdict(pair) for pair in shown]})


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
