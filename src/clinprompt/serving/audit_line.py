"""One line of an audit log: what is told of a request, chained to the line before it and sealed."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clinprompt.errors import InputError
from clinprompt.serving.private_file import read_private, write_private

START = "0" * 64
"""What stands for the hash of the line before the first one."""

_SEAL = b',"seal":"'
_FORM = re.compile(rb'\{"line":([1-9][0-9]*),"before":"([0-9a-f]{64})",.*,"seal":"([0-9a-f]{64})"\}', re.DOTALL)


@dataclass(frozen=True)
class AuditRecord:
    """What is told of one request, without a word of any note.

    ``who`` is the name of the key, ``route`` as in the server's table, ``tasks`` and ``prompts`` (``meds@3``) only
    such as the server has (a name that a client made up could be text of a note), ``notes`` the marks of
    :meth:`AuditSecret.mark`; the counts are of characters of notes, spans and relations.
    """

    who: str
    route: str
    status: int
    request: str = ""
    tasks: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    characters: int = 0
    spans: int = 0
    relations: int = 0


class AuditSecret:
    """The secret of a log: who does not have it can neither seal a line nor guess a note from its mark.

    Two keys are made from it, for marks and for seals.
    """

    def __init__(self, secret: bytes) -> None:
        self._mark = hmac.new(secret, b"clinprompt: marks of notes", hashlib.sha256).digest()
        self._seal = hmac.new(secret, b"clinprompt: seals of lines", hashlib.sha256).digest()

    def mark(self, text: str) -> str:
        """What stands for a note: HMAC-SHA-256 of its text, 128 bits; equal for equal notes under one secret."""
        return hmac.new(self._mark, text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()[:32]

    def seal(self, content: bytes) -> str:
        """The seal of a line: HMAC-SHA-256 of all that stands before the seal."""
        return hmac.new(self._seal, content, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class ChainedLine:
    """A line as it stands in the file, without its line break: its number, what it says of the line before, its
    event (``opened``, ``closed``, or of a request) and its seal.
    """

    content: bytes
    number: int
    before: str
    event: str
    seal: str

    @property
    def hash(self) -> str:
        """SHA-256 of the line, which the next one repeats."""
        return hashlib.sha256(self.content).hexdigest()

    def sealed_by(self, secret: AuditSecret) -> bool:
        """Whether the seal was made with this secret."""
        return hmac.compare_digest(self.seal, secret.seal(self.content.rpartition(_SEAL)[0]))


def head(number: int, before: str) -> bytes:
    """What the line of this number begins with, also when a crash has cut it."""
    return f'{{"line":{number},"before":"{before}",'.encode()


def chained(
    number: int, before: str, *, time: str, event: str, secret: AuditSecret, record: AuditRecord | None = None,
    told: dict[str, Any] | None = None,
) -> ChainedLine:  # fmt: skip
    """A line for a record, or for an event of the log itself (``opened``, ``closed``)."""
    what = {"time": time, "event": event, **(asdict(record) if record else {}), **(told or {})}
    rest = json.dumps(what, separators=(",", ":"), ensure_ascii=True)
    body = head(number, before) + rest[1:-1].encode()
    seal = secret.seal(body)
    return ChainedLine(body + _SEAL + seal.encode() + b'"}', number, before, event, seal)


def parsed_line(content: bytes) -> ChainedLine | None:
    """The line in these bytes, ``None`` when they are not one."""
    form = _FORM.fullmatch(content)
    if form is None:
        return None
    try:
        event = json.loads(content).get("event")
    except ValueError:
        return None
    return ChainedLine(content, int(form[1]), form[2].decode(), str(event), form[3].decode())


def audit_secret(path: Path, *, make: bool = False) -> AuditSecret:
    """The secret in a file that only its owner may read; with ``make`` a new one of 256 bits when it is not there.

    Raises :class:`InputError` when the file cannot be used.
    """
    if make and not os.path.exists(path):  # of a folder that may not be looked into the Path's own raises
        write_private(path, secrets.token_hex(32).encode() + b"\n")
    content = read_private(path, what="secret of the audit log").strip()
    if len(content) < 32:
        raise InputError(
            f"the secret of the audit log has {len(content)} bytes", where=str(path), allowed="32 bytes or more"
        )
    return AuditSecret(content)
