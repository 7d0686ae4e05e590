"""A prompt that peft saved, as a prompt file of ours with its card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clinprompt.backbones.encoder_loading import reads
from clinprompt.backbones.protocol import Placement
from clinprompt.errors import InputError
from clinprompt.inference.reference import check_reference, reference
from clinprompt.maths.decomposition import compose
from clinprompt.prompts.card import PromptCard
from clinprompt.prompts.exports.peft import PeftSave, read_peft
from clinprompt.prompts.fit import check_template
from clinprompt.prompts.prompt_file import Metaprompt, SoftPrompt, check_backbone, save_metaprompt, save_prompt
from clinprompt.stages.cards import versions
from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.methods import Settings
from clinprompt.stages.opened import Opened, open_backbone
from clinprompt.tasks.catalog import load_task

PLACEMENT = "prefix"
"""Where peft puts every prompt: before everything, BOS too."""


class ImportPromptSettings(Settings):
    """A folder of peft and the prompt file to make of it.

    ``task`` is the task of a finished prompt, a name of the catalogue or a file; of a multitask save the number
    ``task_id`` says whose prompt that is. Without ``task`` a multitask save becomes a metaprompt, whose ``sources``
    are the names of its tasks in their order. ``backbone.template`` is the one that the prompt was trained with;
    folders made by ``clinprompt export`` say it themselves, and another one is refused.
    """

    backbone: BackboneSettings = BackboneSettings()
    folder: Path
    out: Path
    task: str | None = None
    task_id: int | None = None
    sources: tuple[str, ...] = ()


def import_prompt(settings: ImportPromptSettings, *, opened: Opened | None = None) -> PromptCard:
    """Write the prompt file and return its card.

    Folders made by ``clinprompt export`` bring their card with them. Raises :class:`InputError` for other adapters,
    for vectors of another width than the backbone's, and where the settings do not say whose prompt it is.
    """
    if settings.out.exists():
        raise InputError("the output is there already", where=str(settings.out), fix="choose another name")
    if reads(settings.backbone.path):
        raise InputError("peft's prompts are for decoders, and this is an encoder", where=settings.backbone.path)
    save = read_peft(settings.folder)
    opened = opened or open_backbone(settings.backbone)
    width = opened.backbone.hidden_size
    if save.vectors.ndim != 2 or save.vectors.shape[1] != width:
        raise InputError(
            f"the vectors have the shape {tuple(save.vectors.shape)}, which does not fit the backbone",
            where=str(settings.folder),
            allowed=f"[length, {width}]",
            fix="give --backbone the model that the prompt was trained for",
        )
    opened = _templated(save, settings, opened)
    made = _metaprompt(save, settings, opened) if save.factors and settings.task is None else _prompt(
        save, settings, opened
    )  # fmt: skip
    (save_metaprompt if isinstance(made, Metaprompt) else save_prompt)(settings.out, made)  # type: ignore[operator]
    return made.card


def _templated(save: PeftSave, settings: ImportPromptSettings, opened: Opened) -> Opened:
    """With the words around notes that the prompt was trained with: those of its card, else those of the settings."""
    named, where = settings.backbone.template, str(settings.folder)
    if save.card is None:
        return opened.templated(named) if named else opened
    if named not in (None, save.card.template):
        raise InputError(f"the folder says that its prompt was trained with the template {save.card.template}",
                         where=where, fix="leave --template out")  # fmt: skip
    opened = opened.templated(save.card.template)
    check_template(save.card, opened.template.name, opened.template.hash, where=where)
    return opened


def _prompt(save: PeftSave, settings: ImportPromptSettings, opened: Opened) -> SoftPrompt:
    where = str(settings.folder)
    if save.card is not None and settings.task is None:
        check_backbone(save.card, opened.identity, where=where)
        prompt = SoftPrompt(save.vectors, save.card)
        check_reference(opened.backbone, prompt, where=where)
        return prompt
    if settings.task is None:
        raise InputError("the folder does not say which task its prompt is for", where=where,
                         fix="name it with --task (`clinprompt show tasks`, or a task file)")  # fmt: skip
    vectors, rank = save.vectors, None
    if save.factors:
        pair = save.factors[_number(save, settings)]
        vectors, rank = compose(vectors, pair.rows, pair.cols), pair.rank
    elif settings.task_id is not None:
        raise InputError("the folder holds one prompt only", where=where, fix="leave --task-id out")
    task = load_task(settings.task)
    card = PromptCard(
        name=task.name,
        method="mpt" if save.factors else "prompt-tuning",
        placement=PLACEMENT,
        length=len(vectors),
        rank=rank,
        trainable=save.vectors.numel() + (sum(t.numel() for t in (pair.rows, pair.cols)) if save.factors else 0),
        backbone=opened.identity,
        template=opened.template.name,
        template_hash=opened.template.hash,
        task=task,
        reference=reference(opened.backbone, vectors, Placement(PLACEMENT)),
        made_with=_made_with(save),
    )
    return SoftPrompt(vectors, card)


def _metaprompt(save: PeftSave, settings: ImportPromptSettings, opened: Opened) -> Metaprompt:
    where = str(settings.folder)
    if settings.task_id is not None:
        raise InputError("--task-id says whose prompt it is, but not for which task", where=where, fix="add --task")
    card = save.card
    if card is not None:
        check_backbone(card, opened.identity, where=where)
    names = _sources(save, settings)
    if card is None:
        card = PromptCard(
            name="metaprompt",
            method="mpt",
            placement=PLACEMENT,
            length=len(save.vectors),
            rank=save.factors[0].rank,
            trainable=save.vectors.numel() + sum(p.rows.numel() + p.cols.numel() for p in save.factors),
            backbone=opened.identity,
            template=opened.template.name,
            template_hash=opened.template.hash,
            tasks=names,
            reference=reference(opened.backbone, save.vectors, Placement(PLACEMENT)),
            made_with=_made_with(save),
        )
    return Metaprompt(save.vectors, dict(zip(names, save.factors, strict=True)), card)


def _sources(save: PeftSave, settings: ImportPromptSettings) -> Sequence[str]:
    """The tasks' names in the order of peft's ``task_ids``."""
    names = save.card.tasks if save.card is not None else settings.sources
    if len(names) != len(save.factors) or len(set(names)) != len(names):
        raise InputError(
            f"the folder holds the factors of {len(save.factors)} tasks, and {len(names)} names are given",
            where=str(settings.folder),
            fix="give --source once for each, in the order of their task ids; or --task and --task-id for the finished "
            "prompt of one of them",
        )
    return tuple(names)


def _number(save: PeftSave, settings: ImportPromptSettings) -> int:
    number = 0 if settings.task_id is None and len(save.factors) == 1 else settings.task_id
    if number is None or not 0 <= number < len(save.factors):
        raise InputError(
            f"the folder holds the factors of {len(save.factors)} tasks, and --task-id says which to take",
            where=str(settings.folder),
            allowed=f"0 to {len(save.factors) - 1}",
        )
    return number


def _made_with(save: PeftSave) -> dict[str, str]:
    """Our versions; of peft, the one that saved the prompt when it says so."""
    return versions() | ({"peft": str(save.config["peft_version"])} if save.config.get("peft_version") else {})
