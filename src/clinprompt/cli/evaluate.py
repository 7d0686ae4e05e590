"""``clinprompt evaluate``: scores with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clinprompt.cli.console import console
from clinprompt.cli.options import Backbone, Config, Decoding, Force, Runs, Sets, overrides


def evaluate(
    data: Annotated[list[Path] | None, typer.Argument(help="Prepared tasks to score on.")] = None,
    prompt: Annotated[
        Path | None, typer.Option("--prompt", "-p", help="A prompt file, or the run folder of `clinprompt adapt`.")
    ] = None,
    part: Annotated[str | None, typer.Option(help="dev or test.", show_default="test")] = None,
    limit: Annotated[int | None, typer.Option(help="Score only the first so many examples.")] = None,
    decoding: Decoding = None,
    backbone: Backbone = None,
    config: Config = None,
    sets: Sets = None,
    runs: Runs = Path("runs"),
    force: Force = False,
) -> None:
    """Score prompts: every metric with its 95 % interval, and what could not be read or found in the note.

    Examples longer than the backbone's context are read in windows, as in `clinprompt predict` (--set long_notes.…).
    """
    from clinprompt.stages.configs import EvaluateSettings
    from clinprompt.stages.evaluate import evaluate as stage
    from clinprompt.stages.evaluate import read_scores
    from clinprompt.stages.overrides import load_config

    flags = overrides(sets, targets=data, adapted=prompt, part=part, limit=limit,
                      decoding__kind=decoding, backbone__path=backbone)  # fmt: skip
    settings = load_config(config, EvaluateSettings, flags)
    console.stage("evaluate", f"{len(settings.targets)} task(s), {settings.part} part")
    run = stage(settings, runs=runs, progress=console.progress, force=force)
    cells = read_scores(run.path)
    rows = [
        [
            cell["task"], cell["method"], cell["shots"], score["metric"], f"{score['value']:.1f}",
            f"{score['low']:.1f}–{score['high']:.1f}", score["n"], score["groups"],
            cell["report"]["unreadable"], cell["report"]["unlocated"],
        ]
        for cell in cells
        for score in cell["scores"]
    ]  # fmt: skip
    columns = ["task", "method", "shots", "metric", "score", "95 % interval", "n", "documents"]
    columns += ["unreadable", "not found"]
    console.table(columns, rows, title="Scores in percent; intervals from a bootstrap over documents")
    for cell in cells:
        long = cell.get("long_notes", {"examples": 0})
        if long["examples"]:
            console.line(
                f"{cell['task']}: {long['examples']} examples in {long['windows']} windows "
                f"({', '.join(long['strategies'])}), {long['truncated']} characters left out; no window held "
                f"{long['spans_across']} gold spans and {long['relations_across']} gold relations"
            )
    console.line(f"predictions: {run.outputs}")
    console.result({"run": run.path, "cells": cells})
