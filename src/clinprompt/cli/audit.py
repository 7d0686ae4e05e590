"""``clinprompt audit``: whether the audit log of a server is as it was written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clinprompt.cli.console import console

app = typer.Typer(help="The audit log of a server: verify it, find who sent a note.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """An audit log is a chain of lines, one for each request, without a word of any note."""


File = Annotated[Path, typer.Argument(help="Log of `clinprompt serve --audit`; its finished parts are read too.")]


@app.command()
def verify(
    file: File,
    secret: Annotated[
        Path | None, typer.Option("--secret", help="Secret file of the log: the seal of every line is checked.")
    ] = None,
    anchor: Annotated[
        list[str] | None,
        typer.Option("--anchor", help="NUMBER:HASH of a line, as an earlier verify printed it; repeat it."),
    ] = None,
) -> None:
    """Compare every line with the one before it. Exit code 2 when the log was changed.

    Lines cut from the end are found only with an anchor of a line that was there: note the one that is printed in
    another place.
    """
    from clinprompt.errors import InputError
    from clinprompt.serving.audit_check import parsed_anchor, verify
    from clinprompt.serving.audit_line import audit_secret

    anchors = [parsed_anchor(text) for text in anchor or ()]
    found = verify(file, secret=audit_secret(secret) if secret else None, anchors=anchors)
    console.result({
        "file": file, "lines": found.lines, "faults": [vars(fault) for fault in found.faults],
        "anchor": None if found.end is None else str(found.end), "torn": found.torn, "unclosed": found.unclosed,
        "sealed": found.sealed,
    })  # fmt: skip
    for fault in found.faults:
        console.line(str(fault))
    if found.torn:
        console.line(f"the last line is unfinished ({found.torn} bytes): a crash, and its request was not answered")
    if found.unclosed:
        ends = ", ".join(str(number) for number in found.unclosed[-5:])
        console.line(f"not closed after line {ends}: the server was killed or runs still, or lines were cut there")
    seals = "seals checked" if found.sealed else "seals not checked: no --secret given"
    cut = "" if anchors else "; a cut end is not found without --anchor"
    console.line(f"{found.lines} lines, {len(found.faults)} faults; {seals}{cut}")
    if found.end is not None and not found.faults and not console.json:
        typer.echo(f"{found.end}")
    if found.faults and not console.json:
        raise InputError(
            f"the audit log was changed in {len(found.faults)} places",
            where=str(file),
            fix="keep the file as it is, and compare it with a copy",
        )
    if found.faults:
        raise typer.Exit(2)


@app.command()
def find(
    file: File,
    note: Annotated[Path, typer.Argument(help="Text file with the note, exactly as it was sent.")],
    secret: Annotated[Path, typer.Option("--secret", help="Secret file of the log.")],
) -> None:
    """List the requests that sent a note: when, with which key, for which tasks. The note itself is not shown."""
    from clinprompt.errors import InputError
    from clinprompt.serving.audit_check import visits
    from clinprompt.serving.audit_line import audit_secret

    try:
        text = note.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("the note cannot be read as UTF-8 text", where=str(note)) from error
    found = list(visits(file, audit_secret(secret).mark(text)))
    columns = ("line", "time", "who", "route", "status", "prompts")
    rows = [[" ".join(one[c]) if isinstance(one[c], list) else one[c] for c in columns] for one in found]
    console.table(columns, rows)
    console.result({"file": file, "found": [{column: one[column] for column in columns} for one in found]})
