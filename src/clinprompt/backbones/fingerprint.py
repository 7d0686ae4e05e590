"""A short name for exactly these weights, so that a prompt can say which backbone it was trained for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

_CHUNK = 1 << 22
_TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "vocab.txt")
# What else a tokenizer is read from where there is no tokenizer.json, which says it all where it is there.
_OTHERWISE = ("spm.model", "sentencepiece.bpe.model", "sentencepiece.model", "spiece.model")
# Settings by which those files are read, where there is no tokenizer.json to hold what came of them.
_READ_WITH = ("add_prefix_space", "do_lower_case", "keep_accents", "remove_space", "sp_model_kwargs", "split_by_punct",
              "strip_accents", "tokenize_chinese_chars")  # fmt: skip
# Settings of a configuration file that do not change what the network computes.
_COSMETIC = {"transformers_version", "_name_or_path", "dtype", "torch_dtype", "use_cache", "architectures"}


def folder_fingerprint(folder: Path) -> str:
    """Hash of the configuration and of every weight file of a Hugging Face folder, 16 hexadecimal digits.

    Reads all weights once (about a second per gigabyte). The dtype a model is loaded in is not part of it.
    """
    digest = hashlib.blake2b(digest_size=8)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kept = {key: value for key, value in config.items() if key not in _COSMETIC}
    digest.update(json.dumps(kept, sort_keys=True).encode())
    for path in sorted(folder.glob("*.safetensors")):
        _update(digest, path)
    return digest.hexdigest()


def tokenizer_fingerprint(folder: Path) -> str:
    """Hash of the tokenizer's own files, 16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)
    others = () if (folder / "tokenizer.json").is_file() else _OTHERWISE
    for name in (*_TOKENIZER, *others):
        path = folder / name
        if path.is_file():
            digest.update(name.encode())
            _update(digest, path)
    if others and (settings := _read_with(folder / "tokenizer_config.json")):
        digest.update(json.dumps(settings, sort_keys=True).encode())
    return digest.hexdigest()


def _read_with(file: Path) -> dict[str, Any]:
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {name: known[name] for name in _READ_WITH if known.get(name) is not None}


def _update(digest: hashlib.blake2b, path: Path) -> None:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
