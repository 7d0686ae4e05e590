"""``clinprompt bundle``: everything in one file for machines without a network; made, verified, installed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clinprompt.cli.console import console
from clinprompt.cli.options import Backbone

app = typer.Typer(help="Carry clinprompt to machines without a network.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="A tar file or folder of `clinprompt bundle create`.")]
Key = Annotated[Path | None, typer.Option("--key", help="Key file that the bundle must be signed with.")]


@app.callback()
def _group() -> None:
    """A bundle is one file: wheels for a named machine, a backbone, a bank, and a program that installs them."""


@app.command()
def create(
    out: Annotated[Path, typer.Argument(help="File to write when it ends in .tar, else a folder; must not exist.")],
    bank: Annotated[Path, typer.Option(help="Folder of the bank.")],
    backbone: Backbone = None,
    platform: Annotated[str | None, typer.Option(help="Platform of the wheels, such as manylinux_2_31_x86_64.",
                                                 show_default="a plain machine with this processor")] = None,
    python: Annotated[str | None, typer.Option(help="Version of Python there.", show_default="this one")] = None,
    docs: Annotated[bool, typer.Option("--docs", help="Also the documents, examples, Dockerfile and unit of systemd of "
                                       "this checkout.")] = False,
    extra: Annotated[list[str] | None, typer.Option(help="An extra of clinprompt, such as quantised; repeat.")] = None,
    no_wheels: Annotated[bool, typer.Option("--no-wheels", help="Backbone and bank only.")] = False,
    skip_wheels: Annotated[list[str] | None, typer.Option(help="A package that the machine has, such as its own build "
                                                          "of torch; repeat.")] = None,
    wheels: Annotated[Path | None, typer.Option(help="Take the wheels from this folder.",
                                                show_default="pip's index")] = None,
    constraints: Annotated[Path | None, typer.Option(help="File of versions, such as constraints.txt.",
                                                     show_default="those installed here")] = None,
    key: Annotated[Path | None, typer.Option(help="Key file to sign the bundle with: 32 bytes or more.")] = None,
    bank_key: Annotated[Path | None, typer.Option(help="Key file that the bank must be signed with.")] = None,
) -> None:  # fmt: skip
    """Write a bundle: wheels for a named machine, backbone, bank, and a manifest with the hash of every file.

    Asks pip's index, and nothing else, over the network. The same inputs give the same bytes.
    """
    from clinprompt.bundle.create import BundleSettings, create_bundle
    from clinprompt.cli.options import overrides
    from clinprompt.data.files import file_hash
    from clinprompt.stages.overrides import load_config

    flags = overrides(
        None, out=out, backbone=backbone, bank=bank, platform=platform, python=python, docs=docs or None, extras=extra,
        with_wheels=False if no_wheels else None, skip_wheels=skip_wheels, wheels=wheels, constraints=constraints,
        key=key, bank_key=bank_key,
    )  # fmt: skip
    console.stage("bundle", f"to {out}")
    manifest = create_bundle(load_config(None, BundleSettings, flags), say=console.line)
    if manifest.wheels:
        rows = [[one.name, one.version, one.licence] for one in manifest.wheels]
        console.table(["package", "version", "licence"], rows, title="Wheels")
    size = sum(one.bytes for one in manifest.files.values())
    made_for = f" for {manifest.target.platform} and Python {manifest.target.python}" if manifest.wheels else ""
    console.line(f"{len(manifest.files)} files, {size / 1e6:,.1f} MB{made_for}; prompts: {', '.join(manifest.prompts)}")
    if manifest.left_out:
        console.warn(f"the machine must have {', '.join(manifest.left_out)}")
    digest = file_hash(out) if out.is_file() else None
    if digest:
        console.line(f"SHA-256 {digest}")
    console.result({"out": out, "sha256": digest, "files": len(manifest.files), "bytes": size,
                    "platform": manifest.target.platform, "python": manifest.target.python,
                    "wheels": [{"name": one.name, "version": one.version, "licence": one.licence}
                               for one in manifest.wheels],
                    "left_out": manifest.left_out, "prompts": manifest.prompts})  # fmt: skip


@app.command()
def verify(bundle: File, key: Key = None) -> None:
    """Read every byte of a bundle and compare it with the manifest, and that with its signature. Exit code 2 if not."""
    from clinprompt.bundle.verify import verify_bundle
    from clinprompt.prompts.signature import read_key

    checked = verify_bundle(bundle, key=read_key(key) if key else None)
    manifest = checked.manifest
    signature = manifest.signature
    said = "not signed" if signature is None else f"signed with key {signature.key}"
    said += "" if signature is None else ", checked" if key else ", not checked: no --key given"
    console.line(f"{len(manifest.files)} files, {checked.bytes / 1e6:,.1f} MB, all as the manifest says; {said}")
    console.result({"bundle": bundle, "files": len(manifest.files), "bytes": checked.bytes,
                    "signed": signature is not None, "checked": key is not None, "clinprompt": manifest.clinprompt,
                    "platform": manifest.target.platform, "python": manifest.target.python,
                    "prompts": manifest.prompts})  # fmt: skip


@app.command()
def install(
    bundle: File,
    into: Annotated[Path, typer.Option(help="New folder to install into.")],
    key: Key = None,
    system: Annotated[bool, typer.Option("--system", help="Also use the packages of this Python, for what the bundle "
                                         "leaves out.")] = False,
) -> None:  # fmt: skip
    """Verify a bundle and install it into a new folder, whole or not at all; no network is asked.

    INTO/bin/clinprompt is the command, INTO/backbone and INTO/bank are what it is given. Where clinprompt is not
    installed yet, `python3.11 install.pyz install BUNDLE --into INTO` does the same; install.pyz is in the bundle.
    """
    from clinprompt.bundle.install import install_bundle
    from clinprompt.prompts.signature import read_key

    console.stage("bundle", f"into {into}")
    done = install_bundle(bundle, into, key=read_key(key) if key else None, system=system, say=console.line)
    console.line(f"installed {done.program or into}; prompts: {', '.join(done.manifest.prompts)}")
    console.result({"into": into, "program": done.program, "backbone": into / "backbone", "bank": into / "bank",
                    "prompts": done.manifest.prompts})  # fmt: skip
