"""A wheel, by what it says of itself."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from clinprompt.errors import InputError

_LICENCE_LENGTH = 80


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel's name, version, licence, needs and extras by its own metadata, and the machines that its name says."""

    path: Path
    name: str
    version: str
    licence: str
    needs: tuple[Requirement, ...]
    extras: tuple[str, ...]
    python: SpecifierSet
    tags: frozenset[Tag]


def read_wheel(path: Path) -> Wheel:
    """What a wheel says of itself; :class:`InputError` when it is none."""
    try:
        name, _, _, tags = parse_wheel_filename(path.name)
        with zipfile.ZipFile(path) as archive:
            [inner] = [one for one in archive.namelist() if one.endswith(".dist-info/METADATA") and one.count("/") == 1]
            told = BytesParser().parsebytes(archive.read(inner))
        needs = tuple(Requirement(text) for text in told.get_all("Requires-Dist") or ())
        python = SpecifierSet(told.get("Requires-Python") or "")
        extras = tuple(canonicalize_name(one) for one in told.get_all("Provides-Extra") or ())
        return Wheel(path, name, str(told["Version"]), _licence(told), needs, extras, python, tags)
    except (InvalidWheelFilename, zipfile.BadZipFile, ValueError, KeyError, OSError) as error:
        raise InputError(f"the wheel cannot be read ({type(error).__name__})", where=str(path)) from error


def _licence(told: Message) -> str:
    """The licence in one line: the expression, else the classifiers, else the first line of what is written."""
    if expression := told.get("License-Expression"):
        return str(expression)
    classes = [one.rpartition(" :: ")[2] for one in told.get_all("Classifier") or () if one.startswith("License ::")]
    first = next(iter(str(told.get("License") or "").strip().splitlines()), "")
    return ", ".join(classes) or (first if len(first) <= _LICENCE_LENGTH else "") or "not stated"
