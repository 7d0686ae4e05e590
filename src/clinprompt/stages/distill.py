"""Teachers to one metaprompt and a factor pair per source task (arXiv 2604.06650, stage 1 of 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from clinprompt.backbones.protocol import Placement
from clinprompt.errors import InputError
from clinprompt.maths.decomposition import TaskFactors, neutral_factors
from clinprompt.maths.mixture import mixing_probabilities
from clinprompt.prompts.decomposed import DecomposedPrompts
from clinprompt.prompts.headed import head_rates, headed, member_heads
from clinprompt.prompts.prompt_file import Metaprompt, SoftPrompt, save_metaprompt
from clinprompt.schema.example import Split
from clinprompt.stages.cards import metaprompt_card
from clinprompt.stages.cells import Cell, candidates, dev_every, rms, starts
from clinprompt.stages.configs import DistillSettings, PromptSettings
from clinprompt.stages.folds import refuse_folds
from clinprompt.stages.opened import Opened, open_backbone
from clinprompt.stages.prepared import Prepared, open_prepared
from clinprompt.stages.progress import Progress, silent
from clinprompt.stages.run_folder import RunFolder, open_run
from clinprompt.stages.source_prompts import mean_heads
from clinprompt.stages.teach import load_teachers
from clinprompt.stages.watching import watcher
from clinprompt.training.gang import Mixture
from clinprompt.training.loop import train
from clinprompt.training.objectives import Distillation, ReadingDistillation
from clinprompt.training.seeds import derive
from clinprompt.training.truncation import measure_truncation

STAGE, VERSION = "distill", 3
FILE = "metaprompt.safetensors"


def distill(
    settings: DistillSettings,
    *,
    runs: Path,
    opened: Opened | None = None,
    progress: Progress = silent,
    force: bool = False,
) -> RunFolder:
    """Train the shared metaprompt with all factor pairs; writes ``outputs/metaprompt.safetensors``.

    Without teachers it is multitask training; without decomposition one prompt learns all tasks.
    """
    refuse_folds(settings.budget, where=STAGE)
    opened = opened or open_backbone(settings.backbone)
    prepared = [open_prepared(path) for path in settings.sources]
    if len(settings.budget.rates) != 1:
        raise InputError("the metaprompt trains with one learning rate", where="distill.budget.rates")
    opened = opened.suited("mpt", [item.task for item in prepared])
    opened.check_placement(settings.prompt and settings.prompt.placement)
    depth = opened.backbone.n_layers
    if wrong := [layer for layer in settings.hidden_layers if not -depth - 1 <= layer <= depth]:
        raise InputError(
            f"the backbone has no layer {wrong[0]}", where="distill.hidden_layers", allowed=f"{-depth - 1} to {depth}"
        )
    run = open_run(
        runs,
        stage=STAGE,
        version=VERSION,
        config=settings,
        inputs=({"teachers": settings.teachers} if settings.teachers else {})
        | {item.task.name: item.path for item in prepared},
        fingerprints={"backbone": opened.backbone.fingerprint},
        force=force,
        together=True,
    )
    if run.done:
        return run
    with run:
        names = [item.task.name for item in prepared]
        teachers = load_teachers(settings.teachers / "outputs", names, opened) if settings.teachers else []
        shape = settings.prompt or PromptSettings()
        placement = teachers[0].card.placement if teachers else shape.placement
        P = teachers[0].card.length if teachers else shape.length
        cells = [
            Cell(item.task.name, item.task, item.part(Split.train), item.part(Split.dev), settings.seed)
            for item in prepared
        ]
        layered = teachers[0].vectors.ndim == 3 if teachers else shape.layers == "every"
        start = _start(opened, cells, teachers, settings, length=P, layered=layered)
        prompts = _prompts(start, names, settings)
        heads = opened.heads([0], start=mean_heads(teachers) if teachers else None)
        source = headed(prompts, heads, shared=True)
        unit, factor_rate = rms(start), settings.factor_rate
        # A product's factors are about one; those that are added have the metaprompt's size.
        peaks = {"rows": factor_rate, "cols": factor_rate * (unit if settings.shift == "additive" else 1.0)}
        peaks |= head_rates(heads, settings.budget.head_rate)
        members = candidates(
            opened,
            cells,
            settings.budget,
            reserve=P,
            rates=lambda _, rate: {"metaprompt": rate * unit, **peaks},
        )
        distillation = _distillation(settings, teachers, placement)
        with progress(STAGE, settings.budget.steps) as advance:
            result = train(
                opened.backbone,
                source,
                members,
                placement=Placement(placement),
                mixture=_mixture(settings, cells),
                distillation=distillation,
                tokens_per_forward=settings.budget.tokens_per_forward,
                dev_every=dev_every(settings.budget),
                checkpoint=run.checkpoints / "loop.safetensors",
                watch=watcher(run, members, advance),
            )
        if result.diverged:  # the shared metaprompt stood still from then on
            raise InputError(
                f"training diverged on {', '.join(result.diverged)}",
                where="distill.budget",
                fix="give lower `rates` and `factor_rate`, or a lower `clip`",
            )
        _save(run, opened, prepared, prompts, member_heads(source, 0), settings, placement)
        lost = isinstance(distillation, Distillation) and measure_truncation(
            opened.backbone, source, members, distillation, placement=Placement(placement)
        )
        run.finish(
            {
                "tasks": names,
                "losses": result.losses,
                "dev_loss": result.dev_losses[members[0].name],
                "teacher_truncation": asdict(lost) if lost else None,
                "seconds": result.seconds,
            }
        )
    return run


def _start(
    opened: Opened,
    cells: list[Cell],
    teachers: Sequence[SoftPrompt],
    settings: DistillSettings,
    *,
    length: int,
    layered: bool,
) -> Tensor:
    if settings.start == "teachers":
        return torch.stack([teacher.vectors for teacher in teachers]).mean(dim=0)
    return starts(opened, cells[:1], start=settings.start, length=length, layered=layered)[0]


def _prompts(start: Tensor, names: Sequence[str], settings: DistillSettings) -> DecomposedPrompts:
    """The sources' prompts, all of them the start; without decomposition neutral factors stand still."""

    def factors(name: str) -> TaskFactors:
        seed = derive(settings.seed, "factors", name)
        *layers, P, H = start.shape
        return neutral_factors(P, H, settings.rank, seed=seed, shift=settings.shift, layers=tuple(layers))

    pairs, decomposed = [factors(name) for name in names], settings.decomposed
    return DecomposedPrompts(start, pairs, shared=True, train_factors=decomposed, shift=settings.shift)


def _mixture(settings: DistillSettings, cells: list[Cell]) -> Mixture:
    probabilities = mixing_probabilities(
        [len(cell.train) for cell in cells],
        mixing=settings.mixing,
        cap=settings.mixing_cap,
        temperature=settings.mixing_temperature,
    )
    return Mixture(probabilities, batch=settings.budget.batch, seed=derive(settings.seed, "mixture"))


def _distillation(
    settings: DistillSettings, teachers: Sequence[SoftPrompt], placement: str
) -> Distillation | ReadingDistillation | None:
    if settings.weight == 0:
        return None
    given = {
        "placement": Placement(placement),
        "weights": [settings.weight] * len(teachers),
        "temperature": settings.temperature,
        "hidden_layers": settings.hidden_layers,
    }
    if teachers[0].heads:
        return ReadingDistillation(teachers, **given)
    vectors = torch.stack([teacher.vectors for teacher in teachers])
    return Distillation(vectors, top_k=settings.teacher_top_k, **given)


def _save(
    run: RunFolder,
    opened: Opened,
    prepared: list[Prepared],
    source: DecomposedPrompts,
    heads: Mapping[str, Tensor],
    settings: DistillSettings,
    placement: str,
) -> None:
    vectors = source.metaprompt.detach()[0]
    pairs = zip(prepared, source.factors(), strict=True)
    factors = {item.task.name: pair for item, pair in pairs} if settings.decomposed else {}
    card = metaprompt_card(
        opened,
        prepared,
        vectors=vectors,
        placement=placement,
        rank=settings.rank if settings.decomposed else None,
        shift=settings.shift,
        trainable=sum(group.tensor.numel() for group in source.groups()) + sum(map(Tensor.numel, heads.values())),
        run=run.id,
        seed=settings.seed,
        heads=heads,
    )
    if run.writes:
        save_metaprompt(run.outputs / FILE, Metaprompt(vectors, factors, card, heads))
