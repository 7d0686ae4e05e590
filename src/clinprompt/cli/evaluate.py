"""``clinprompt evaluate``: scores with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from clinprompt.cli.console import console
from clinprompt.cli.options import Backbone, Config, Decoding, Flat, Force, Grounded, Runs, Sets, overrides


def evaluate(
    data: Annotated[list[Path] | None, typer.Argument(help="Prepared tasks to score on.")] = None,
    prompt: Annotated[
        Path | None,
        typer.Option("--prompt", "-p", help="A prompt file, BANK:NAME[@VERSION], or the run folder of `clinprompt "
                     "adapt`."),
    ] = None,
    part: Annotated[str | None, typer.Option(help="dev or test.", show_default="test")] = None,
    limit: Annotated[int | None, typer.Option(help="Score only a sample of so many examples, always the same.")] = None,
    bank_key: Annotated[Path | None, typer.Option(help="Key that the bank must be signed with.")] = None,
    decoding: Decoding = None,
    grounded: Grounded = None,
    flat: Flat = None,
    likelihood: Annotated[
        bool | None,
        typer.Option("--likelihood/--no-likelihood", help="Score classes and multiple choice by the likeliest of "
                     "the possible answers as well.", show_default="likelihood"),
    ] = None,
    mistakes: Annotated[int, typer.Option(help="Show the first so many mistakes of each task, by document and "
                                          "characters.")] = 0,
    backbone: Backbone = None,
    config: Config = None,
    sets: Sets = None,
    runs: Runs = Path("runs"),
    force: Force = False,
) -> None:  # fmt: skip
    """Score prompts: every metric with its 95 % interval, and what could not be read or found in the note.

    Metrics are those of the task (`clinprompt show metrics`). Beside the predictions stand counts.json (per document),
    errors.csv (per label: correct, boundary, type, both, missed, spurious) and error-items.csv (ids and offsets).
    Encoders' relations are scored with heads that were found and, on a line of its own, with annotated ones.
    Examples longer than the backbone's context are read in windows, as in `clinprompt predict` (--set long_notes.…).
    """
    from dataclasses import asdict

    from clinprompt.evaluation.errors_table import VERDICTS
    from clinprompt.stages.adapted import cell_key
    from clinprompt.stages.configs import EvaluateSettings
    from clinprompt.stages.error_files import ERROR_ITEMS, read_error_items, read_errors
    from clinprompt.stages.evaluate import evaluate as stage
    from clinprompt.stages.overrides import load_config
    from clinprompt.stages.scores import GIVEN_HEADS, read_scores, unconstrained
    from clinprompt.tasks.formulations.unaskable import Unaskable

    flags = overrides(sets, targets=data, adapted=prompt, bank_key=bank_key, part=part, limit=limit,
                      decoding__kind=decoding, decoding__grounded=grounded, decoding__flat=flat, likelihood=likelihood,
                      backbone__path=backbone)  # fmt: skip
    settings = load_config(config, EvaluateSettings, flags)
    console.stage("evaluate", f"{len(settings.targets)} task(s), {settings.part} part")
    run = stage(settings, runs=runs, progress=console.progress, force=force)
    cells = read_scores(run.path)
    for cell in cells:
        folder = run.outputs / cell_key(cell["task"], cell["shots"], cell["draw"])
        cell["errors"] = [asdict(line) for line in read_errors(folder)]
        cell["mistakes"] = [asdict(item) for item in read_error_items(folder)[:mistakes]]
    rows = [
        [
            cell["task"], cell["method"], cell["shots"], f"{score['metric']} {how}".strip(), f"{score['value']:.1f}",
            f"{score['low']:.1f}–{score['high']:.1f}", score["n"], score["groups"],
            report["unreadable"], report["unlocated"], report["repeated"],
        ]
        for cell in cells
        for how, scores, report in (
            (cell.get("heads", ""), cell["scores"], cell["report"]),
            ("of the likeliest", cell.get("likelihood", []), cell.get("likelihood_report", {})),
            (GIVEN_HEADS, cell.get("gold_heads", []), cell.get("gold_heads_report", {})),
        )
        for score in scores
    ]  # fmt: skip
    columns = ["task", "method", "shots", "metric", "score", "95 % interval", "n", "documents"]
    columns += ["unreadable", "not found", "said before"]
    console.table(columns, rows, title="Scores in percent; intervals from a bootstrap over documents")
    judged = [cell for cell in cells if cell["errors"]]
    if judged:
        console.table(("task", "method", "shots", "label", *VERDICTS), _error_rows(judged, VERDICTS), title="Errors")
        console.line(f"every mistake by document and characters: {ERROR_ITEMS} beside the predictions")
    for cell in judged:
        if cell["mistakes"]:
            names = list(cell["mistakes"][0])
            console.table(names, [list(one.values()) for one in cell["mistakes"]], title=f"Mistakes: {cell['task']}")
    if why := unconstrained(run.path):
        console.warn(f"answers of this backbone were written freely and checked afterwards: {why}")
    for cell in cells:
        long = cell.get("long_notes", {"examples": 0})
        if long["examples"]:
            console.line(
                f"{cell['task']}: {long['examples']} examples in {long['windows']} windows "
                f"({', '.join(long['strategies'])}), {long['truncated']} characters left out; no window held "
                f"{long['spans_across']} gold spans and {long['relations_across']} gold relations"
            )
        if (counts := cell.get("unaskable")) and (found := Unaskable(**counts)).total:
            console.line(f"{cell['task']}: {found}")
    console.line(f"predictions: {run.outputs}")
    console.result({"run": run.path, "cells": cells})


def _error_rows(cells: Sequence[dict[str, Any]], verdicts: Sequence[str]) -> list[list[Any]]:
    """A row per label of a single cell; of several cells a row each, summed over labels."""
    rows = []
    for cell in cells:
        head = [cell["task"], cell["method"], cell["shots"]]
        if len(cells) == 1:
            rows += [[*head, line["label"], *(line[verdict] for verdict in verdicts)] for line in cell["errors"]]
        else:
            rows.append([*head, "all", *(sum(line[verdict] for line in cell["errors"]) for verdict in verdicts)])
    return rows
