"""``clinprompt import``: a prompt of peft as a prompt file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clinprompt.cli.console import console
from clinprompt.cli.options import Backbone, overrides


def import_prompt(
    folder: Annotated[Path, typer.Argument(help="Folder that peft saved: PROMPT_TUNING or MULTITASK_PROMPT_TUNING.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Prompt file to write, *.safetensors; must not exist.")],
    task: Annotated[str | None, typer.Option(help="The prompt's task: a name of `clinprompt show tasks`, or a file. "
                                             "Folders made by `clinprompt export` say it themselves.")] = None,
    task_id: Annotated[int | None, typer.Option(help="Of a multitask save: whose finished prompt to take.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Of a multitask save taken as a metaprompt: the name of a "
                                                     "task, once for each in their order.")] = None,
    template: Annotated[str | None, typer.Option(help="The words around notes that the prompt was trained with, a name "
                                                 "of `clinprompt show templates`.",
                                                 show_default="the backbone's")] = None,
    backbone: Backbone = None,
) -> None:  # fmt: skip
    """Make a prompt file with its card of what peft saved; only safetensors are opened."""
    from clinprompt.stages.import_prompt import ImportPromptSettings
    from clinprompt.stages.import_prompt import import_prompt as stage
    from clinprompt.stages.overrides import load_config

    flags = overrides(
        None, folder=folder, out=out, task=task, task_id=task_id, sources=source, backbone__path=backbone,
        backbone__template=template,
    )  # fmt: skip
    settings = load_config(None, ImportPromptSettings, flags)
    console.stage("import", str(settings.folder))
    card = stage(settings)
    console.line(f"{card.name}: {card.length} vectors, {card.method}, written to {settings.out}")
    console.result({"out": settings.out, "card": card.model_dump(mode="json")})
