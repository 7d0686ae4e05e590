"""Data that a task names and that is not there: what it is, where to get it and where it should lie."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from clinprompt.errors import InputError
from clinprompt.tasks.catalog import load_task, prepared_folder
from clinprompt.tasks.task import DataSource


def part_path(data: DataSource, options: dict[str, Any], data_root: Path | None) -> Path | None:
    """Where the files of a part lie; ``None`` for data without files."""
    given = options.get("path", data.options.get("path"))
    if given is None and not data.root:
        return None
    return (data_root or Path()) / data.root / (given or "")


def absent_data(data: DataSource, *, data_root: Path | None = None) -> InputError | None:
    """One paragraph on the first file or folder that is not there, ``None`` when all are."""
    for options in data.parts.values():
        path = part_path(data, options, data_root)
        if path is None or path.exists():
            continue
        if data.apply:
            what = "the data of this task are given on application only, and are not here"
        elif data.obtain:
            what = "the data of this task are not here"
        else:
            what = "the file or folder is not there"
        return InputError(what, where=str(path), fix=data.apply or data.obtain or "check the path and the data root")
    return None


def absent_of(names: Iterable[str], *, data_root: Path | None = None) -> dict[str, InputError]:
    """By name of a task what of its data is not there; a prepared folder holds its own."""
    found = {}
    for name in names:
        data = load_task(name).data
        if data is not None and prepared_folder(name) is None and (fault := absent_data(data, data_root=data_root)):
            found[name] = fault
    return found
