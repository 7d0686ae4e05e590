"""What memory the trainings of a study take, computed from the shapes of backbones and prompts."""

from __future__ import annotations

from dataclasses import replace

from clinprompt.backbones import causal, encoder_network
from clinprompt.backbones.encoder_memory import row_tokens
from clinprompt.backbones.loading import DTYPES, accelerated, blueprint
from clinprompt.backbones.memory import Work, estimate
from clinprompt.backbones.protocol import Placement
from clinprompt.backbones.published import ENCODER_TYPES
from clinprompt.backbones.tokenizing import context_length
from clinprompt.prompts.encoded import encoder_numbers
from clinprompt.prompts.prompt_file import read_card
from clinprompt.stages.configs import BackboneSettings, TeachSettings
from clinprompt.stages.in_context import room_of
from clinprompt.stages.methods import Budget, InContext, from_sources
from clinprompt.study.expansion import PlannedGang
from clinprompt.study.recipe import variant_of
from clinprompt.study.variants import chosen
from clinprompt.training.method import method


def memory_of(planned: PlannedGang, *, tokens: int, answer: int, device: str = "") -> int | None:
    """Bytes that training a gang takes on notes of so many tokens; ``None`` where no formula is known.

    Weights that train are known for encoders only. ``device`` takes the place of the one of the study; what it names
    need not be in this machine, on which ``auto`` depends.
    """
    recipe, gang = planned.part.recipe, planned.gang
    own, settings = recipe.methods[gang.method], recipe.backbone
    row = method(own.kind)
    config = blueprint(settings.path).config
    unfrozen = config.model_type in ENCODER_TYPES and row.weights == "all"
    if row.weights != "frozen" and not unfrozen:
        return None
    budget: Budget | None = getattr(own, "budget", None)
    length, placement = _shape(planned)
    if isinstance(own, InContext):
        tokens += room_of(own, context_length(config.get_text_config()))
    hidden = config.get_text_config().hidden_size
    work = Work(
        train=row.trains,
        # Folds are members of a gang as cells and rates are.
        members=len(planned.cells) * len(budget.rates) * (budget.folds or 1) if budget and row.gangs else 1,
        length=length,
        placement=Placement(placement),
        tokens=tokens,
        answer=answer,
        unfrozen=unfrozen,
        every_layer=_layered(planned),
        encoder_numbers=encoder_numbers(getattr(own, "encoder", "none"), hidden=hidden),
    )
    return _bytes(settings, work, budget, device=device)


def teachers_memory(settings: TeachSettings, *, tokens: int, answer: int, device: str = "") -> int:
    """Bytes that training these teachers side by side takes, as in :func:`memory_of`."""
    work = Work(
        members=len(settings.sources) * len(settings.budget.rates),
        length=settings.prompt.length,
        placement=Placement(settings.prompt.placement),
        tokens=tokens,
        answer=answer,
        every_layer=settings.prompt.layers == "every",
    )
    return _bytes(settings.backbone, work, settings.budget, device=device)


def _bytes(settings: BackboneSettings, work: Work, budget: Budget | None, *, device: str) -> int:
    """The bytes of ``work`` with as many rows at once as training runs."""
    model = blueprint(settings.path)
    encodes = model.config.model_type in ENCODER_TYPES
    accelerator = accelerated(device or settings.device)
    usual = (encoder_network if encodes else causal).TOKENS_AT_ONCE[accelerator]
    at_once = (budget.tokens_per_forward if budget else None) or usual
    rows = work.members * budget.batch if budget else 8
    of_row = row_tokens(model.config, tokens=work.tokens, length=work.length) if encodes else work.seen
    whole = replace(
        work,
        batch=max(1, min(rows, at_once // of_row)),
        recompute=settings.recompute,
        head_width=settings.head_width,
    )
    dtype = DTYPES[settings.dtype]
    return estimate(model, whole, dtype=dtype, weights=settings.weights, accelerator=accelerator).total


def _layered(planned: PlannedGang) -> bool:
    """Whether a gang's prompts have vectors in every layer: as the method or the study says, or what it starts from."""
    recipe = planned.part.recipe
    own, usual = recipe.methods[planned.gang.method], recipe.prompt.layers
    if from_sources(own) and recipe.metaprompt:
        return read_card(recipe.metaprompt).layers > 1
    if from_sources(own) and recipe.sources:
        return (chosen(recipe.sources, variant_of(own)).layers or usual) == "every"
    return "every" in (getattr(own, "layers", "input"), usual)


def _shape(planned: PlannedGang) -> tuple[int, str]:
    """Length and placement of a gang's prompts: the method's, those of what it starts from, or the study's."""
    recipe = planned.part.recipe
    own, usual = recipe.methods[planned.gang.method], recipe.prompt
    if from_sources(own) and recipe.metaprompt:
        card = read_card(recipe.metaprompt)
        return card.length, card.placement
    if from_sources(own) and recipe.sources:
        return usual.length, chosen(recipe.sources, variant_of(own)).placement or usual.placement
    length = getattr(own, "length", None) or usual.length
    prompted = method(own.kind).prompt not in ("none", "examples", "words")
    return length if prompted else 0, getattr(own, "placement", None) or usual.placement
