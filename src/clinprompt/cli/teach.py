"""``clinprompt teach``: one teacher prompt per source task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clinprompt.cli.console import console
from clinprompt.cli.options import Backbone, Config, Force, Runs, Sets, overrides


def teach(
    data: Annotated[list[Path] | None, typer.Argument(help="Prepared source tasks.")] = None,
    backbone: Backbone = None,
    config: Config = None,
    sets: Sets = None,
    runs: Runs = Path("runs"),
    force: Force = False,
) -> None:
    """Train one teacher prompt per source task, all side by side on the frozen backbone."""
    from clinprompt.stages.configs import TeachSettings
    from clinprompt.stages.earlier import told_taken
    from clinprompt.stages.overrides import load_config
    from clinprompt.stages.teach import teach as stage

    settings = load_config(config, TeachSettings, overrides(sets, sources=data, backbone__path=backbone))
    console.stage("teach", f"{len(settings.sources)} tasks, {settings.budget.steps} steps")
    run = stage(settings, runs=runs, progress=console.progress, force=force)
    summary = run.summary()
    rows = [
        [task, found["loss"], "–" if found["dev_loss"] is None else found["dev_loss"]]
        for task, found in summary["teachers"].items()
    ]
    console.table(["task", "loss", "dev loss"], rows, title="Teachers (nats per answer token)")
    for line in told_taken(summary):
        console.line(line)
    console.line(f"written to {run.path}")
    console.result({"run": run.path, **summary})
