"""A decoder in one GGUF file, as llama.cpp keeps it, written out as an ordinary Hugging Face folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch

from clinprompt.data.atomic import for_all, whole_folder
from clinprompt.errors import InputError

MAGIC = b"GGUF"


def unpack(file: Path, out: Path, *, dtype: str = "bfloat16") -> int:
    """Write the model and tokenizer of ``file`` to the folder ``out``; the number of parameters.

    Quantised weights are written out in ``dtype``: they keep the rounding that they have, and take its bytes. The
    reading is transformers' own, for the architectures that it knows from GGUF.

    Raises:
        InputError: The file is no GGUF file, cannot be read as a decoder, or the package ``gguf`` is not there.
    """
    _check(file)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **place)
        read = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **place)
    except Exception as fault:  # a damaged file makes the parser fail anywhere, with errors of any kind
        said = " ".join(str(fault).split())[:200]
        raise InputError(
            f"this GGUF file cannot be read as a decoder: {type(fault).__name__}: {said}",
            where=str(file),
            fix="use the model's folder with safetensors instead",
        ) from fault
    config = read.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # it would say that the folder's weights are still those of the file
    # The model that was read refuses to be saved because it came from a quantised file.
    model = type(read)(config).to(torch.float32)
    model.load_state_dict(read.state_dict())
    model.generation_config = read.generation_config
    with whole_folder(out) as folder:
        model.to(getattr(torch, dtype)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        for weights in folder.glob("*.safetensors"):
            for_all(weights)
    return model.num_parameters()


def _check(file: Path) -> None:
    if not file.is_file():
        raise InputError("there is no such file", where=str(file), allowed="a GGUF file")
    with file.open("rb") as opened:
        if opened.read(len(MAGIC)) != MAGIC:
            raise InputError("this is no GGUF file", where=str(file), allowed="a file of llama.cpp, mostly *.gguf")
    if importlib.util.find_spec("gguf") is None:
        raise InputError(
            "reading GGUF files needs the package gguf", where=str(file), fix="pip install 'clinprompt[gguf]'"
        )
