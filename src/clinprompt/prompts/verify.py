"""How the files of a folder differ from those that a manifest names."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clinprompt.data.atomic import is_unfinished
from clinprompt.data.files import file_hash

_MEANING = {
    "changed": "is not the file that the manifest names",
    "missing": "is in the manifest and not in the folder",
    "unreadable": "cannot be read by this user",
    "extra": "is in the folder and not in the manifest",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One file that is not as the manifest says."""

    kind: Literal["changed", "missing", "unreadable", "extra"]
    file: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.file} {_MEANING[self.kind]}"


def differences(folder: Path, hashes: Mapping[str, str], *, apart: AbstractSet[str]) -> list[Difference]:
    """Every file by name whose SHA-256 is not the one in ``hashes`` or cannot be told, or that nothing names.

    Files ``apart`` and files that are being written are not looked at. Links are none of a bank's files.
    """
    found = []
    for name, expected in hashes.items():
        path = folder / name
        try:
            if not path.is_file():
                found.append(Difference("missing", name))
            elif path.is_symlink() or file_hash(path) != expected:
                found.append(Difference("changed", name))
        except OSError:
            found.append(Difference("unreadable", name))
    for name in sorted(path.name for path in folder.iterdir()):
        if name not in hashes and name not in apart and not is_unfinished(name):
            found.append(Difference("extra", name))
    return found
