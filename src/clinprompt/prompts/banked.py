"""One prompt of a bank and how it is named: ``name@version``, or ``name`` for the promoted version."""

from __future__ import annotations

import hashlib
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

    def content(self) -> bytes:
        """The bytes of the file; :class:`InputError` when it is missing, cannot be read or is another one."""
        where = str(self.path)
        try:
            content = self.path.read_bytes() if self.path.is_file() else None
        except FileNotFoundError:
            content = None
        except OSError as error:
            raise InputError(
                f"the file of {self.reference} is there and cannot be read: {error.strerror}",
                where=where,
                fix="its owner lets others read it with `chmod a+r`; on a damaged disk restore it from a copy",
            ) from None
        if content is None:
            raise InputError(f"the file of {self.reference} is missing", where=where, fix="restore it from a copy")
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise InputError(
                f"the file of {self.reference} is not the one that the manifest names",
                where=where,
                fix="do not use it; restore it from a copy, or remove the version and add the prompt again",
            )
        return content


def parsed_reference(reference: str, *, where: str = "") -> tuple[str, int | None]:
    """The name and the version number of ``name@version`` or ``name``.

    >>> parsed_reference("meds@3"), parsed_reference("meds")
    (('meds', 3), ('meds', None))
    """
    found = re.fullmatch(rf"({NAME})(?:@([1-9][0-9]{{0,8}}))?", reference)
    if found is None:
        raise InputError(f"{reference!r} names no prompt of a bank", where=where, allowed="NAME or NAME@VERSION")
    return found[1], int(found[2]) if found[2] else None
