"""What a bank says it holds: each version of each prompt with its hash and card, which are promoted, a signature.

It is one file, written whole: whoever reads it sees the bank before a change or after it.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from clinprompt.data.atomic import whole_file
from clinprompt.errors import InputError
from clinprompt.prompts.card import PromptCard
from clinprompt.prompts.signature import Signature, check_signature, signed

FILE = "bank.json"
MANIFEST_FORMAT: Literal[1] = 1
ManifestState = tuple[int, int, int]
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"

_HASH = "^[0-9a-f]{64}$"
_SETTLED = 100_000_000
"""Nanoseconds after which a file that is written again cannot have the same time."""

_RESTORE = "restore the bank from a copy, or make a new one from prompt files with `clinprompt bank add`"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PromptVersion(_Strict):
    """One version: its file by SHA-256 and length in bytes, the file it was made from, when (UTC), and its card."""

    sha256: str = Field(pattern=_HASH)
    bytes: int = Field(ge=0)
    source: str = Field(pattern=_HASH)
    added: str
    card: PromptCard


class PromptName(_Strict):
    """The versions of a name by number; ``last`` is the highest ever given, ``promoted`` the history of promotions,
    of which the last one counts.
    """

    last: int = Field(ge=1)
    promoted: tuple[int, ...] = ()
    versions: dict[int, PromptVersion] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> PromptName:
        if not set(self.promoted) <= set(self.versions):
            raise ValueError("a version is promoted that is not there")
        if any(not 1 <= number <= self.last for number in self.versions):
            raise ValueError("a version has a number that was not given yet")
        if bool(self.promoted) != bool(self.versions):
            raise ValueError("versions without a promoted one")
        return self


class BankManifest(_Strict):
    """A bank's prompts by name; ``revision`` counts its changes.

    A name whose versions were all removed stays, so that no version number is ever given twice. The signature is of
    all the rest.
    """

    format: Literal[1] = MANIFEST_FORMAT
    revision: int = Field(0, ge=0)
    prompts: dict[Annotated[str, Field(pattern=f"^{NAME}$")], PromptName] = Field(default_factory=dict)
    signature: Signature | None = None

    @model_validator(mode="after")
    def _named(self) -> BankManifest:
        for name, entry in self.prompts.items():
            for number, version in entry.versions.items():
                if (version.card.name, version.card.version) != (name, number):
                    raise ValueError("a card has another name or version than its prompt")
        return self

    def added(self, name: str, version: PromptVersion, *, promote: bool) -> BankManifest:
        """With one more version of a name, numbered as its card is; the first of a name is always promoted."""
        number = version.card.version
        entry = self.prompts.get(name) or PromptName(last=number)
        promoted = (*entry.promoted, number) if promote or not entry.promoted else entry.promoted
        return self._with(name, number, promoted, entry.versions | {number: version})

    def promoted(self, name: str, number: int) -> BankManifest:
        """With this version standing for the bare name."""
        entry = self.prompts[name]
        history = entry.promoted if entry.promoted[-1] == number else (*entry.promoted, number)
        return self._with(name, entry.last, history, entry.versions)

    def rolled_back(self, name: str) -> BankManifest:
        """With the version promoted before standing for the bare name; :class:`InputError` when there is none."""
        entry = self.prompts[name]
        if len(entry.promoted) < 2:
            raise InputError(
                f"before {name}@{entry.promoted[-1]} no version that is still there was promoted",
                allowed=", ".join(f"{name}@{number}" for number in entry.versions),
                fix="name the version to use with `clinprompt bank promote`",
            )
        return self._with(name, entry.last, entry.promoted[:-1], entry.versions)

    def without(self, name: str, number: int | None) -> BankManifest:
        """Without this version, or, with ``None``, without any of the name.

        Raises :class:`InputError` for the promoted one when the name has others.
        """
        entry = self.prompts[name]
        if number is None or list(entry.versions) == [number]:
            return self._with(name, entry.last, (), {})
        if number == entry.promoted[-1]:
            raise InputError(
                f"{name}@{number} is the promoted version of {name}",
                fix="promote another one first, or remove all versions by the name alone",
            )
        kept = [earlier for earlier in entry.promoted if earlier != number]
        history = tuple(one for one, before in zip(kept, [None, *kept], strict=False) if one != before)
        versions = {held: version for held, version in entry.versions.items() if held != number}
        return self._with(name, entry.last, history, versions)

    def _with(
        self, name: str, last: int, promoted: tuple[int, ...], versions: dict[int, PromptVersion]
    ) -> BankManifest:
        entry = PromptName(last=max((last, *versions)), promoted=promoted, versions=versions)
        return self.model_copy(update={"prompts": self.prompts | {name: entry}})


def manifest_content(folder: Path) -> bytes:
    """The bytes of a bank's manifest; :class:`InputError` when the folder is no bank."""
    try:
        return (folder / FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"there is no bank here: no {FILE}", where=str(folder), fix="make one with `clinprompt bank add`"
        ) from None
    except OSError as error:
        raise InputError(f"the bank cannot be read: {error.strerror}", where=str(folder / FILE)) from None


def manifest_state(folder: Path) -> ManifestState | None:
    """What two different manifests of a bank differ in; ``None`` where that is not sure."""
    try:
        found = (folder / FILE).stat()
    except OSError:
        return None
    if time.time_ns() - found.st_mtime_ns < _SETTLED:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def read_manifest(content: bytes, *, key: bytes | None, where: str) -> BankManifest:
    """The manifest in these bytes; with a ``key`` its signature is checked.

    Raises :class:`InputError` when the manifest is damaged or of another format, or the signature missing or wrong.
    """
    try:
        if key is not None:
            content = _checked(content, key, where)
        return BankManifest.model_validate_json(content)
    except (ValueError, RecursionError) as error:  # a validation error is a ValueError
        raise _damaged(error, where) from None


def write_manifest(folder: Path, manifest: BankManifest, *, key: bytes | None) -> None:
    """Write the manifest whole, signed when there is a ``key``."""
    whole = json.loads(manifest.model_dump_json(exclude={"signature"}))
    if key is not None:
        whole["signature"] = asdict(signed(_canonical(whole), key))
    with whole_file(folder / FILE, sole=True) as part:
        part.write_bytes(_canonical(whole) + b"\n")


def _checked(content: bytes, key: bytes, where: str) -> bytes:
    """The manifest as it was signed, with its signature: what is checked is what is read."""
    whole = json.loads(content)
    if not isinstance(whole, dict):
        raise ValueError
    given = whole.pop("signature", None)
    signature = TypeAdapter(Signature | None).validate_python(given)
    check_signature(_canonical(whole), signature, key, where=where)
    return _canonical(whole | {"signature": given})


def _canonical(whole: dict[str, Any]) -> bytes:
    # In the order that it has: a task may ask for its labels in the order of a mapping.
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def _damaged(error: Exception, where: str) -> InputError:
    what = "the manifest of the bank is damaged"
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        if first["loc"] == ("format",):
            return InputError("the manifest has another format", where=where, allowed=f"format {MANIFEST_FORMAT}")
        what += f": {'.'.join(map(str, first['loc']))}: {first['msg']}"
    return InputError(what, where=where, fix=_RESTORE)
