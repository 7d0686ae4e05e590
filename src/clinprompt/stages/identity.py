"""What makes two runs the same run: the content of their inputs, never names, places or times."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any

from pydantic import BaseModel

from clinprompt.errors import InputError

ID_LENGTH = 12
"""Hex digits of a run's id: 48 bits, so a collision among a million runs has a chance of about 0.2 %."""

_ALWAYS = ("apart_from", "start_from")
"""Fields that count also where they are left out of dumps: finished runs have ids that were made with them."""

SPACE = ("note_memory", "note_folder")
"""Fields that say what is kept where and change no result: who gives a run more memory finds it finished."""


@dataclass(frozen=True, slots=True)
class Content:
    """The SHA-256 of a file or of all files of a folder, with the number of files and bytes behind it."""

    kind: str
    sha256: str
    files: int
    bytes: int


def file_content(path: Path) -> Content:
    """The content of one file."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Content("file", digest, 1, path.stat().st_size)


def folder_content(path: Path) -> Content:
    """The content of a folder: the relative names and contents of its files, hidden files left out."""
    digest, files, size = hashlib.sha256(), 0, 0
    for name, file in _files(path):
        content = file_content(file)
        digest.update(f"{content.sha256}  {name}\n".encode())
        files, size = files + 1, size + content.bytes
    return Content("folder", digest.hexdigest(), files, size)


def input_content(path: Path, *, name: str) -> Content:
    """The content of the input ``name``; of a run folder, which must be finished, only the outputs count."""
    if path.is_file():
        return file_content(path)
    if not path.is_dir():
        raise InputError(f"the input {name!r} does not exist", where=str(path), fix="check the path")
    if not (path / "inputs.json").exists():
        return folder_content(path)
    if not (path / "done.json").exists():
        fix = "run the command that made it again: it resumes where it stopped"
        raise InputError(f"the input {name!r} is a run that has not finished", where=str(path), fix=fix)
    return folder_content(path / "outputs")


def run_id(
    *, stage: str, version: int, config: BaseModel, inputs: Mapping[str, Path], contents: Mapping[str, str]
) -> str:
    """A short hash over stage, version, config and the content (SHA-256 or fingerprint) of every input.

    A path in the config that is one of ``inputs`` counts by its content: a moved corpus keeps its id.
    """
    named = {_resolved(path): name for name, path in inputs.items()}
    plain = _plain(config, named)
    text = json.dumps(
        {"stage": stage, "version": version, "config": plain, "inputs": dict(contents)},
        sort_keys=True,
        ensure_ascii=False,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def record(content: Content) -> dict[str, Any]:
    """The content as plain values for JSON."""
    return asdict(content)


def _plain(value: Any, named: Mapping[str, str]) -> Any:
    if isinstance(value, BaseModel):
        return {key: _plain(own, named) for key, own in _counted(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item, named) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(item, named) for item in value)
    if isinstance(value, (list, tuple)):
        return [_plain(item, named) for item in value]
    if isinstance(value, PurePath):
        input_name = named.get(_resolved(Path(value)))
        return {"input": input_name} if input_name else value.as_posix()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def _counted(settings: BaseModel) -> Iterator[tuple[str, Any]]:
    """The fields that count: not those that are left out of dumps, so that a new setting renames no run without it."""
    for key, field in type(settings).model_fields.items():
        own = field.default if key in SPACE else getattr(settings, key)
        if key in _ALWAYS or field.exclude_if is None or not field.exclude_if(own):
            yield key, own


def _resolved(path: Path) -> str:
    return str(path.resolve())


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    found = ((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())
    for name, path in sorted(found):
        if not any(part.startswith(".") for part in name.split("/")):
            yield name, path
