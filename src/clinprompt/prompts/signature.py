"""A signature of a manifest: an HMAC with a key that only those have who may change what the manifest names.

It needs Python's own library only: a bundle is checked on machines where nothing else is installed yet.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clinprompt.errors import InputError

LEAST_KEY = 32
"""Bytes of the shortest key: as many as the hash has."""

_HEX = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Signature:
    """HMAC-SHA-256 (RFC 2104) of a content, and a short name of the key, from which the key cannot be told.

    Raises :class:`ValueError` for what is no such signature.
    """

    __pydantic_config__ = {"extra": "forbid"}

    algorithm: Literal["hmac-sha256"] = "hmac-sha256"
    key: str
    value: str

    def __post_init__(self) -> None:
        if self.algorithm != "hmac-sha256" or not isinstance(self.key, str) or not isinstance(self.value, str):
            raise ValueError("no signature of a known kind")
        if not _HEX.fullmatch(self.value):
            raise ValueError("a signature has 64 hexadecimal digits")


def read_key(path: Path) -> bytes:
    """The key of a file, without the line break at its end.

    Raises :class:`InputError` when the file cannot be read or the key is shorter than ``LEAST_KEY`` bytes.
    """
    try:
        key = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise InputError(f"the key cannot be read: {error.strerror}", where=str(path)) from None
    if len(key) < LEAST_KEY:
        raise InputError(
            f"the key has {len(key)} bytes",
            where=str(path),
            allowed=f"{LEAST_KEY} bytes or more",
            fix="make one with `openssl rand -hex 32 > FILE` and keep it where only its owners can read it",
        )
    return key


def signed(content: bytes, key: bytes) -> Signature:
    """The signature of a content."""
    return Signature(key=_name(key), value=hmac.new(key, content, hashlib.sha256).hexdigest())


def check_signature(content: bytes, signature: Signature | None, key: bytes, *, where: str, what: str = "bank") -> None:
    """Raise :class:`InputError` unless the content was signed with this key and is unchanged since.

    ``what`` was signed, in the words of a message.
    """
    if signature is None:
        how = "sign it: `clinprompt bank sign`" if what == "bank" else "give --key when it is made"
        raise InputError(f"the {what} is not signed, and a key was given", where=where, fix=how)
    if not hmac.compare_digest(signature.key, _name(key)):
        raise InputError(
            f"the {what} was signed with the key {signature.key}, the one given is {_name(key)}",
            where=where,
            fix="give the key that it was signed with",
        )
    if not hmac.compare_digest(signature.value, signed(content, key).value):
        raise InputError(
            "the manifest was changed after it was signed", where=where, fix=f"restore the {what} from a copy you trust"
        )


def _name(key: bytes) -> str:
    return hmac.new(key, b"clinprompt: name of this key", hashlib.sha256).hexdigest()[:12]
