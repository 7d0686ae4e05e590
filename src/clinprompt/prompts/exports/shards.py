"""The weight files of a Hugging Face folder: which holds which tensor, linked as they are or written without some."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from clinprompt.errors import InputError

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"

_BLOCK = 1 << 24


def shards_of(folder: Path) -> dict[str, str]:
    """The file of each tensor, by the index or from the one file that there is."""
    index = folder / INDEX
    try:
        if index.is_file():
            return dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
        with (folder / WHOLE).open("rb") as file:
            return dict.fromkeys(_header(file)[0], WHOLE)
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise InputError(
            f"the weights have neither a file {WHOLE} nor an index that can be read",
            where=str(folder),
            fix="save the model again with transformers' save_pretrained",
        ) from error


def link(source: Path, target: Path) -> None:
    """Make ``target`` the same file without copying it: a hard link, a symbolic link elsewhere, else a copy."""
    source = source.resolve()  # model caches hold links to files of other names
    for way in (os.link, os.symlink, shutil.copyfile):
        try:
            way(source, target)
            return
        except OSError:
            if way is shutil.copyfile:
                raise


def write_without(source: Path, target: Path, dropped: Collection[str]) -> int:
    """Copy a safetensors file without some of its tensors, piece by piece; returns how many tensors are left.

    Nothing is written when none is left. A file with two tables of one name would be read differently by each engine,
    and a safetensors file must not have holes, so leaving a table out means writing the rest anew.
    """
    with source.open("rb") as file:
        header, data = _header(file)
        kept = {name: entry for name, entry in header.items() if name not in dropped}
        if not kept:
            return 0
        order = sorted(kept, key=lambda name: kept[name]["data_offsets"][0])
        moved, at = {}, 0
        for name in order:
            begin, end = kept[name]["data_offsets"]
            moved[name] = {**kept[name], "data_offsets": [at, at + end - begin]}
            at += end - begin
        text = json.dumps({"__metadata__": {"format": "pt"}} | moved, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with target.open("wb") as out:
            out.write(struct.pack("<Q", len(text)) + text)
            for name in order:
                begin, end = kept[name]["data_offsets"]
                file.seek(data + begin)
                _copy(file, out, end - begin)
    return len(kept)


def write_index(folder: Path, files: Mapping[str, str]) -> None:
    """Write the index of tensors to files beside these files; ``total_size`` counts the tensors' bytes."""
    total = 0
    for name in set(files.values()):
        with (folder / name).open("rb") as file:
            header, _ = _header(file)
        spans = [entry["data_offsets"] for tensor, entry in header.items() if files.get(tensor) == name]
        total += sum(end - begin for begin, end in spans)
    content = {"metadata": {"total_size": total}, "weight_map": dict(sorted(files.items()))}
    (folder / INDEX).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """The entries of a safetensors file by tensor name, and where its data begins."""
    (size,) = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(size))
    header.pop("__metadata__", None)
    return header, 8 + size


def _copy(file: BinaryIO, out: BinaryIO, size: int) -> None:
    while size:
        block = file.read(min(size, _BLOCK))
        if not block:
            raise EOFError("a weight file ends before its last tensor")
        out.write(block)
        size -= len(block)
