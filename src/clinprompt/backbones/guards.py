"""What a network must do before prompts are trained on it: lie in memory, give its own logits, and pass gradients."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from clinprompt.backbones import rectangle
from clinprompt.backbones.protocol import Row
from clinprompt.backbones.published import ENCODER_TYPES
from clinprompt.errors import InputError

if TYPE_CHECKING:
    from clinprompt.backbones.causal import CausalBackbone


def check_family(config: Any, *, where: str) -> None:
    """Raise :class:`InputError` for a family that neither writes nor is among the encoders that read.

    Some encoders can be opened with a head that writes (BigBird, RoFormer); what they are for is told by
    ``architectures``.
    """
    kind = config.model_type
    writes = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(kind)
    named = config.architectures or [writes]
    if kind in ENCODER_TYPES or (writes and (kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES or writes in named)):
        return
    raise InputError(
        f"this backbone is neither a decoder nor an encoder of a family that can be read with (model type {kind})",
        where=where,
        allowed="decoders (causal language models: Llama, Mistral, Qwen, gpt-oss …) and encoders of the families "
        f"{', '.join(sorted(ENCODER_TYPES))}",
        fix="take a backbone of one of them",
    )


@torch.no_grad()
def check_logits(model: Any, *, where: str) -> None:
    """Raise unless the output head alone turns last hidden states into logits: some families scale or cap them."""
    ids = _ids(model)
    own = model(input_ids=ids, use_cache=False).logits
    ours = model.get_output_embeddings()(model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state)
    if not torch.allclose(ours.to(own.device), own, rtol=1e-2, atol=1e-2 * float(own.abs().max()), equal_nan=True):
        raise InputError(
            "this network changes its logits after the output head, which is not supported",
            where=where,
            allowed="families such as Llama, Mistral, Qwen and gpt-oss",
        )


def check_gradient(model: Any, *, where: str) -> None:
    """Raise unless a change of the first token's vector reaches the last token's logits backwards.

    Some quantised products have no backward pass: training then runs without an error and without any effect. Only
    attention and the layers above it join the two tokens, so a gradient there has come through the whole network.
    """
    model.requires_grad_(False)
    vectors = model.get_input_embeddings()(_ids(model)).detach().requires_grad_()  # [1, T, H]
    found = None
    try:
        model(inputs_embeds=vectors, use_cache=False).logits[0, -1].float().square().sum().backward()
        found = vectors.grad
    except (NotImplementedError, RuntimeError):  # products without a backward pass say so in these two ways
        found = None
    if found is None or not bool(found[0, 0].isfinite().all()) or not bool(found[0, 0].any()):
        raise InputError(
            "no gradient passes through the quantised weights of this backbone, so that no prompt could be trained",
            where=where,
            allowed="weights full, int8 or nf4 of an unquantised folder; MXFP4 files of gpt-oss",
            fix="take an unquantised copy of the backbone; `clinprompt check` says what memory it needs",
        )


def check_placed(model: Any, *, where: str) -> None:
    """Raise when layers were left on the disk, from where every training step would read them."""
    if "disk" in getattr(model, "hf_device_map", {}).values():
        raise InputError(
            "the layers of this backbone do not fit on the accelerators together",
            where=where,
            fix="choose dtype bfloat16, weights int8 or nf4, or a machine with more memory",
        )


@torch.no_grad()
def can_be_packed(backbone: CausalBackbone) -> bool:
    """Whether rows packed one behind the other get the logits that they get padded; some attention has to stay."""
    number = backbone.vocabulary
    rows = [Row(str(n), tuple(i % number for i in range(n, 3 * n)), (n,), (1,)) for n in (3, 5)]
    try:
        ours = backbone.forward(rows, None).logits
    except (NotImplementedError, TypeError):  # capped scores, or an attention of the network's own
        return False
    own = rectangle.forward(backbone, rows, None, hidden_layers=()).logits
    exact = backbone.embeddings.dtype in (torch.float32, torch.float64) and backbone.autocast is None
    # A wrong mask changes logits as much as they differ among themselves; rounding to half precision far less.
    return bool((ours - own).norm() <= (0.01 if exact else 0.3) * own.norm()) or not bool(own.isfinite().all())


def _ids(model: Any) -> Any:
    device = model.get_input_embeddings().weight.device
    return torch.arange(4, device=device)[None] % model.config.get_text_config().vocab_size


@contextmanager
def opening(folder: Path, *, fix: str) -> Iterator[None]:
    """Whatever goes wrong in a ``with`` that reads a backbone's folder is one :class:`InputError`."""
    try:
        yield
    except ImportError as error:
        raise InputError(
            "reading these weights needs a package that is not installed",
            where=str(folder),
            fix=str(error).splitlines()[0],  # transformers says which one
        ) from error
    except RuntimeError as error:  # of torch: no memory, or weights of other shapes than the configuration's
        raise InputError(
            f"the backbone cannot be opened: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            where=str(folder),
            fix=fix,
        ) from error
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(
            f"the backbone cannot be opened ({type(error).__name__})", where=str(folder), fix=fix
        ) from error


def check_complete(missing: Collection[str], *, where: str, fix: str) -> None:
    """Raise :class:`InputError` when weights of the network were in no file."""
    if missing:
        raise InputError(
            f"{len(missing)} weights are missing from the backbone, the first is {min(missing)}", where=where, fix=fix
        )


def check_length(needed: int, parts: str, *, most: int, example: str, backbone: str) -> None:
    """Raise :class:`InputError` when an input of ``needed`` tokens with these parts does not fit the context."""
    if needed > most:
        raise InputError(
            f"the input needs {needed} tokens with {parts}, more than the backbone's context",
            where=f"example {example}",
            allowed=f"at most {most} tokens for backbone {backbone}",
            fix="read long notes in smaller windows (`--window`, or `data.window` in the task file), leave long "
            "examples out of the training of a recipe or study (`limits.characters`), or use a "
            "backbone with a longer context",
        )
