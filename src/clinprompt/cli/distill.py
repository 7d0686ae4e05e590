"""``clinprompt distill``: teachers to one metaprompt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clinprompt.cli.console import console
from clinprompt.cli.options import Backbone, Config, Force, Runs, Sets, overrides


def distill(
    data: Annotated[list[Path] | None, typer.Argument(help="Prepared source tasks.")] = None,
    teachers: Annotated[
        Path | None,
        typer.Option(help="Run folder of `clinprompt teach`; none with `--set weight=0 --set start=vocabulary`."),
    ] = None,
    backbone: Backbone = None,
    config: Config = None,
    sets: Sets = None,
    runs: Runs = Path("runs"),
    force: Force = False,
) -> None:
    """Distil the teachers into one metaprompt and a factor pair per source task."""
    from clinprompt.stages.configs import DistillSettings
    from clinprompt.stages.distill import FILE
    from clinprompt.stages.distill import distill as stage
    from clinprompt.stages.overrides import load_config

    flags = overrides(sets, sources=data, teachers=teachers, backbone__path=backbone)
    settings = load_config(config, DistillSettings, flags)
    console.stage("distill", f"{len(settings.sources)} tasks, rank {settings.rank}, {settings.budget.steps} steps")
    run = stage(settings, runs=runs, progress=console.progress, force=force)
    summary = run.summary()
    console.table(["task", "loss"], list(summary["losses"].items()), title="Metaprompt (nats per answer token)")
    console.line(f"metaprompt: {run.outputs / FILE}")
    console.result({"run": run.path, "metaprompt": run.outputs / FILE, **summary})
