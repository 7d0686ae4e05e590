"""Opens encoder folders: BERT, RoBERTa, MegatronBert (GatorTron), DeBERTa-v2/v3, ModernBERT and their relatives."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from clinprompt.backbones.encoder import EncoderBackbone
from clinprompt.backbones.fingerprint import folder_fingerprint, tokenizer_fingerprint
from clinprompt.backbones.guards import check_complete, opening
from clinprompt.backbones.loading import (
    DTYPES,
    called,
    check_room,
    check_safetensors,
    devices,
    model_type,
    resolve,
)
from clinprompt.backbones.published import ENCODER_TYPES, PUBLISHED, meta_network, without_pooler
from clinprompt.backbones.quantised import weight_bytes
from clinprompt.errors import InputError

_FIX = "give --backbone a folder of an encoder with config.json, tokenizer.json and *.safetensors"


def reads(backbone: str) -> bool:
    """Whether a backbone is an encoder, which reads questions, and no decoder, which writes answers.

    Takes what :func:`~clinprompt.backbones.loading.resolve` takes and raises like it; a folder is told by the
    ``model_type`` of its ``config.json``. Names of published backbones need not be here.
    """
    found = PUBLISHED[backbone][0].model_type if backbone in PUBLISHED else model_type(resolve(backbone))
    return found in ENCODER_TYPES


def load_encoder(
    backbone: str, *, dtype: str = "float32", device: str = "auto", autocast: str = "none", note_memory: int = 2048
) -> EncoderBackbone:
    """Load a frozen encoder with its tokenizer.

    ``dtype`` is that of the weights, ``autocast`` that of the products (``none`` or a dtype), ``device`` one device.
    Texts that are read apart from their questions are kept in ``note_memory`` MiB.
    Only safetensors are read and no code of the folder is run; a pooler and the head of a language model are left
    out. Raises :class:`InputError` for a folder that cannot be read, is no encoder, lacks weights, does not fit into
    memory, or has no tokenizer that tells which characters a token comes from.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # the caller's own bars say what is going on
    folder = resolve(backbone)
    check_safetensors(folder)
    found = model_type(folder)
    if found not in ENCODER_TYPES:
        raise InputError(
            f"this backbone is no encoder (model type {found or 'unknown'})",
            where=str(folder),
            allowed=", ".join(sorted(ENCODER_TYPES)),
            fix=_FIX,
        )
    place = devices(device)[0]
    number = DTYPES[dtype]
    with opening(folder, fix=_FIX), _unreported():
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        check_room(weight_bytes(meta_network(config), weights="full", dtype=number), [place], dtype, backbone=backbone)
        model, info = AutoModel.from_pretrained(
            folder,
            dtype=number,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    # What is missing is told here, in one paragraph; a pooler is thrown away whether it is there or not.
    used = [name for name in info["missing_keys"] if not name.startswith("pooler.")]
    check_complete(used, where=str(folder), fix=_FIX)
    _check_usable(model, tokenizer, folder)
    return EncoderBackbone(
        without_pooler(model).to(place),
        tokenizer,
        fingerprint=folder_fingerprint(folder),
        tokenizer_fingerprint=tokenizer_fingerprint(folder),
        name=called(backbone, folder),
        autocast=None if autocast == "none" else DTYPES[autocast],
        note_memory=note_memory * 2**20,
    )


def _check_usable(model: Any, tokenizer: Any, folder: Path) -> None:
    if not tokenizer.is_fast:
        raise InputError(
            "the tokenizer of this backbone does not tell which characters a token comes from",
            where=str(folder),
            fix="take a folder with a tokenizer.json",
        )
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        raise InputError("the tokenizer has more tokens than the network has vectors", where=str(folder), fix=_FIX)
    if model.get_input_embeddings().embedding_dim != model.config.hidden_size:
        raise InputError(
            "the word vectors of this network are narrower than its states, so that a prompt fits none of the two",
            where=str(folder),
            allowed="encoders with word vectors as wide as their states",
        )
    if not bool(torch.isfinite(model.get_input_embeddings().weight).all()):
        raise InputError("the word vectors of this backbone hold numbers that are not finite", where=str(folder))


@contextlib.contextmanager
def _unreported() -> Iterator[None]:
    """Without transformers' own report of missing weights, which advises to train what is not used."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
