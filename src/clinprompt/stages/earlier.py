"""Finished runs that differ from a new one in their cells alone: what both have is taken over, not made again."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinprompt.errors import InputError
from clinprompt.stages.atomic import write_json
from clinprompt.stages.identity import SPACE
from clinprompt.stages.run_folder import RunFolder
from clinprompt.stages.yaml_text import parse, read_text

TAKEN = "taken.json"
"""In a run's folder, which of its cells are from which other run."""
DAMAGED = (OSError, ValueError, TypeError, KeyError, InputError)
"""What reading a run may raise that is not whole, or is set aside by --force meanwhile: nothing is taken from it."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A finished run and the tasks whose data is the same for it and for the new one."""

    path: Path
    tasks: frozenset[str]

    @property
    def outputs(self) -> Path:
        """Where its cells are."""
        return self.path / "outputs"

    def input(self, name: str) -> Path:
        """Where one of its inputs lay, which may be gone."""
        return self.path.parent.parent / _entries(self.path)["inputs"][name]["path"]


def earlier_runs(
    run: RunFolder,
    *,
    cells: Collection[str],
    tasks: Collection[str],
    wanted: Callable[[Mapping[str, Any]], bool] = lambda inputs: True,
) -> Iterator[Earlier]:
    """Finished runs of the same stage and version beside ``run`` whose settings and inputs are the same.

    Apart from those that say which cells there are: the settings and inputs named by ``cells``, and the inputs that
    are the data of ``tasks``, of which at least one is the same. Space (where notes are kept) does not count. Where the
    inputs of a run are not ``wanted`` it is not looked at further.
    """
    mine = _entries(run.path)
    fixed = [name for name in mine["inputs"] if name not in tasks and name not in cells]
    own = None
    for path in sorted(run.path.parent.iterdir()):
        if path.name.startswith(".") or path == run.path or not (path / "done.json").is_file():
            continue
        try:
            theirs = _entries(path)
            same = {name for name in mine["inputs"] if _same(mine, theirs, name)}
            shared = frozenset(same.intersection(tasks))
            if theirs["version"] != mine["version"] or not shared or not same.issuperset(fixed):
                continue
            if not wanted(theirs["inputs"]):  # asked before the settings, which take longer to read
                continue
            own = own or _settings(run.path, cells, fixed)
            if _settings(path, cells, fixed) == own:
                yield Earlier(path, shared)
        except DAMAGED:
            continue


def counts_by_run(run: Path) -> dict[str, int]:
    """How many cells a run has from others, by their ids."""
    return dict(Counter(entry["run"] for entry in taken_entries(run)))


def made(summary: Mapping[str, Any]) -> tuple[int, str]:
    """How many cells or teachers a run has by its summary, and which of the two they are."""
    return (int(summary["cells"]), "cells") if "cells" in summary else (len(summary["teachers"]), "teachers")


def told_taken(summary: Mapping[str, Any]) -> list[str]:
    """What a run's summary says of those that it has from runs before it, a line for each of these."""
    whole, what = made(summary)
    given = summary.get("taken", {}).items()
    return [f"{count} of {whole} {what} were trained before, in run {earlier}" for earlier, count in given]


def taken_entries(run: Path) -> list[dict[str, Any]]:
    """What :data:`TAKEN` of a run says of each cell that it has from another one; none without that file."""
    file = run / TAKEN
    return list(json.loads(file.read_text(encoding="utf-8"))["cells"]) if file.is_file() else []


def taken_once(run: RunFolder, find: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What a training run takes: what ``find`` finds before anything is trained, and the same when it is resumed.

    Of several processes the first decides, and all must call this.
    """
    file = run.path / TAKEN
    if run.writes and not file.is_file() and not run.checkpoints.exists():
        write_json(file, {"cells": find()})
    run.processes.gather(0)
    return taken_entries(run.path)


def take(source: Path, target: Path) -> bool:
    """Have the file or folder ``source`` also at ``target``, whole or not at all; false where it is gone.

    On one file system nothing is stored twice: nothing writes into a file of a finished run.
    """
    part = target.with_name(f".{target.name}.part")
    _clear(part)
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source.is_dir():
            shutil.copytree(source, part, copy_function=_linked)
        else:
            _linked(source, part)
    except (FileNotFoundError, shutil.Error):
        _clear(part)
        return False
    _clear(target)
    part.rename(target)
    return True


def same_files(one: Path, other: Path) -> bool:
    """Whether two folders have the same files, byte for byte, and at least one."""
    names = [
        sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file()) for folder in (one, other)
    ]
    return names[0] == names[1] != [] and all(
        (one / name).samefile(other / name) or filecmp.cmp(one / name, other / name, shallow=False) for name in names[0]
    )


def _clear(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)


def _linked(source: str | Path, target: str | Path) -> str | Path:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
    return target


def _entries(path: Path) -> dict[str, Any]:
    return dict(json.loads((path / "inputs.json").read_text(encoding="utf-8")))


def _same(mine: Mapping[str, Any], theirs: Mapping[str, Any], name: str) -> bool:
    other = theirs["inputs"].get(name)
    return other is not None and other["sha256"] == mine["inputs"][name]["sha256"]


def _settings(path: Path, cells: Collection[str], fixed: Collection[str]) -> dict[str, Any]:
    """The settings of a run but those of its cells and of space; for ``fixed`` inputs not where they lie."""
    settings = settings_of(path)
    return decisive(settings, apart=cells) | {name: "given" for name in fixed if settings.get(name) is not None}


def settings_of(run: Path) -> dict[str, Any]:
    """The settings that a run was asked for."""
    file = run / "config.yaml"
    return dict(parse(read_text(file), where=str(file)))


def decisive(settings: Mapping[str, Any], *, apart: Collection[str]) -> dict[str, Any]:
    """The settings but for those named, and for space."""
    backbone = {name: value for name, value in settings["backbone"].items() if name not in SPACE}
    return {name: value for name, value in settings.items() if name not in apart} | {"backbone": backbone}
