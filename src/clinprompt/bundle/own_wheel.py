"""Our own wheel, made of the package that is running; nothing is asked of a build tool or a network."""

from __future__ import annotations

import base64
import hashlib
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

import clinprompt
from clinprompt.bundle.installer import zipped
from clinprompt.errors import InputError

_WHEEL = b"Wheel-Version: 1.0\nGenerator: clinprompt\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def own_wheel(folder: Path) -> Path:
    """Write a wheel of clinprompt itself into a folder: the same sources give the same bytes.

    Raises :class:`InputError` when the package is neither installed nor run from a checkout.
    """
    package = Path(clinprompt.__file__).parent
    info = f"clinprompt-{clinprompt.__version__}.dist-info"
    sources = sorted(path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    contents = {f"clinprompt/{path.relative_to(package).as_posix()}": path.read_bytes() for path in sources}
    root = checkout()
    contents |= {f"{info}/{name}": text for name, text in (_of_checkout(root) if root else _installed()).items()}
    contents[f"{info}/WHEEL"] = _WHEEL
    lines = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in contents.items()]
    contents[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""]).encode("utf-8")
    path = folder / f"clinprompt-{clinprompt.__version__}-py3-none-any.whl"
    # Not compressed: what a compressor makes of the same bytes changes with its version.
    path.write_bytes(zipped(contents, compressed=False))
    return path


def checkout() -> Path | None:
    """The folder of the source checkout that is running; ``None`` when the package was installed from a wheel."""
    root = Path(clinprompt.__file__).parents[2]
    return root if (root / "pyproject.toml").is_file() and (root / "src" / "clinprompt").is_dir() else None


def _installed() -> dict[str, bytes]:
    try:
        told = metadata.distribution("clinprompt")
    except metadata.PackageNotFoundError:
        raise InputError("clinprompt is not installed here", fix="install it with pip (`make setup`)") from None
    texts = {name: told.read_text(name) for name in ("METADATA", "entry_points.txt", "licenses/LICENSE")}
    return {name: text.encode("utf-8") for name, text in texts.items() if text is not None}


def _of_checkout(root: Path) -> dict[str, bytes]:
    """What a build tool would write from the project's file, which may be newer than what pip knows of it."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = {"METADATA": _metadata(project), "licenses/LICENSE": (root / "LICENSE").read_text(encoding="utf-8")}
    scripts = "".join(f"{name} = {target}\n" for name, target in project["scripts"].items())
    texts["entry_points.txt"] = f"[console_scripts]\n{scripts}"
    return {name: text.encode("utf-8") for name, text in texts.items()}


def _metadata(project: dict[str, Any]) -> str:
    lines = [
        "Metadata-Version: 2.4", f"Name: {project['name']}", f"Version: {project['version']}",
        f"Summary: {project['description']}", f"License-Expression: {project['license']}", "License-File: LICENSE",
        f"Requires-Python: {project['requires-python']}", *(f"Requires-Dist: {one}" for one in project["dependencies"]),
    ]  # fmt: skip
    for extra, needs in project["optional-dependencies"].items():
        lines.append(f"Provides-Extra: {extra}")
        for need in map(Requirement, needs):
            own, need.marker = need.marker, None
            condition = f'({own}) and extra == "{extra}"' if own else f'extra == "{extra}"'
            lines.append(f"Requires-Dist: {need} ; {condition}")
    return "\n".join(lines) + "\n"


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
