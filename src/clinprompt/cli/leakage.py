"""``clinprompt data leakage``: which scored examples stand in what was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clinprompt.cli.console import console
from clinprompt.cli.format_options import given_format
from clinprompt.cli.options import Runs, Sets, overrides


def leakage(
    targets: Annotated[list[Path], typer.Argument(help="Prepared tasks whose test parts are scored.")],
    source: Annotated[list[Path] | None, typer.Option(help="Prepared task that was trained on; repeat.")] = None,
    pretraining: Annotated[Path | None, typer.Option(help="The backbone's pretraining text.")] = None,
    reader: Annotated[
        str,
        typer.Option(
            help="Format of that text (`clinprompt show readers`).", show_default="guessed; text files are plain"
        ),
    ] = "auto",
    option: Annotated[list[str] | None, typer.Option(help="Option of the reader, such as note=report_text.")] = None,
    backbone: Annotated[
        str | None,
        typer.Option("--backbone", "-b", help="Backbone that carries a record of its text, such as embedded."),
    ] = None,
    part: Annotated[str | None, typer.Option(help="The part that is scored: dev or test.", show_default="test")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for leakage.csv and leakage.json, with the ids.")
    ] = None,
    sets: Sets = None,
    runs: Runs = Path("runs"),
) -> None:
    """Which examples of the targets' test parts were seen in training: the notes, parts of them, the patients.

    Compared are each target's own train and dev parts, those of every --source, and the pretraining text; of the
    embedded backbone the first 10,000 notes (--set check.notes=null: all).
    """
    from dataclasses import asdict

    from clinprompt.stages.configs import LeakageSettings
    from clinprompt.stages.leakage import leakage as stage
    from clinprompt.stages.leakage import read_leakage, write_leakage
    from clinprompt.stages.overrides import load_config

    read = given_format(pretraining, reader, option or [], answers=False) if pretraining else None
    flags = overrides(sets, targets=targets, sources=source, part=part, backbone=backbone,
                      check__pretraining=read and read.path, check__reader=read and read.reader,
                      check__reader_options=read and dict(read.options))  # fmt: skip
    settings = load_config(None, LeakageSettings, flags)
    lines = read_leakage(stage(settings, runs=runs, progress=console.progress).outputs)
    console.table(
        ["target", "seen in", "examples", "of", "same note", "but for case and blanks", "half of it", "similar",
         "same patient"],
        [[line.target, f"{line.role}: {line.seen}", line.leaked, line.n, line.exact, line.normalised, line.near,
          line.similar, line.groups] for line in lines],
    )  # fmt: skip
    if out is not None:
        write_leakage(out, lines)
        console.line(f"written to {out}")
    console.result({"lines": [asdict(line) for line in lines]})
