"""A bundle becomes a folder that runs: a virtual environment, backbone, bank, documents; no network is asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clinprompt.bundle.manifest import FILE, INSTALLER, BundleManifest
from clinprompt.bundle.verify import Checked, copied, verify_bundle
from clinprompt.data.atomic import whole_folder
from clinprompt.errors import InputError

PROGRAM = """\
#!/bin/sh
# Looks for its own folder, so that the folder may be moved. Nothing is imported from elsewhere: not from where it is
# called (-P), nor from what another program left in the environment.
unset PYTHONPATH PYTHONHOME
here=$(CDPATH= cd -- "$(dirname -- "$(readlink -f -- "$0")")/.." && pwd) || exit 1
exec "$here/venv/bin/python" -P -m clinprompt "$@"
"""
_ROOM = 3.5
"""Bytes on disk for each byte of wheels: they are unpacked, and Python keeps its compiled form beside them."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A folder with a bundle in it: ``program`` is its command ``clinprompt``, where the bundle brought one."""

    into: Path
    manifest: BundleManifest
    program: Path | None


def install_bundle(
    bundle: Path, into: Path, *, key: bytes | None = None, system: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Installed:  # fmt: skip
    """Verify a bundle and install it into a new folder with this Python, whole or not at all.

    ``key`` is that of the signature; with ``system`` the environment also sees the packages of this Python, for those
    that the bundle leaves out; ``say`` hears what is being done. Raises :class:`InputError` for a bundle that does not
    verify, is for another machine or Python, lacks a package, or does not fit on the disk.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise InputError("the folder is there already", where=str(into), fix="install into a new one, then remove it")
    say("reading every file of the bundle")
    checked = verify_bundle(bundle, key=key)
    manifest = checked.manifest
    if manifest.wheels:
        manifest.target.check_here(where=str(bundle))
        if manifest.left_out and not system:
            raise InputError(
                f"the bundle was made without {', '.join(manifest.left_out)}",
                where=str(bundle),
                fix="install them for this Python, then add --system",
            )
    _check_room(checked, into)
    try:
        with whole_folder(into, many=True) as part:
            _copy(checked, part)
            if manifest.wheels:
                _environment(checked, part, into, system=system, say=say)
    except OSError as error:
        raise InputError(f"the bundle cannot be installed: {error.strerror}", where=str(into)) from error
    return Installed(into, manifest, into / "bin" / "clinprompt" if manifest.wheels else None)


def _copy(checked: Checked, part: Path) -> None:
    for name in checked.manifest.files:
        if not name.startswith("wheels/") and name != INSTALLER:
            copied(checked, name, part / name)
    (part / FILE).write_bytes(checked.manifest.content())


def _environment(
    checked: Checked, part: Path, into: Path, *, system: bool, say: Callable[[str], None]
) -> None:  # fmt: skip
    manifest, venv = checked.manifest, part / "venv"
    say(f"making an environment of Python {manifest.target.python}")
    options = ["--system-site-packages"] if system else []
    _run([sys.executable, "-m", "venv", *options, str(venv)], "Python's venv failed",
         fix="install the package that holds venv and ensurepip (python3-venv on Debian)")  # fmt: skip
    with tempfile.TemporaryDirectory(dir=part, prefix="wheels-") as folder:
        for wheel in manifest.wheels:
            copied(checked, f"wheels/{wheel.file}", Path(folder) / wheel.file)
        # Also where the machine has packages of its own (--system) those of the bundle are the ones that are used.
        pins = Path(folder) / "pins.txt"
        pins.write_text("".join(f"{one.name}=={one.version}\n" for one in manifest.wheels), encoding="utf-8")
        wanted = "clinprompt" + (f"[{','.join(manifest.extras)}]" if manifest.extras else "")
        say(f"installing {len(manifest.wheels)} wheels")
        quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir"]
        found = ["--no-index", "--find-links", folder, "--constraint", str(pins)]
        _run(
            [str(venv / "bin" / "python"), "-m", "pip", "install", *quiet, *found, wanted],
            "pip could not install the wheels",
            fix="see which package is missing; a bundle without --skip-wheels has all of them",
        )
    _moved(venv, part.resolve(), into.resolve())
    program = part / "bin" / "clinprompt"
    program.parent.mkdir()
    program.write_text(PROGRAM, encoding="utf-8")
    program.chmod(0o755)


def _moved(venv: Path, old: Path, new: Path) -> None:
    """Let the scripts of an environment name the folder that it will be in."""
    for path in [venv / "pyvenv.cfg", *(venv / "bin").iterdir()]:
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if os.fsencode(old) in content:
                path.write_bytes(content.replace(os.fsencode(old), os.fsencode(new)))


def _run(command: list[str], what: str, *, fix: str) -> None:
    """Run a command that must not ask any network, whatever pip is configured to."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    environment = kept | {"PIP_CONFIG_FILE": os.devnull, "LC_ALL": "C.UTF-8"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if ended.returncode:
        lines = [line for line in (ended.stdout + ended.stderr).splitlines() if line.strip()]
        raise InputError(f"{what}: {' '.join(lines[-3:])[:600]}", fix=fix)


def _check_room(checked: Checked, into: Path) -> None:
    wheels = sum(one.bytes for name, one in checked.manifest.files.items() if name.startswith("wheels/"))
    needed = int(checked.bytes + wheels * _ROOM)
    there = next(folder for folder in (into, *into.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise InputError(
            f"the bundle needs about {needed / 2**30:.1f} GiB on disk, and {free / 2**30:.1f} GiB are free",
            where=str(there),
            fix="free some space or install elsewhere",
        )
