"""Opens a backbone folder: the embedded default, a local Hugging Face folder, or a hub id already in the cache."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.fingerprint import folder_fingerprint, tokenizer_fingerprint
from clinprompt.errors import InputError

EMBEDDED = "embedded"
"""Name of the small backbone shipped with the package."""

_FIX = "give --backbone a folder with config.json, tokenizer files and *.safetensors, or `embedded`"
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}


def embedded_folder() -> Path:
    """Folder of the embedded backbone inside the package."""
    return Path(__file__).parent / "embedded" / "model"


def embedded_metaprompt() -> Path:
    """The metaprompt that was trained for the embedded backbone and ships with it."""
    return embedded_folder().parent / "metaprompt.safetensors"


def resolve(backbone: str) -> Path:
    """Folder of a backbone given by name, path or hub id; raises :class:`InputError` when there is none.

    A hub id is looked up in the local cache; the network is asked only when ``HF_HUB_OFFLINE`` is ``0``.
    """
    folder = embedded_folder() if backbone == EMBEDDED else Path(backbone).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError("the backbone folder has no config.json", where=str(folder), fix=_FIX)
        return folder
    if folder.is_absolute() or backbone.count("/") != 1 or backbone.startswith("."):
        raise InputError("there is no backbone folder of this name", where=backbone, fix=_FIX)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    offline = os.environ.get("HF_HUB_OFFLINE", "1") != "0"
    patterns = ["*.json", "*.safetensors", "tokenizer*", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(backbone, local_files_only=offline, allow_patterns=patterns))
    except (LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise InputError(
            "this backbone is neither a folder nor in the local model cache",
            where=backbone,
            fix="copy the model folder to this machine and give its path, or allow one download with --online",
        ) from error


def load_backbone(
    backbone: str = EMBEDDED, *, dtype: str = "float32", device: str = "auto", autocast: str = "none"
) -> CausalBackbone:
    """Load a frozen causal backbone with its tokenizer.

    ``dtype`` is that of the weights, ``autocast`` that of the products (``none`` or a dtype). Only safetensors are
    read and no code of the folder is run. Raises :class:`InputError` for a folder that cannot be read, lacks
    weights, or whose network does not give its own logits through the path used here.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # the caller's own bars say what is going on
    folder = resolve(backbone)
    if not list(folder.glob("*.safetensors")):
        raise InputError(
            "the backbone folder has no *.safetensors file",
            where=str(folder),
            fix="convert the weights to safetensors first; pickled weights are never opened",
        )
    place = _device(device)
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            folder, dtype=_DTYPES[dtype], local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        settings = _settings(folder)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"the backbone cannot be opened ({type(error).__name__})", where=str(folder), fix=_FIX
        ) from error
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise InputError(
            f"{len(missing)} weights are missing from the backbone, the first is {missing[0]}",
            where=str(folder),
            fix=_FIX,
        )
    if tokenizer.eos_token_id is None:
        raise InputError("the tokenizer has no end-of-sequence token", where=str(folder), fix=_FIX)
    if dtype == "float64":
        model.set_experts_implementation("eager")  # grouped products exist in single and half precision only
    _check_logits(model, where=str(folder))
    return CausalBackbone(
        model.to(place),
        tokenizer,
        fingerprint=folder_fingerprint(folder),
        tokenizer_fingerprint=tokenizer_fingerprint(folder),
        template=settings.get("template", "plain"),
        name=backbone if backbone == EMBEDDED else folder.name,
        autocast=None if autocast == "none" else _DTYPES[autocast],
    )


@torch.no_grad()
def _check_logits(model: Any, *, where: str) -> None:
    """Raise unless the output head alone turns last hidden states into logits: some families scale or cap them."""
    ids = torch.arange(4)[None] % model.config.get_text_config().vocab_size
    own = model(input_ids=ids, use_cache=False).logits
    ours = model.get_output_embeddings()(model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state)
    if not torch.allclose(ours, own, rtol=1e-2, atol=1e-2 * float(own.abs().max()), equal_nan=True):
        raise InputError(
            "this network changes its logits after the output head, which is not supported",
            where=where,
            allowed="families such as Llama, Mistral, Qwen and gpt-oss",
        )


def _device(device: str) -> torch.device:
    cuda = torch.cuda.is_available()
    if device == "auto":
        return torch.device("cuda" if cuda else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError:
        raise InputError(f"there is no device {device!r}", allowed="auto, cpu, cuda, cuda:0 …") from None
    if found.type == "cuda" and not cuda:
        raise InputError("this machine has no CUDA device", allowed="auto, cpu")
    return found


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "clinprompt.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
