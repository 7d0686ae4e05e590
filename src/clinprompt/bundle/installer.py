"""``install.pyz``: a program in the bundle that verifies and installs it where only Python is there."""

from __future__ import annotations

import argparse
import io
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from clinprompt.bundle.install import install_bundle
from clinprompt.bundle.verify import verify_bundle
from clinprompt.errors import InputError
from clinprompt.prompts.signature import read_key

PARTS = (
    "__init__.py", "errors.py", "data/__init__.py", "data/atomic.py", "prompts/__init__.py", "prompts/signature.py",
    "bundle/__init__.py", "bundle/target.py", "bundle/manifest.py", "bundle/source.py", "bundle/verify.py",
    "bundle/install.py", "bundle/installer.py",
)  # fmt: skip
"""The modules of the package that it is made of; they need Python's own library only."""

_MAIN = """\
import sys
if sys.version_info < (3, 11):
    sys.exit("error: clinprompt needs Python 3.11 or newer; start this program with it: python3.11 install.pyz ...")
from clinprompt.bundle.installer import main
sys.exit(main())
"""


def installer() -> bytes:
    """The program, as the bytes of a zip file that Python runs; the same for the same sources."""
    package = Path(__file__).parents[1]
    parts = {f"clinprompt/{name}": (package / name).read_bytes() for name in PARTS}
    return zipped({"__main__.py": _MAIN.encode(), **parts})


def zipped(contents: dict[str, bytes], *, compressed: bool = True) -> bytes:
    """A zip file of these contents that does not depend on the time or on whose files they are."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in contents.items():
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.external_attr = 0o644 << 16
            member.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
            archive.writestr(member, content)
    return held.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of ``install.pyz``: exit code 0, or 2 with one paragraph."""
    parser = argparse.ArgumentParser(prog="install.pyz", description="Verify and install a bundle of clinprompt.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("verify", "install"):
        command = commands.add_parser(name)
        command.add_argument("bundle", type=Path, help="tar file or folder of the bundle")
        command.add_argument("--key", type=Path, help="key file that the bundle must be signed with")
        if name == "install":
            command.add_argument("--into", type=Path, required=True, help="new folder")
            command.add_argument("--system", action="store_true", help="also use the packages of this Python")
    given = parser.parse_args(arguments)
    try:
        key = read_key(given.key) if given.key else None
        if given.command == "verify":
            checked = verify_bundle(given.bundle, key=key)
            _say(f"{len(checked.manifest.files)} files, {checked.bytes:,} bytes: all as the manifest says")
        else:
            done = install_bundle(given.bundle, given.into, key=key, system=given.system, say=_say)
            _say(f"installed: {done.program or done.into}")
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
