"""What a bundle says it holds: every file with its SHA-256, for which machine, which versions and licences."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from clinprompt.bundle.target import Target
from clinprompt.errors import InputError
from clinprompt.prompts.signature import Signature, check_signature, signed

FILE = "bundle.json"
INSTALLER = "install.pyz"
FORMAT = 1
MOST_BYTES = 16 * 2**20
"""Bytes of the longest manifest that is read."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@-]*(/[A-Za-z0-9_][A-Za-z0-9._+@-]*){0,16}")
_HASH = re.compile("[0-9a-f]{64}")
_PLACES = {
    "wheels": re.compile(r"[^/]+\.whl"),
    "backbone": re.compile(r"[^/]+\.(safetensors|json|jinja|txt|model|tiktoken|md)|LICENSE|NOTICE|USE_POLICY"),
    "bank": re.compile(r"bank\.json|[^/]+\.safetensors"),
    "docs": re.compile(r".+(?<!\.pkl)(?<!\.pickle)(?<!\.pt)(?<!\.pth)(?<!\.bin)(?<!\.ckpt)(?<!\.joblib)(?<!\.npy)"),
}
"""Folder: the files it may hold. None of them can hold a pickle, which is a program."""


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file of a bundle: SHA-256 in hexadecimal, and length in bytes."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class HeldWheel:
    """A wheel of a bundle: its file's name, the package with its version, and the licence that it states."""

    file: str
    name: str
    version: str
    licence: str


@dataclass(frozen=True, slots=True)
class HeldBackbone:
    """The backbone of a bundle: a name for people, and fingerprints of weights and tokenizer."""

    name: str
    fingerprint: str
    tokenizer: str


@dataclass(frozen=True, slots=True)
class BundleManifest:
    """All that a bundle says of itself; there is no time in it, so equal inputs give equal bytes.

    ``extras`` are those of the package, ``left_out`` the packages that the machine must have itself, ``prompts`` the
    bank's as ``name@version``. Without ``wheels`` a bundle brings models only.
    """

    clinprompt: str
    target: Target
    files: Mapping[str, HeldFile]
    extras: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    wheels: tuple[HeldWheel, ...] = ()
    backbone: HeldBackbone | None = None
    prompts: tuple[str, ...] = ()
    signature: Signature | None = field(default=None)

    def content(self, *, key: bytes | None = None) -> bytes:
        """The bytes of the manifest's file, signed when there is a ``key``."""
        whole = {"format": FORMAT, **asdict(self)}
        del whole["signature"]
        plain = _canonical(whole)
        if key is None:
            return plain
        return _canonical(whole | {"signature": asdict(signed(plain, key))})


def parsed_manifest(content: bytes, *, key: bytes | None, where: str) -> BundleManifest:
    """The manifest in these bytes; with a ``key`` its signature is checked first.

    Raises :class:`InputError` when it is damaged, of another format, unsigned or signed otherwise, and when it names
    files that a bundle does not hold.
    """
    try:
        whole = json.loads(content.decode("utf-8"))
        if not isinstance(whole, dict):
            raise ValueError("no object")
        given = whole.pop("signature", None)
        signature = None if given is None else Signature(**given)
        if key is not None:
            check_signature(_canonical(whole), signature, key, where=where, what="bundle")
        if whole.pop("format", None) != FORMAT:
            raise InputError("the bundle has another format", where=where, allowed=f"format {FORMAT}")
        manifest = _manifest(whole, signature)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(
            f"the manifest of the bundle is damaged ({type(error).__name__})", where=where, fix="copy the bundle again"
        ) from None
    check_names(manifest.files, where=where)
    if {f"wheels/{one.file}" for one in manifest.wheels} != {name for name in manifest.files if name[:7] == "wheels/"}:
        raise InputError("the manifest's wheels are not its files in wheels/", where=where, fix="copy the bundle again")
    return manifest


def check_names(names: Iterable[str], *, where: str) -> None:
    """Raise :class:`InputError` for names that lead out of a bundle, are told apart by case only, or have no place."""
    seen: set[str] = set()
    for name in names:
        folder, _, rest = name.partition("/")
        known = name == INSTALLER or (folder in _PLACES and _PLACES[folder].fullmatch(rest))
        if len(name) > 240 or not _NAME.fullmatch(name) or not known:
            raise InputError(
                f"a bundle holds no file of the name {name[:100]!r}",
                where=where,
                allowed="wheels/*.whl, bank.json and *.safetensors in bank/, safetensors, JSON and text in backbone/, "
                "and docs/; never pickles, links, or paths that lead out",
            )
        if name.lower() in seen:
            raise InputError(f"two files have the name {name!r}, in different case", where=where)
        seen.add(name.lower())


def holds_file(folder: str, name: str) -> bool:
    """Whether a file of this name has a place in a folder of a bundle.

    >>> holds_file("backbone", "config.json"), holds_file("backbone", "pytorch_model.bin")
    (True, False)
    """
    return bool(_PLACES[folder].fullmatch(name))


def _manifest(whole: dict[str, Any], signature: Signature | None) -> BundleManifest:
    if set(whole) != {one.name for one in fields(BundleManifest)} - {"signature"}:
        raise KeyError("parts")
    files = {name: HeldFile(**one) for name, one in whole.pop("files").items()}
    if not all(_HASH.fullmatch(one.sha256) and type(one.bytes) is int and one.bytes >= 0 for one in files.values()):
        raise ValueError("a hash or a length")
    backbone = whole.pop("backbone")
    manifest = BundleManifest(
        files=files, target=Target(**whole.pop("target")), signature=signature,
        wheels=tuple(HeldWheel(**one) for one in whole.pop("wheels")),
        backbone=HeldBackbone(**backbone) if backbone is not None else None,
        **{name: tuple(value) if isinstance(value, list) else value for name, value in whole.items()},
    )  # fmt: skip
    texts = [manifest.clinprompt, *manifest.extras, *manifest.left_out, *manifest.prompts]
    texts += [
        text for one in (*manifest.wheels, *([manifest.backbone] if backbone else [])) for text in asdict(one).values()
    ]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a text")
    return manifest


def _canonical(whole: dict[str, Any]) -> bytes:
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False).encode("utf-8") + b"\n"
