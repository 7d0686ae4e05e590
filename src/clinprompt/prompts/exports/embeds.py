"""Prompts as prompt embeddings for the offline API of vLLM, or any engine that takes vectors in place of tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from clinprompt.data.atomic import for_all
from clinprompt.errors import InputError
from clinprompt.prompts.exports.origin import Origin, PlacedPrompt
from clinprompt.prompts.prompt_file import Metaprompt

FILE = "prompts.safetensors"

_README = """\
# Soft prompts as prompt embeddings

`prompts.safetensors` holds for each prompt the float32 vectors `NAME@VERSION/before`, which stand before everything
(before BOS too), and `NAME@VERSION/after`, which stand between the input and the cue; its metadata `cards` says what
each prompt was trained for. They belong to the backbone {name} and to no other.

A request is made of vectors: before, the embeddings of BOS and input, after, the embeddings of the cue, in the dtype
of the model. With vLLM, in one Python process (`LLM(..., enable_prompt_embeds=True)`):

    llm.generate({{"prompt_embeds": torch.cat([before, table[start + context], after, table[cue]]).to(dtype)}})

where `table` is the tensor `{embedding}` of the backbone's checkpoint.

Do not send such tensors over HTTP, and do not start a server with `--enable-prompt-embeds`: vLLM deserialised what
clients sent with `torch.load` and could be crashed or taken over by them (CVE-2025-62164, vLLM 0.10.2 to 0.11.0).
`clinprompt export --to prompt-tokens` gives a checkpoint that servers hold themselves, so that clients send token ids.
"""


def export_embeds(prompts: Sequence[PlacedPrompt | Metaprompt], origin: Origin, folder: Path) -> dict[str, int]:
    """Write vectors and a page that says how to use them; returns each prompt's number of vectors by name."""
    tensors, cards, lengths = {}, {}, {}
    for given in prompts:
        if isinstance(given, Metaprompt):
            raise metaprompt_refused(given)
        vectors = given.vectors.detach().to("cpu", torch.float32)
        tensors[f"{given.name}/before"] = vectors[: given.before].clone()
        tensors[f"{given.name}/after"] = vectors[given.before :].clone()
        cards[given.name] = given.card.model_dump(mode="json")
        lengths[given.name] = len(vectors)
    save_file(tensors, folder / FILE, metadata={"cards": json.dumps(cards)})
    for_all(folder / FILE)
    page = _README.format(name=origin.name, embedding=origin.embedding)
    (folder / "README.md").write_text(page, encoding="utf-8")
    return lengths


def metaprompt_refused(metaprompt: Metaprompt) -> InputError:
    """The error for a metaprompt where finished prompts are wanted."""
    return InputError(
        "a metaprompt answers no task by itself, and this format holds finished prompts",
        where=metaprompt.card.name,
        fix="adapt it to a task with `clinprompt adapt` and export that prompt, or use --to peft, which holds "
        "a metaprompt with the factors of its tasks",
    )
