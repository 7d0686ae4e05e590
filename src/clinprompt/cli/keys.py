"""``clinprompt keys``: who may use a server, for which tasks and how much."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clinprompt.cli.console import console

app = typer.Typer(help="Keys of a server's clients: add, list, remove.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="Key file of `clinprompt serve --keys`.")]
Name = Annotated[str, typer.Argument(help="Name of the key, such as ward-3: it is what the audit log tells.")]


@app.callback()
def _group() -> None:
    """A key file holds hashes of keys with what each key may do; a running server sees a change at once."""


@app.command()
def add(
    file: File,
    name: Name,
    task: Annotated[
        list[str] | None, typer.Option("--task", help="A task that the key opens; repeat it.", show_default="all")
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="The key may change the bank through /v1/prompts.")] = False,
    requests: Annotated[
        int | None, typer.Option("--requests", min=1, help="Most requests in any minute.", show_default="no limit")
    ] = None,
    characters: Annotated[
        int | None,
        typer.Option("--characters", min=1, help="Most characters of notes in any minute.", show_default="no limit"),
    ] = None,
) -> None:
    """Make a key and print it, this once: the file, made when it is not there, keeps only its hash."""
    from clinprompt.serving.keys import ALL, add_key

    tasks = tuple(dict.fromkeys(task or (ALL,)))
    key = add_key(file, name, tasks=tasks, admin=admin, requests=requests, characters=characters)
    console.line(f"added {name} to {file}; the key is not shown again:")
    if not console.json:
        typer.echo(key)
    console.result({"file": file, "name": name, "key": key, "tasks": tasks, "admin": admin, "requests": requests,
                    "characters": characters})  # fmt: skip


@app.command("list")
def list_(file: File) -> None:
    """The keys of a file by name, with what they may do; never the keys themselves."""
    from clinprompt.serving.keys import read_keys

    keys = read_keys(file).keys
    columns = ("name", "tasks", "admin", "requests/min", "characters/min", "made")
    console.table(
        columns,
        [
            [name, " ".join(key.tasks), key.admin, key.requests or "-", key.characters or "-", key.made]
            for name, key in keys.items()
        ],
    )
    console.result(
        {"file": file, "keys": [{"name": name, **key.model_dump(exclude={"hash"})} for name, key in keys.items()]}
    )


@app.command()
def remove(file: File, name: Name) -> None:
    """Take a key out of the file: from its next request on its holder is refused."""
    from clinprompt.serving.keys import remove_key

    remove_key(file, name)
    console.line(f"removed {name} from {file}")
    console.result({"file": file, "removed": name})
