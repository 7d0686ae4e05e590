"""``clinprompt bank``: a folder of prompts in versions; add, replace, promote, roll back, verify and sign them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinprompt.cli.console import console

if TYPE_CHECKING:
    from clinprompt.prompts.banked import Banked

app = typer.Typer(help="Keep prompts in versions: add, promote, roll back, verify, sign.", no_args_is_help=True)

Bank = Annotated[Path, typer.Argument(help="Folder of the bank.")]
Name = Annotated[str, typer.Argument(help="Name of a prompt, such as meds.")]
Reference = Annotated[str, typer.Argument(help="A version, such as meds@3, or a name for its promoted version.")]
Key = Annotated[
    Path | None, typer.Option("--key", help="Key file of a signed bank: it is checked, and changes are signed.")
]


@app.callback()
def _group() -> None:
    """A bank is a folder of prompts in versions that never change; a name means its promoted version."""


@app.command()
def add(
    bank: Bank,
    prompts: Annotated[list[Path], typer.Argument(help="Prompt files of `clinprompt adapt` or `distill`.")],
    name: Annotated[str, typer.Option(help="Name in the bank.", show_default="each prompt's own")] = "",
    key: Key = None,
) -> None:
    """Add prompt files, all or none, each as a new version; the folder is made when it is not there.

    The first version of a name is promoted, later ones wait for `promote`.
    """
    from clinprompt.errors import InputError
    from clinprompt.stages.banked import add_prompts, open_bank

    if name and len(prompts) > 1:
        raise InputError("one name for several prompts", where="--name", fix="add them one by one, or without --name")
    added = add_prompts(open_bank(bank, key=key), prompts, name=name)
    for one in added:
        console.line(f"added {one.reference}{', promoted' if one.promoted else f'; {one.name} stays as it is'}")
    console.result({"bank": bank, "added": _records(added)})


@app.command()
def replace(
    bank: Bank, name: Name, prompt: Annotated[Path, typer.Argument(help="A prompt file.")], key: Key = None
) -> None:
    """Add a prompt file as a new version of a name and promote it, in one change."""
    from clinprompt.stages.banked import open_bank, replace_prompt

    _tell(bank, "now", replace_prompt(open_bank(bank, key=key), name, prompt))


@app.command("list")
def list_(
    bank: Bank,
    name: Annotated[str | None, typer.Argument(help="Only the versions of this name.")] = None,
    key: Key = None,
) -> None:
    """The prompts of a bank with their versions; with --json their cards too. No prompt file is read."""
    from clinprompt.stages.banked import open_bank

    opened = open_bank(bank, key=key)
    wanted = opened.find(name).name if name else None
    listed = [one for one in opened.listed() if wanted in (None, one.name)]
    columns = ("prompt", "promoted", "backbone", "method", "placement", "vectors", "kB", "sha256")
    rows = [
        [one.reference, one.promoted, one.card.backbone.name, one.card.method, one.card.placement, one.card.size,
         round(one.bytes / 1000, 1), one.sha256[:12]]
        for one in listed
    ]  # fmt: skip
    console.table(columns, rows)
    hidden = {"task": {"data"}, "reference": True}
    records = [
        record | {"card": one.card.model_dump(mode="json", exclude=hidden)}
        for one, record in zip(listed, _records(listed), strict=True)
    ]
    console.result({"bank": bank, "revision": opened.manifest.revision, "signed": opened.manifest.signature is not None,
                    "prompts": records})  # fmt: skip


@app.command()
def promote(bank: Bank, prompt: Reference, key: Key = None) -> None:
    """Let a name mean this version; readers see the old one or the new one."""
    from clinprompt.stages.banked import open_bank

    _tell(bank, "now", open_bank(bank, key=key).promote(prompt))


@app.command()
def rollback(bank: Bank, name: Name, key: Key = None) -> None:
    """Let a name mean the version that was promoted before."""
    from clinprompt.stages.banked import open_bank

    _tell(bank, "again", open_bank(bank, key=key).rollback(name))


@app.command()
def remove(
    bank: Bank,
    prompt: Annotated[str, typer.Argument(help="A version, such as meds@3, or a name for all its versions.")],
    key: Key = None,
) -> None:
    """Remove a version that is not promoted, or all versions of a name; their numbers are not given again."""
    from clinprompt.stages.banked import open_bank

    gone = open_bank(bank, key=key).remove(prompt)
    console.line(f"removed {', '.join(one.reference for one in gone)}")
    console.result({"bank": bank, "removed": _records(gone)})


@app.command()
def verify(bank: Bank, key: Key = None) -> None:
    """Read every file and compare it with the manifest, and that with its signature. Exit code 2 for a difference."""
    from clinprompt.errors import InputError
    from clinprompt.stages.banked import open_bank

    opened = open_bank(bank, key=key)
    found = opened.verify()
    counted, signature = len(opened.listed()), opened.manifest.signature
    said = "not signed" if signature is None else f"signed with key {signature.key}"
    checked = "" if signature is None else ", checked" if key else ", not checked: no --key given"
    if console.json:
        console.result({"bank": bank, "prompts": counted, "signed": signature is not None, "checked": key is not None,
                        "differences": [{"kind": one.kind, "file": one.file} for one in found]})  # fmt: skip
    for one in found:
        console.line(str(one))
    console.line(f"{counted} prompts, {len(found)} differences; {said}{checked}")
    if found and not console.json:
        raise InputError(
            f"{len(found)} files of the bank are not as its manifest says",
            where=str(bank),
            fix="restore what is changed or missing from a copy, let this user read what is unreadable (`chmod a+r`), "
            "and move extra files away",
        )
    if found:
        raise typer.Exit(2)


@app.command()
def sign(bank: Bank, key: Annotated[Path, typer.Option("--key", help="Key file: 32 bytes or more.")]) -> None:
    """Verify a bank and sign it, or sign it anew with another key; from then on it is changed only with the key."""
    from clinprompt.prompts.signature import read_key
    from clinprompt.stages.banked import open_bank

    opened = open_bank(bank)
    opened.sign(read_key(key))
    signature = opened.manifest.signature
    assert signature is not None
    console.line(f"signed with key {signature.key} ({signature.algorithm})")
    console.result({"bank": bank, "signature": asdict(signature)})


def _records(prompts: Sequence[Banked]) -> list[dict[str, Any]]:
    return [
        {"name": one.name, "version": one.version, "promoted": one.promoted, "file": one.path, "sha256": one.sha256,
         "bytes": one.bytes}
        for one in prompts
    ]  # fmt: skip


def _tell(bank: Path, word: str, prompt: Banked) -> None:
    console.line(f"{prompt.name} is {word} {prompt.reference}")
    console.result({"bank": bank, "prompt": _records([prompt])[0]})
