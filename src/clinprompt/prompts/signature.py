"""A signature of a bank's manifest: an HMAC with a key that only those have who may change the bank."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from clinprompt.errors import InputError

LEAST_KEY = 32
"""Bytes of the shortest key: as many as the hash has."""

_HEX = "^[0-9a-f]{64}$"


class Signature(BaseModel):
    """HMAC-SHA-256 (RFC 2104) of a content, and a short name of the key, from which the key cannot be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    algorithm: Literal["hmac-sha256"] = "hmac-sha256"
    key: str
    value: str = Field(pattern=_HEX)


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


def check_signature(content: bytes, signature: Signature | None, key: bytes, *, where: str) -> None:
    """Raise :class:`InputError` unless the content was signed with this key and is unchanged since."""
    if signature is None:
        raise InputError(
            "the bank is not signed, and a key was given", where=where, fix="sign it: `clinprompt bank sign`"
        )
    if not hmac.compare_digest(signature.key, _name(key)):
        raise InputError(
            f"the bank was signed with the key {signature.key}, the one given is {_name(key)}",
            where=where,
            fix="give the key that it was signed with",
        )
    if not hmac.compare_digest(signature.value, signed(content, key).value):
        raise InputError(
            "the manifest was changed after it was signed", where=where, fix="restore the bank from a copy you trust"
        )


def _name(key: bytes) -> str:
    return hmac.new(key, b"clinprompt: name of this key", hashlib.sha256).hexdigest()[:12]
