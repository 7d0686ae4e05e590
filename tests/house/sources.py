"""The files that the house rules are about."""

from __future__ import annotations

import ast
import functools
import importlib
import pkgutil
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import clinprompt

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "src" / "clinprompt"


@functools.cache
def tracked() -> tuple[Path, ...]:
    """The files of the repository that git tracks or would track; all of them when there is no git."""
    if shutil.which("git") and (REPOSITORY / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
        files = [REPOSITORY / name for name in listed.split("\0") if name]
    else:
        skipped = {".venv", ".git", "__pycache__", "runs", "build", "dist"}
        files = [path for path in REPOSITORY.rglob("*") if not skipped & set(path.relative_to(REPOSITORY).parts)]
    return tuple(sorted(path for path in files if path.is_file()))


def python_files() -> list[Path]:
    """All Python files of the repository."""
    return [path for path in tracked() if path.suffix == ".py"]


def package_files() -> list[Path]:
    """The Python files of the package."""
    return [path for path in python_files() if path.is_relative_to(PACKAGE)]


def text_of(path: Path) -> str | None:
    """The text of a file, ``None`` when it is not text."""
    content = path.read_bytes()
    if b"\0" in content:
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name_of(path: Path) -> str:
    """The name of a file for a message: relative to the repository."""
    return path.relative_to(REPOSITORY).as_posix()


@functools.cache
def modules() -> tuple[ModuleType, ...]:
    """Every module of the package, imported."""
    names = [found.name for found in pkgutil.walk_packages(clinprompt.__path__, prefix="clinprompt.")]
    return tuple(importlib.import_module(name) for name in names if not name.endswith(".__main__"))
