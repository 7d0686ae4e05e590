"""An ordinary Hugging Face checkpoint whose new tokens are the prompts: every engine serves it as it is.

Each vector becomes a row of the input table, reached by a new special token. The new tokens must never be *written*.
Their rows of the output table are all the mean of the old rows: with logits z of the old tokens a new token has the
logit mean(z), which is never above max(z) whatever the state is, because a linear function on the hull of the rows has
its maximum at a row. Greedy answers thus stay what they were, and by Jensen's inequality a new token is drawn with at
most the probability 1/V that V equal tokens would have. (A row of zeros has the logit 0, which wins when all others are
negative; a row that "points away" from what is likely does so for some states only.) ``suppress_tokens`` in the
generation configuration takes them out altogether where an engine reads it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer
from torch import Tensor

from clinprompt.data.atomic import for_all
from clinprompt.errors import InputError
from clinprompt.prompts.exports.embeds import metaprompt_refused
from clinprompt.prompts.exports.origin import Origin, PlacedPrompt
from clinprompt.prompts.exports.shards import WHOLE, link, shards_of, write_index, write_without
from clinprompt.prompts.exports.token_map import FILE, TokenMap, TokenPrompt, token_names, write_token_map
from clinprompt.prompts.prompt_file import Metaprompt

TABLES, BODY = "model-prompts.safetensors", "model-body.safetensors"

_COPIED = ("*.json", "*.jinja", "*.txt", "*.model", "LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*")


def export_prompt_tokens(
    prompts: Sequence[PlacedPrompt | Metaprompt], origin: Origin, folder: Path, *, dtype: torch.dtype | None = None
) -> dict[str, Any]:
    """Write the checkpoint into an empty ``folder``; returns what was linked and what was written anew.

    ``dtype`` is that of the two tables (``None``: the checkpoint's own), and then of the whole configuration: an engine
    that computes in what it says would round the tables again. Raises :class:`InputError` for metaprompts,
    for token texts that the tokenizer has already, and for checkpoints without ``tokenizer.json``.
    """
    placed = []
    for given in prompts:
        if isinstance(given, Metaprompt):
            raise metaprompt_refused(given)
        placed.append(given)
    names = {one.name: token_names(one.name, len(one.vectors)) for one in placed}
    for path in sorted({path for pattern in _COPIED for path in origin.folder.glob(pattern) if path.is_file()}):
        if not path.name.endswith(".index.json"):
            shutil.copyfile(path, folder / path.name)
    first = _add_tokens(folder, [text for texts in names.values() for text in texts])
    vectors = torch.cat([one.vectors for one in placed])
    rows, linked = _write_weights(origin, folder, vectors, first, dtype)
    new = range(first, first + len(vectors))
    _change(folder / "config.json", _config_changes(folder, rows, dtype))
    _suppress(folder, new)
    records, at = [], first
    for one in placed:
        record = TokenPrompt(
            name=one.card.name, version=one.card.version, first=at, before=one.before, tokens=names[one.name],
            card=one.card,
        )  # fmt: skip
        records.append(record)
        at += len(record.tokens)
    write_token_map(folder, TokenMap(backbone=placed[0].card.backbone, prompts=tuple(records)))
    return {"tokens": len(new), "vocabulary": rows, "linked": linked, "map": FILE}


def _add_tokens(folder: Path, texts: Sequence[str]) -> int:
    """Add special tokens to the copied tokenizer; returns the id of the first, which the others follow."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise InputError(
            "the backbone has no tokenizer.json, the form in which engines share a tokenizer",
            where=str(folder),
            fix="save it once with transformers: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
        )
    tokenizer = Tokenizer.from_file(str(path))
    known = tokenizer.get_vocab(with_added_tokens=True)
    if clash := [text for text in texts if text in known]:
        raise InputError(f"the tokenizer has a token {clash[0]!r} already", where=str(path),
                         fix="export from the original backbone, all prompts at once")  # fmt: skip
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in texts])
    ids = [tokenizer.token_to_id(text) for text in texts]
    first = ids[0]
    if ids != list(range(first, first + len(ids))) or first <= max(known.values()):
        raise InputError("the tokenizer does not put new tokens behind its own", where=str(path))
    tokenizer.save(str(path))
    settings = folder / "tokenizer_config.json"
    decoder = _json(settings).get("added_tokens_decoder")
    if decoder is not None:  # older tokenizers list their added tokens twice
        entry = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
        more = {str(id): {"content": text, **entry} for id, text in zip(ids, texts, strict=True)}
        _change(settings, {"added_tokens_decoder": {**decoder, **more}})
    return first


def _write_weights(
    origin: Origin, folder: Path, vectors: Tensor, first: int, dtype: torch.dtype | None
) -> tuple[int, list[str]]:
    """Write both tables into a file of their own and link the others; returns the rows and the linked files."""
    files = shards_of(origin.folder)
    if origin.embedding not in files or not (origin.tied or origin.head in files):
        raise InputError(
            f"the checkpoint holds no tensor {origin.embedding} or {origin.head}",
            where=str(origin.folder),
            fix="save the model again with transformers' save_pretrained",
        )
    embedding = _read(origin, files, origin.embedding)
    head = embedding if origin.tied else _read(origin, files, origin.head)
    bias = origin.head.removesuffix("weight") + "bias"
    tables = {
        origin.embedding: _with_rows(embedding, vectors, first, dtype),
        origin.head: _with_rows(head, _never(head, first, len(vectors)), first, dtype),
    }
    if bias in files:
        value = _read(origin, files, bias)
        tables[bias] = _with_rows(value, _never(value, first, len(vectors)), first, dtype)
    affected = {files[name] for name in tables if name in files}
    linked = []
    for name in sorted(set(files.values())):
        if name in affected:
            write_without(origin.folder / name, folder / _shard(name), tables)
        else:
            link(origin.folder / name, folder / _shard(name))
            linked.append(_shard(name))
    save_file({name: table.contiguous() for name, table in tables.items()}, folder / TABLES, metadata={"format": "pt"})
    for_all(folder / TABLES)
    rest = {name: _shard(file) for name, file in files.items() if name not in tables}
    write_index(folder, rest | dict.fromkeys(tables, TABLES))
    return tables[origin.embedding].shape[0], linked


def _shard(name: str) -> str:
    """A file's name in the new checkpoint; engines that see ``model.safetensors`` look at no index."""
    return BODY if name == WHOLE else name


def _with_rows(table: Tensor, rows: Tensor, first: int, dtype: torch.dtype | None) -> Tensor:
    """The table with ``rows`` from number ``first`` on: in place of unused rows of padding, and behind the last."""
    if first > len(table):
        raise InputError(f"the tokenizer has {first} tokens and the table of embeddings {len(table)} rows only")
    kept = dtype or table.dtype
    parts = (table[:first], rows.to("cpu"), table[first + len(rows) :])
    return torch.cat([part.to(kept) for part in parts])


def _never(table: Tensor, first: int, count: int) -> Tensor:
    """``count`` rows with the mean of the first ``first`` rows, added up in double precision."""
    total = torch.zeros(table.shape[1:], dtype=torch.float64)
    for block in table[:first].split(4096):
        total += block.double().sum(dim=0)
    return (total / first).expand(count, *table.shape[1:])


def _read(origin: Origin, files: dict[str, str], name: str) -> Tensor:
    with safe_open(origin.folder / files[name], framework="pt") as file:
        table = file.get_tensor(name)
    if not table.is_floating_point():
        raise InputError(f"the table {name} is kept in {table.dtype}, to which no rows can be added",
                         where=str(origin.folder), fix="export from weights that are not quantised")  # fmt: skip
    return table


def _config_changes(folder: Path, rows: int, dtype: torch.dtype | None) -> dict[str, Any]:
    """Vocabulary, untied tables and dtype, where the configuration says them: at its top, or in the part for text."""
    config = _json(folder / "config.json")
    changes: dict[str, Any] = {"vocab_size": rows, "tie_word_embeddings": False}
    if dtype is not None:
        changes["dtype"] = str(dtype).removeprefix("torch.")
        if "torch_dtype" in config:  # its name before transformers 5
            changes["torch_dtype"] = changes["dtype"]
    if "text_config" not in config:
        return changes
    text = {**config["text_config"], **changes}
    top = {name: value for name, value in changes.items() if name in config}
    return {**top, "tie_word_embeddings": False, "text_config": text}


def _suppress(folder: Path, new: Sequence[int]) -> None:
    path = folder / "generation_config.json"
    known = _json(path)
    if not path.is_file():
        config = _json(folder / "config.json")
        known = {name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id") if name in config}
    known["suppress_tokens"] = [*(known.get("suppress_tokens") or ()), *new]
    path.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")


def _change(path: Path, fields: dict[str, Any]) -> None:
    path.write_text(json.dumps(_json(path) | fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
