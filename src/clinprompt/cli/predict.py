"""``clinprompt predict``: notes in, exact spans and answers out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clinprompt.cli.console import console
from clinprompt.cli.options import Backbone, Decoding, Grounded


def predict(
    notes: Annotated[Path, typer.Argument(help="Folder (or file) of notes.")],
    prompt: Annotated[list[Path], typer.Option("--prompt", "-p", help="A prompt file; repeat for several tasks.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder (brat) or file to write; must not exist.")],
    to: Annotated[str, typer.Option(help="Format to write; see `clinprompt show writers`.")] = "brat",
    to_option: Annotated[list[str] | None, typer.Option(help="Option of the format, such as unit=utf16.")] = None,
    reader: Annotated[str, typer.Option(help="How the notes are read; see `clinprompt show readers`.")] = "plain",
    option: Annotated[list[str] | None, typer.Option(help="Option of the reader, such as note=report_text.")] = None,
    window: Annotated[int | None, typer.Option(help="Longest stretch of a note read at once, in characters.",
                                               show_default="the task's")] = None,
    answer_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.")] = 192,
    decoding: Decoding = None,
    grounded: Grounded = None,
    backbone: Backbone = None,
) -> None:  # fmt: skip
    """Read notes with one prompt or several: every returned span is in the note at the offsets given."""
    from clinprompt.cli.options import overrides
    from clinprompt.stages.configs import PredictSettings
    from clinprompt.stages.overrides import load_config
    from clinprompt.stages.predict import predict as stage
    from clinprompt.stages.predict import report_record

    flags = overrides(
        [*(f"reader_options.{given}" for given in option or []),
         *(f"writer_options.{given}" for given in to_option or [])],
        notes=notes, prompts=prompt, out=out, writer=to, reader=reader, window=window,
        answer_tokens=answer_tokens, decoding__kind=decoding, decoding__grounded=grounded, backbone__path=backbone,
    )  # fmt: skip
    settings = load_config(None, PredictSettings, flags)
    console.stage("predict", f"{len(settings.prompts)} task(s) on {settings.notes}")
    report = stage(settings, progress=console.progress)
    found = report.decoding
    counts = ("notes", "windows", "characters", "spans", "relations", "attributes", "answers")
    console.table(list(counts), [[getattr(report, name) for name in counts]], title="Read and written")
    console.line(
        f"of {found.items} items in the answers: {found.unreadable} could not be read, {found.unlocated} are not in "
        f"the note (left out), {found.ambiguous} stand in several places; {found.truncated} answers were cut"
    )
    if report.unconstrained:
        console.warn(f"answers of this backbone were written freely and checked afterwards: {report.unconstrained}")
    if report.lost:
        console.warn(f"{to} cannot hold: {', '.join(f'{kind} {count}' for kind, count in report.lost.items())}")
    console.line(f"written to {settings.out}")
    console.result({"out": settings.out, **report_record(report)})
