"""Keys of clients: a file of salted hashes with scopes and quotas, and who it is that shows a key."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clinprompt.data.lock import Lock
from clinprompt.errors import InputError
from clinprompt.prompts.manifest import NAME
from clinprompt.registry import unknown_name
from clinprompt.serving.private_file import FileState, file_state, read_private, unwritable, write_private
from clinprompt.serving.refused import Refused

ALL = "*"
"""The scope of a key that may use every task."""

PREFIX = "cp-"
"""What every key begins with, so that people and scanners of secrets know one when they see it."""

_WAIT = 10.0
"""Seconds that a writer of the file waits for another one."""

Hex = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=f"^{NAME}$")]
Scope = Annotated[str, Field(pattern=rf"^(\*|{NAME})$")]


class KeyEntry(BaseModel):
    """One key: the hash of it, the tasks it opens (names in the bank, or ``*``), whether it may change the bank, and
    its quotas per minute (requests; characters of notes; ``None`` for no limit).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hash: Hex
    tasks: tuple[Scope, ...] = (ALL,)
    admin: bool = False
    requests: int | None = Field(None, ge=1)
    characters: int | None = Field(None, ge=1)
    made: str


class KeyFile(BaseModel):
    """All keys by name; the salt is drawn once, so that equal keys of two files have unequal hashes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    salt: Hex
    keys: dict[Name, KeyEntry] = Field(default_factory=dict)


@dataclass(frozen=True)
class Caller:
    """Who sent a request: the name of the key, the tasks it opens (``None``: all), and its quotas per minute."""

    name: str
    tasks: frozenset[str] | None = None
    admin: bool = False
    requests: int | None = None
    characters: int | None = None

    def allows(self, task: str) -> bool:
        """Whether the caller may use a task, given as ``meds`` or ``meds@3``: scopes are names, for all versions."""
        return self.tasks is None or task.partition("@")[0] in self.tasks


ANYONE = Caller("anyone", admin=True)
"""The caller of a server without keys."""

NOBODY = Caller("nobody", tasks=frozenset())
"""Who shows no key where there are keys."""


class KeyRing:
    """The keys of a file as it is now: a change of the file counts from the next request on.

    Without a file (``None``) everybody is :data:`ANYONE`. Raises :class:`InputError` when the file cannot be used.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._state: FileState | None = None
        self._file: KeyFile | None = None if path is None else read_keys(path)

    def check(self, header: str | None) -> Caller:
        """Who shows this value of the header ``Authorization``, such as ``Bearer cp-…``.

        Every key of the file is compared, whichever fits, so that the time tells nothing about which keys there are.
        Raises :class:`Refused`: 401 without a key or with an unknown one, 503 when the file can no longer be used.
        """
        file = self._current()
        if file is None:
            return ANYONE
        scheme, _, key = (header or "").strip().partition(" ")
        shown = _hash(key.strip(), file.salt)
        found: tuple[str, KeyEntry] | None = None
        for name, entry in file.keys.items():
            if hmac.compare_digest(entry.hash, shown):
                found = (name, entry)
        if not header:
            raise Refused(401, "missing_api_key", "this server needs a key: send `Authorization: Bearer KEY`")
        if found is None or scheme.lower() != "bearer":
            raise Refused(401, "invalid_api_key", "the key is not one of this server's")
        return _caller(*found)

    def _current(self) -> KeyFile | None:
        if self.path is None:
            return None
        state = file_state(self.path)
        if state is None or state != self._state or self._file is None:
            self._file = None  # a file that can no longer be used opens nothing, not even for keys that it once had
            try:
                self._file = read_keys(self.path)
            except InputError:
                raise Refused(503, "keys_unavailable", "the server cannot read its keys now", retry_after=10) from None
            self._state = state
        return self._file


def read_keys(path: Path) -> KeyFile:
    """The keys of a file; :class:`InputError` when it is not one, or when others than its owner may read it."""
    content = read_private(path, what="key file")
    try:
        return KeyFile.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"this is not a file of keys: {place or 'the file'}: {first['msg']}",
            where=str(path),
            fix="make one with `clinprompt keys add`",
        ) from None


def add_key(
    path: Path,
    name: str,
    *,
    tasks: tuple[str, ...] = (ALL,),
    admin: bool = False,
    requests: int | None = None,
    characters: int | None = None,
    clock: datetime | None = None,
) -> str:
    """Make a key of 256 random bits, put its hash into the file (made when it is not there), and return the key.

    The key itself is kept nowhere. Raises :class:`InputError` when the name is taken or something is not allowed.
    """
    key = PREFIX + secrets.token_urlsafe(32)
    with _alone(path):
        file = read_keys(path) if path.exists() else KeyFile(salt=secrets.token_hex(32))
        if name in file.keys:
            raise InputError(
                f"there is a key named {name!r}",
                where=str(path),
                fix="choose another name, or remove the old key first",
            )
        made = (clock or datetime.now(UTC)).isoformat(timespec="seconds")
        entry = {
            "hash": _hash(key, file.salt), "tasks": tasks, "admin": admin, "requests": requests,
            "characters": characters, "made": made,
        }  # fmt: skip
        try:
            changed = KeyFile.model_validate({**file.model_dump(), "keys": {**file.model_dump()["keys"], name: entry}})
        except ValidationError as error:
            raise _not_allowed(error, name) from None
        _write(path, changed)
    return key


def remove_key(path: Path, name: str) -> None:
    """Take a key out of the file; a running server refuses it from then on.

    Raises :class:`InputError` when there is no such key.
    """
    with _alone(path):
        file = read_keys(path)
        if name not in file.keys:
            raise unknown_name("key", name, list(file.keys), where=str(path))
        _write(path, file.model_copy(update={"keys": {k: entry for k, entry in file.keys.items() if k != name}}))


def _write(path: Path, file: KeyFile) -> None:
    write_private(path, (file.model_dump_json(indent=2) + "\n").encode())


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    try:
        with Lock(path.with_name(f".{path.name}.lock"), what="this key file").waited_for(_WAIT):
            yield
    except OSError as error:
        raise unwritable(path, error) from None


def _hash(key: str, salt: str) -> str:
    # A key has 256 random bits: nothing is gained by a slow hash, which is for secrets that people choose.
    return hmac.new(bytes.fromhex(salt), key.encode(errors="surrogateescape"), hashlib.sha256).hexdigest()


def _caller(name: str, entry: KeyEntry) -> Caller:
    tasks = None if ALL in entry.tasks else frozenset(entry.tasks)
    return Caller(name, tasks, entry.admin, entry.requests, entry.characters)


def _not_allowed(error: ValidationError, name: str) -> InputError:
    first = error.errors(include_input=False, include_url=False)[0]
    part = next((str(part) for part in first["loc"] if part in KeyEntry.model_fields), "name")
    allowed = {
        "tasks": "names of tasks without versions, such as meds, or *",
        "name": "letters, digits, dots, dashes and underscores, 64 at most, the first a letter or digit",
    }
    return InputError(
        f"the {part} of the key {name!r} cannot be used", allowed=allowed.get(part, "whole numbers from 1"), fix=""
    )
