"""Options of commands that work through very many notes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PANEL = "Very many notes"

Shard = Annotated[int, typer.Option(help="Notes that are worked on, and kept, together.", rich_help_panel=PANEL)]
ShardOf = Annotated[
    str,
    typer.Option(
        help="Work on a share of the shards only, such as 3/8 in the third job of a SLURM array of 8.",
        rich_help_panel=PANEL,
        show_default="all",
    ),
]
Processes = Annotated[
    int, typer.Option(help="Processes side by side, each with the backbone (or actors of Ray).", rich_help_panel=PANEL)
]
Executor = Annotated[str, typer.Option(help="local, or ray: a Ray cluster (extra `cluster`).", rich_help_panel=PANEL)]
Server = Annotated[
    str | None,
    typer.Option(help="Address of a running clinprompt server that shall answer.", rich_help_panel=PANEL),
]
ServerKey = Annotated[
    Path | None,
    typer.Option(help="File with the server's key.", show_default="the variable CLINPROMPT_KEY", rich_help_panel=PANEL),
]
AtOnce = Annotated[
    int | None,
    typer.Option(help="Requests to the server on their way together.", show_default="8", rich_help_panel=PANEL),
]
StopOnFailure = Annotated[
    bool | None,
    typer.Option(
        "--stop-on-failure/--go-on",
        help="Stop at the first note that cannot be read or answered, or put such notes aside in failed.jsonl.",
        show_default="go on; stop where all notes are one shard",
        rich_help_panel=PANEL,
    ),
]
MostFailed = Annotated[
    int | None,
    typer.Option(help="Stop when more notes than that fail.", show_default="1000", rich_help_panel=PANEL),
]
RetryFailed = Annotated[
    bool,
    typer.Option("--retry-failed", help="Try the failed notes of an earlier run again.", rich_help_panel=PANEL),
]
