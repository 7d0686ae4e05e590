"""Finished prompts in the forms of other engines: folders of peft, a checkpoint with prompts as tokens, embeddings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from clinprompt.backbones.encoder_loading import reads
from clinprompt.backbones.loading import DTYPES, blueprint, resolve
from clinprompt.backbones.protocol import Placement
from clinprompt.data.atomic import whole_folder
from clinprompt.errors import InputError
from clinprompt.inference.reference import check_reference
from clinprompt.prompts.exports.origin import Origin, PlacedPrompt
from clinprompt.prompts.manifest import NAME
from clinprompt.prompts.prompt_file import Metaprompt, SoftPrompt, load_metaprompt, read_card
from clinprompt.registry import Registry
from clinprompt.stages.adapted import open_prompt
from clinprompt.stages.banked import prompt_path
from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.methods import Settings
from clinprompt.stages.opened import Opened, open_backbone

EXPORTS = Registry(
    "export",
    {
        "peft": "clinprompt.prompts.exports.peft:export_peft",
        "prompt-tokens": "clinprompt.prompts.exports.prompt_tokens:export_prompt_tokens",
        "vllm-embeds": "clinprompt.prompts.exports.embeds:export_embeds",
    },
)


class ExportSettings(Settings):
    """Prompts of one backbone and the form they shall have; ``tables`` is the dtype of the prompt-tokens tables.

    ``prompts`` are files or ``BANK:NAME[@VERSION]``; with ``bank_key`` their banks must be signed with this key.
    ``tables`` ``checkpoint`` keeps that of the backbone's files, in which the prompts are then rounded.
    """

    backbone: BackboneSettings = BackboneSettings()
    prompts: tuple[Path, ...] = Field(min_length=1)
    bank_key: Path | None = None
    to: str = "prompt-tokens"
    out: Path
    tables: Literal["checkpoint", "float32", "bfloat16", "float16"] = "checkpoint"


@dataclass(frozen=True, slots=True)
class ExportedPrompts:
    """The folder, each prompt with its placement and length, and what the format says of itself.

    ``licences`` are those of the data that the prompts were learnt from, as far as their cards name them.
    """

    out: Path
    prompts: tuple[tuple[str, str, int], ...]
    licences: tuple[str, ...]
    details: Mapping[str, Any]


def export_prompts(settings: ExportSettings, *, opened: Opened | None = None) -> ExportedPrompts:
    """Write the prompts in the form ``settings.to``; the folder appears whole or not at all.

    Every prompt is first checked against the backbone: it must belong to it and act on it as when it was made. Raises
    :class:`InputError` for prompts of other backbones or of weights that were trained with them, for two of one name
    and version, and for what the format cannot hold.
    """
    write = EXPORTS[settings.to]
    options: dict[str, Any] = {}
    if settings.tables != "checkpoint":
        if settings.to != "prompt-tokens":
            raise InputError(f"{settings.to} has no tables of words", where="tables",
                             fix="leave it out, or export --to prompt-tokens")  # fmt: skip
        options["dtype"] = DTYPES[settings.tables]
    if reads(settings.backbone.path):
        raise InputError(
            "an encoder's prompts are of no use without its scorers, which no other engine has",
            where=settings.backbone.path,
            fix="predict with `clinprompt predict`; prompts of decoders can be exported",
        )
    paths = [prompt_path(place, key=settings.bank_key) for place in settings.prompts]
    opened = opened or open_backbone(settings.backbone)
    prompts = [_open(path, opened) for path in paths]
    _check_names(prompts)
    with whole_folder(settings.out) as folder:
        details = write(prompts, origin_of(settings.backbone.path, opened), folder, **options)
    described = tuple((f"{one.card.name}@{one.card.version}", one.card.placement, one.card.length) for one in prompts)
    licences = tuple(sorted({licence for one in prompts for licence in one.card.lineage.licences}))
    return ExportedPrompts(settings.out, described, licences, details)


def origin_of(backbone: str, opened: Opened) -> Origin:
    """The backbone as an export needs it; tensors are named as in the network without its weights."""
    network = blueprint(backbone)
    config = network.config.get_text_config()
    table, head = network.get_input_embeddings(), network.get_output_embeddings()
    place = {id(module): name for name, module in network.named_modules()}
    return Origin(
        folder=resolve(backbone),
        name=opened.backbone.name,
        hidden=config.hidden_size,
        heads=config.num_attention_heads,
        layers=config.num_hidden_layers,
        embedding=f"{place[id(table)]}.weight",
        head=f"{place[id(head)]}.weight",
        tied=table.weight is head.weight,
    )


def _open(path: Path, opened: Opened) -> PlacedPrompt | Metaprompt:
    if read_card(path).task is None:
        metaprompt = load_metaprompt(path, backbone=opened.identity)
        _at_the_input(metaprompt.vectors, path)
        check_reference(opened.backbone, SoftPrompt(metaprompt.vectors, metaprompt.card), where=str(path))
        return metaprompt
    prompt = open_prompt(path, opened)
    _at_the_input(prompt.vectors, path)
    before, _ = Placement(prompt.card.placement).split(len(prompt.vectors))
    return PlacedPrompt(prompt, before)


def _at_the_input(vectors: Tensor, path: Path) -> None:
    if vectors.ndim == 3:
        raise InputError(
            "this prompt has vectors of its own in every layer, and other engines take in only those of the input",
            where=str(path),
            fix="serve it with `clinprompt serve`, or train one without `layers: every`",
        )


def _check_names(prompts: Sequence[PlacedPrompt | Metaprompt]) -> None:
    for one in prompts:  # names become folders and tokens
        if not re.fullmatch(NAME, one.card.name):
            raise InputError(
                f"a prompt called {one.card.name!r} cannot be exported",
                allowed="letters, digits, and after the first of them . _ -, 64 at most",
                fix="put it into a bank under another name (`clinprompt bank add --name`) and export the bank's file",
            )
    counts = Counter(f"{one.card.name}@{one.card.version}" for one in prompts)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise InputError(f"two of the prompts are {twice[0]}", fix="export one prompt of a name and version at a time")
