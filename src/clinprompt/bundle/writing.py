"""A bundle as it is written: the same files give the same bytes, on every machine and on every day."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from clinprompt.bundle.manifest import FILE, BundleManifest, HeldFile, check_names
from clinprompt.data.atomic import new_file, whole_folder
from clinprompt.data.files import file_hash
from clinprompt.errors import InputError

_TIME = 315_532_800  # 1980-01-01, the first day that zip files know too
_USTAR_LIMIT = 8 * 2**30

Content = Path | bytes
"""A file's content: where it stands, or itself."""


def write_bundle(
    out: Path, manifest: BundleManifest, contents: Mapping[str, Content], *, key: bytes | None = None
) -> BundleManifest:
    """Write a tar (a name that ends in ``.tar``) or a folder of these files and a manifest that names them.

    Contents are by name; the manifest's own ``files`` are made from them. Whole or not at all.
    Raises :class:`InputError` for names that have no place in a bundle and for an ``out`` that is there already.
    """
    check_names(contents, where=str(out))
    manifest = replace(manifest, files={name: _held(contents[name]) for name in sorted(contents)})
    everything = {FILE: manifest.content(key=key), **{name: contents[name] for name in sorted(contents)}}
    try:
        if out.suffix == ".tar":
            with new_file(out) as part, part.open("wb") as stream:
                _write_tar(stream, everything, manifest)
        else:
            with whole_folder(out) as part:
                for name, content in everything.items():
                    _write_file(part / name, content)
    except OSError as error:
        raise InputError(f"the bundle cannot be written: {error.strerror}", where=str(out)) from error
    return manifest


def _held(content: Content) -> HeldFile:
    if isinstance(content, bytes):
        return HeldFile(hashlib.sha256(content).hexdigest(), len(content))
    return HeldFile(file_hash(content), content.stat().st_size)


def _write_tar(stream: BinaryIO, contents: Mapping[str, Content], manifest: BundleManifest) -> None:
    for name, content in contents.items():
        member = tarfile.TarInfo(name)
        member.size = len(content) if isinstance(content, bytes) else manifest.files[name].bytes
        member.mode, member.mtime = 0o644, _TIME
        form = tarfile.USTAR_FORMAT if member.size < _USTAR_LIMIT else tarfile.GNU_FORMAT
        try:
            stream.write(member.tobuf(form, "ascii", "strict"))
        except ValueError as error:
            raise InputError("the name is too long for a tar file", where=name) from error
        began = stream.tell()
        with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as source:
            shutil.copyfileobj(source, stream, 1 << 20)
        if stream.tell() - began != member.size:
            raise InputError("the file changed while it was read", where=name, fix="start again")
        stream.write(b"\0" * (-member.size % tarfile.BLOCKSIZE))
    stream.write(b"\0" * 2 * tarfile.BLOCKSIZE)


def _write_file(path: Path, content: Content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        shutil.copyfile(content, path)
    path.chmod(0o644)
