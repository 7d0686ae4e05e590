"""Opens a backbone folder: the embedded default, a local Hugging Face folder, or a hub id already in the cache."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.fingerprint import folder_fingerprint, tokenizer_fingerprint
from clinprompt.backbones.guards import (
    can_be_packed,
    check_complete,
    check_family,
    check_gradient,
    check_logits,
    check_placed,
    opening,
)
from clinprompt.backbones.memory import GIB, free_memory
from clinprompt.backbones.published import PUBLISHED, meta_model, meta_network
from clinprompt.backbones.quantised import keep_backward, quantisation, stored_method, weight_bytes
from clinprompt.backbones.sharding import shard
from clinprompt.errors import InputError

EMBEDDED = "embedded"
"""Name of the small backbone shipped with the package."""

_FIX = "give --backbone a folder with config.json, tokenizer files and *.safetensors, or `embedded`"
_DEVICES = "auto, spread, cpu, cuda, cuda:0 …"
_CPU = torch.device("cpu")

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
"""Names of the dtypes that weights can have."""


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
    if folder.is_absolute() or backbone.count("/") > 1 or backbone.startswith("."):
        raise InputError("there is no backbone folder of this name", where=backbone, fix=_FIX)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    offline = os.environ.get("HF_HUB_OFFLINE", "1") != "0"
    patterns = ["*.json", "*.jinja", "*.safetensors", "tokenizer*", "*.txt", "*.model"]
    choice = {"allow_patterns": patterns, "ignore_patterns": ["*/*"]}  # subfolders hold the weights once more
    try:
        return Path(snapshot_download(backbone, local_files_only=offline, **choice))
    except (LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise InputError(
            "there is no backbone folder of this name, nor such a model in the local cache",
            where=backbone,
            fix="copy the model folder to this machine and give its path, or allow one download with --online",
        ) from error


def called(backbone: str, folder: Path) -> str:
    """The name of a backbone that was found in ``folder``: the one it was asked by, or of a path its last part.

    A hub id keeps its own, for a cache names folders by commits.
    """
    return folder.name if Path(backbone).expanduser().is_dir() and backbone != EMBEDDED else backbone


def load_backbone(
    backbone: str = EMBEDDED,
    *,
    dtype: str = "float32",
    device: str = "auto",
    autocast: str = "none",
    weights: str = "full",
    sharded: bool = False,
    recompute: bool = False,
    compiled: bool = False,
    note_memory: int = 2048,
    note_folder: Path | None = None,
) -> CausalBackbone:
    """Load a frozen causal backbone with its tokenizer.

    ``dtype`` is that of the weights, ``autocast`` that of the products (``none`` or a dtype); ``weights`` keeps the
    linear layers in fewer bits (:mod:`clinprompt.backbones.quantised`). ``device`` ``spread`` divides the layers over
    all accelerators, ``sharded`` the weights of each layer over all processes, ``recompute`` trades time for memory.
    ``compiled`` has torch compile the layers; notes that were read once are kept in ``note_memory`` MiB and in
    ``note_folder``. Only safetensors are read and no code of the folder is run. Raises :class:`InputError` for a
    folder that cannot be read, lacks weights or does not fit into memory, and for a network that does not give its
    own logits through the path used here or lets no gradient through.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # the caller's own bars say what is going on
    folder = resolve(backbone)
    target = devices(device)
    places = [_CPU] if sharded else target
    number = DTYPES[dtype]
    with opening(folder, fix=_FIX):
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        check_family(config, where=str(folder))
        check_safetensors(folder)
        small = quantisation(weights, config, dtype=number, where=str(folder))
        needed = weight_bytes(meta_network(config), weights=weights, dtype=number)
        check_room(needed, places, f"{dtype} ({weights})", backbone=backbone)
        # On the processor a plain read is quicker than a placed one; everything else is read to where it stays.
        placed = {} if places == [_CPU] and small is None else _placing(places)
        if small is not None:  # a None would hide what the folder says of its own weights
            placed["quantization_config"] = small
        model, info = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=number,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **placed,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        settings, ends = _json(folder / "clinprompt.json"), answer_ends(folder)
    check_complete(info["missing_keys"], where=str(folder), fix=_FIX)
    check_placed(model, where=str(folder))
    if tokenizer.eos_token_id is None:
        raise InputError("the tokenizer has no end-of-sequence token", where=str(folder), fix=_FIX)
    if target == [_CPU] or dtype == "float64":
        # Grouped products of experts are slower on processors, and exist in single and half precision only.
        model.set_experts_implementation("eager")
    check_logits(keep_backward(model), where=str(folder))
    if weights != "full" or stored_method(config):
        check_gradient(model, where=str(folder))
    loaded = CausalBackbone(
        shard(model, target[0]) if sharded else model,
        tokenizer,
        fingerprint=folder_fingerprint(folder),
        tokenizer_fingerprint=tokenizer_fingerprint(folder),
        template=settings.get("template", "plain"),
        name=called(backbone, folder),
        autocast=None if autocast == "none" else DTYPES[autocast],
        recompute=recompute,
        extra_ends=ends,
        weights=weights,
        compiled=compiled,
        note_memory=note_memory * 2**20,
        note_folder=note_folder,
    )
    loaded.packed = can_be_packed(loaded)
    return loaded


def blueprint(backbone: str) -> Any:
    """The network of a backbone on the meta device, from its configuration alone; no weight is read.

    Takes what :func:`load_backbone` takes, and the names of published backbones, also behind an owner as in a hub id,
    that need not be here. Raises :class:`InputError` like :func:`resolve`, and for a configuration of no known family.
    """
    from transformers import AutoConfig

    if backbone in PUBLISHED:
        return meta_model(backbone)
    try:
        folder = resolve(backbone)
    except InputError:
        if (name := backbone.rpartition("/")[2]) in PUBLISHED and not Path(backbone).is_absolute():
            return meta_model(name)
        raise
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        check_family(config, where=str(folder))
        return meta_network(config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"the backbone's configuration cannot be read ({type(error).__name__})", where=str(folder), fix=_FIX
        ) from error


def model_type(folder: Path) -> str:
    """What family a backbone folder says it is of (``llama``, ``bert`` …), empty when it does not say."""
    try:
        return str(_json(folder / "config.json").get("model_type", ""))
    except (ValueError, AttributeError) as error:
        raise InputError("the backbone's config.json cannot be read", where=str(folder), fix=_FIX) from error


def check_safetensors(folder: Path) -> None:
    """Raise :class:`InputError` when a folder holds no weights in safetensors."""
    if not list(folder.glob("*.safetensors")):
        raise InputError(
            "the backbone folder has no *.safetensors file",
            where=str(folder),
            fix="convert the weights to safetensors first (docs/guides/backbones.md); pickled ones are never opened",
        )


def devices(device: str) -> list[torch.device]:
    """The devices that a setting names: ``auto``, ``spread`` (all accelerators, else the processor) or one device."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device in ("auto", "spread"):
        if device == "auto" and count:
            return [torch.device("cuda", torch.cuda.current_device())]  # of several processes each has its own
        return [torch.device("cuda", i) for i in range(count)] or [_CPU]
    try:
        found = torch.device(device)
    except RuntimeError:
        raise InputError(f"there is no device {device!r}", allowed=_DEVICES) from None
    if found.type == "cuda" and (found.index or 0) >= count:
        raise InputError("this machine has no CUDA device" + (f" {found.index}" if count else ""), allowed=_DEVICES)
    return [found]


def accelerated(device: str) -> bool:
    """Whether a setting as of :func:`devices` names an accelerator; one that is named need not be in this machine.

    Raises :class:`InputError` for what is no device.
    """
    if device in ("auto", "spread"):
        return devices(device)[0].type == "cuda"
    try:
        return torch.device(device).type == "cuda"
    except RuntimeError:
        raise InputError(f"there is no device {device!r}", allowed=_DEVICES) from None


def _placing(places: list[torch.device]) -> dict[str, Any]:
    if len(places) == 1:
        return {"device_map": {"": places[0]}}
    return {"device_map": "auto", "max_memory": {place.index: free_memory(place) for place in places}}


def check_room(needed: int, places: list[torch.device], kept: str, *, backbone: str) -> None:
    """Raise :class:`InputError` before anything is read when ``needed`` bytes of weights do not fit."""
    room = sum(free_memory(place) for place in places)
    if needed > room:
        raise InputError(
            f"the weights need {needed / GIB:.1f} GiB in {kept}, and {room / GIB:.1f} GiB are free on "
            f"{', '.join(map(str, places))}",
            where=backbone,
            fix=f"see what would fit with `clinprompt check --backbone {backbone}` (dtype bfloat16, weights nf4 …)",
        )


def answer_ends(folder: Path) -> frozenset[int]:
    """Tokens that end an answer besides the tokenizer's own, as chat models name several."""
    found = _json(folder / "generation_config.json").get("eos_token_id")
    return frozenset([found] if isinstance(found, int) else found or ())


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
