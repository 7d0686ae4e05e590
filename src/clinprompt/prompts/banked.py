"""One prompt of a bank and how it is named: ``name@version``, or ``name`` for the promoted version."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from clinprompt.errors import InputError
from clinprompt.prompts.card import PromptCard
from clinprompt.prompts.manifest import NAME


@dataclass(frozen=True, slots=True)
class Banked:
    """A version of a prompt in a bank: where it is, its hash and length in bytes, whether its bare name means it.

    ``source`` is the hash of the file that it was added from.
    """

    name: str
    version: int
    promoted: bool
    path: Path
    sha256: str
    bytes: int
    source: str
    card: PromptCard

    @property
    def reference(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"


def parsed_reference(reference: str, *, where: str = "") -> tuple[str, int | None]:
    """The name and the version number of ``name@version`` or ``name``.

    >>> parsed_reference("meds@3"), parsed_reference("meds")
    (('meds', 3), ('meds', None))
    """
    found = re.fullmatch(rf"({NAME})(?:@([1-9][0-9]{{0,8}}))?", reference)
    if found is None:
        raise InputError(f"{reference!r} names no prompt of a bank", where=where, allowed="NAME or NAME@VERSION")
    return found[1], int(found[2]) if found[2] else None
