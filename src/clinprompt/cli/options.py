"""Options that several commands share, and how flags become settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

FAILED = 3
"""Exit code of a command that has done all but what failed, and says where that is listed."""

Runs = Annotated[Path, typer.Option("--runs", help="Folder of all runs.")]
Force = Annotated[bool, typer.Option("--force", help="Start anew even when the same run is there.")]
Config = Annotated[Path | None, typer.Option("--config", "-c", help="YAML file of settings.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="Override one setting, such as method.budget.steps=300.")]
Backbone = Annotated[
    str | None, typer.Option("--backbone", "-b", help="`embedded`, a model folder, or a cached hub id.")
]

Decoding = Annotated[
    str | None,
    typer.Option(
        help="greedy, beams, or choices: the likeliest of the possible answers, for classes and multiple choice.",
        show_default="greedy",
    ),
]

Grounded = Annotated[
    bool | None,
    typer.Option(
        "--grounded/--free",
        help="Write answers within the task's form: words of the note, labels of the task. Free answers are only "
        "checked afterwards, and what is not in the note is left out.",
        show_default="grounded",
    ),
]

Flat = Annotated[
    bool | None,
    typer.Option(
        "--flat/--nested",
        help="Encoders: of overlapping answers to one question keep the best, for corpora that have none.",
        show_default="nested",
    ),
]

Engine = Annotated[
    str | None,
    typer.Option(
        help="local: the backbone in this process; openai: a server that holds a prompt-token checkpoint.",
        show_default="local",
    ),
]

EngineUrl = Annotated[
    str | None,
    typer.Option(help="Address of that server, up to /v1.", show_default="http://127.0.0.1:8000/v1"),
]

Checkpoint = Annotated[
    Path | None,
    typer.Option(help="Folder of the checkpoint that the server was started with; its weights need not be here."),
]

EngineModel = Annotated[
    str | None,
    typer.Option(help="What the server calls the checkpoint.", show_default="its only model, or the folder's name"),
]

EngineKey = Annotated[
    Path | None,
    typer.Option(help="File with the server's API key.", show_default="the variable CLINPROMPT_ENGINE_KEY"),
]

AllowRemote = Annotated[
    bool,
    typer.Option("--allow-remote", help="Let notes be sent to a server that is not on this machine."),
]


def overrides(sets: Sequence[str] | None, **flags: Any) -> list[str]:
    """Flags that were given, as overrides, before the user's own ``--set``: ``a__b=1`` sets ``a.b``."""
    given = [
        f"{name.replace('__', '.')}={json.dumps(_plain(value))}"
        for name, value in flags.items()
        if value not in (None, [], ())
    ]
    return [*given, *(sets or ())]


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
