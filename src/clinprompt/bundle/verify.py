"""Whether a bundle is what its manifest says: every byte is read, and nothing else may be there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from clinprompt.bundle.manifest import FILE, MOST_BYTES, BundleManifest, HeldFile, parsed_manifest
from clinprompt.bundle.source import Place, chunks, places
from clinprompt.errors import InputError, raise_all

_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04", b"\x1f\x8b")
"""How pickles begin, and the archives that hold them."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A bundle that is as its manifest says: the manifest, and where its files are."""

    bundle: Path
    manifest: BundleManifest
    places: dict[str, Place]

    @property
    def bytes(self) -> int:
        """The length of all files together."""
        return sum(one.bytes for one in self.manifest.files.values())


def verify_bundle(bundle: Path, *, key: bytes | None = None) -> Checked:
    """Read a bundle whole and compare it with its manifest, and that with its signature when there is a ``key``.

    Raises :class:`InputError` with every file that is changed, missing, extra, or not what its name says.
    """
    checked = opened_bundle(bundle, key=key)
    faults = []
    for name, held in checked.manifest.files.items():
        first = next(chunks(checked.places[name], size=16), b"")
        if fault := _fault(name, first) or _changed(held, chunks(checked.places[name])):
            faults.append(InputError(f"{name} {fault}", where=str(bundle), fix="do not use it; copy the bundle again"))
    raise_all(faults)
    return checked


def opened_bundle(bundle: Path, *, key: bytes | None = None) -> Checked:
    """A bundle whose manifest names what is there, with these lengths; contents are not compared yet."""
    if not bundle.exists():
        raise InputError("there is no such bundle", where=str(bundle), fix="check the path")
    found = places(bundle)
    if FILE not in found or found[FILE].bytes > MOST_BYTES:
        raise InputError(f"this is no bundle: no {FILE}", where=str(bundle), fix="make one: `clinprompt bundle create`")
    manifest = parsed_manifest(b"".join(chunks(found.pop(FILE))), key=key, where=f"{bundle} {FILE}")
    faults = [
        f"{name[:100]!r} is in the bundle and not in its manifest" for name in found.keys() - manifest.files.keys()
    ]
    for name, held in manifest.files.items():
        if name not in found:
            faults.append(f"{name} is in the manifest and not in the bundle")
        elif found[name].bytes != held.bytes:
            faults.append(f"{name} is not the file that the manifest names: another length")
    again = "do not use it; copy the bundle again"
    raise_all([InputError(one, where=str(bundle), fix=again) for one in sorted(faults)])
    return Checked(bundle, manifest, found)


def _changed(held: HeldFile, content: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in content:
        digest.update(piece)
    return "" if digest.hexdigest() == held.sha256 else "is not the file that the manifest names"


def copied(checked: Checked, name: str, path: Path) -> None:
    """Copy a file of a bundle to a new path, comparing once more what is written with the manifest.

    Raises :class:`InputError` when the bundle was changed since it was verified.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as stream:

        def written() -> Iterator[bytes]:
            for piece in chunks(checked.places[name]):
                stream.write(piece)
                yield piece

        fault = _changed(checked.manifest.files[name], written())
    if fault:
        raise InputError(f"{name} {fault}", where=str(checked.bundle), fix="nothing may write to it meanwhile")


def _fault(name: str, first: bytes) -> str:
    """What is wrong with a file by its first 16 bytes: wheels are zip files, weights safetensors, and all else text."""
    folder = name.partition("/")[0]
    if name.endswith((".whl", ".pyz")):
        return "" if first.startswith(b"PK\x03\x04") else "is no zip file"
    if name.endswith(".safetensors"):
        return "" if first[8:9] == b"{" else "is no safetensors file"
    if folder in ("backbone", "bank", "docs") and first.startswith(_PICKLES):
        return "is an archive or a pickle, which may hold a program"
    return ""
