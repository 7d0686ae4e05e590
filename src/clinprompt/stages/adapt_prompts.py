"""Adaptation on a frozen backbone: free or decomposed prompts of all cells in one gang."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from clinprompt.backbones.protocol import Placement, PromptVectors, Row
from clinprompt.maths.decomposition import TaskFactors, compose, mean_of_products, neutral_factors, widen
from clinprompt.prompts.bank import Metaprompt, SoftPrompt, load_metaprompt, save_prompt
from clinprompt.prompts.decomposed import DecomposedPrompts
from clinprompt.prompts.headed import head_rates, headed, member_heads
from clinprompt.prompts.source import FoldableSource
from clinprompt.stages.adapted import Adapted, Plan
from clinprompt.stages.cards import prompt_card
from clinprompt.stages.cells import Cell, candidates, dev_every, measured, rms, winners
from clinprompt.stages.configs import AdaptSettings
from clinprompt.stages.free_prompts import free_prompts
from clinprompt.stages.methods import Mpt, PromptTuning
from clinprompt.stages.opened import Opened
from clinprompt.stages.progress import Progress
from clinprompt.stages.run_folder import RunFolder
from clinprompt.stages.watching import watcher
from clinprompt.training.gang import Member
from clinprompt.training.loop import train
from clinprompt.training.outcome import TrainingResult
from clinprompt.training.seeds import derive


def adapt_prompts(
    settings: AdaptSettings, plans: Sequence[Plan], *, opened: Opened, run: RunFolder, progress: Progress
) -> list[Adapted]:
    """Train and save the prompts of all cells; a cell without examples (k = 0) keeps its start."""
    metaprompt = None
    if settings.metaprompt is not None:
        metaprompt = load_metaprompt(settings.metaprompt, backbone=opened.identity)
    placement = metaprompt.card.placement if metaprompt else settings.prompt.placement
    if isinstance(settings.method, PromptTuning) and settings.method.placement:
        placement = settings.method.placement
    trained = [plan for plan in plans if plan.cell.train]
    untrained = [plan for plan in plans if not plan.cell.train]
    done = []
    for group, learns in ((trained, True), (untrained, False)):
        if group:
            done += _adapt(settings, group, metaprompt, placement, learns, opened=opened, run=run, progress=progress)
    order = {plan.cell.name: i for i, plan in enumerate(plans)}
    return sorted(done, key=lambda cell: order[cell.key])


@dataclass(frozen=True, slots=True)
class _Start:
    """Prompts before training: their source, their length, peak rates by group, where each cell's factors are from."""

    source: FoldableSource
    length: int
    rates: Callable[[int, float], Mapping[str, float]]
    factors: Sequence[str]


def _adapt(
    settings: AdaptSettings,
    plans: Sequence[Plan],
    metaprompt: Metaprompt | None,
    placement: str,
    learns: bool,
    *,
    opened: Opened,
    run: RunFolder,
    progress: Progress,
) -> list[Adapted]:
    method = settings.method
    assert isinstance(method, Mpt | PromptTuning)
    cells, budget = [plan.cell for plan in plans], method.budget
    copies = len(budget.rates) if learns else 1
    if isinstance(method, Mpt):
        assert metaprompt is not None
        start = _decomposed(method, cells, metaprompt, opened, copies=copies)
    else:
        free = free_prompts(method, opened, cells, length=settings.prompt.length, copies=copies)
        start = _Start(free.source, settings.prompt.length, free.rates, [""] * len(cells))
    seeds = [derive(cell.seed, "heads", cell.name) for cell in cells for _ in range(copies)]
    heads = opened.heads(seeds, start=metaprompt.heads if metaprompt else None)
    source, peaks = headed(start.source, heads), head_rates(heads, budget.head_rate)
    members: list[Member] = []
    best, result = list(range(len(cells))), TrainingResult()
    if learns:
        members = candidates(
            opened, cells, budget, reserve=start.length, rates=lambda i, rate: {**start.rates(i, rate), **peaks}
        )
        with progress(f"adapt {method.kind}", budget.steps) as advance:
            result = train(
                opened.backbone,
                source,
                members,
                placement=Placement(placement),
                tokens_per_forward=budget.tokens_per_forward,
                dev_every=dev_every(budget),
                checkpoint=run.checkpoints / "gang.safetensors",
                watch=watcher(run, members, advance),
            )
        best = winners(members, budget, result)
    folded = source.folded()
    done = []
    for i, plan in enumerate(plans):
        name = members[best[i]].name if learns else ""
        trainable = source.trainable(best[i]) if learns else 0
        adapted = Adapted(
            task=plan.cell.task.name,
            shots=plan.shots,
            draw=plan.draw,
            seed=settings.seed,
            method=method.kind,
            trainable=trainable,
            rate=budget.rates[best[i] % copies] if learns else None,
            loss=measured(result.losses.get(name)),
            dev_loss=measured(result.dev_losses.get(name)),
            train_examples=len(plan.cell.train),
            factors=start.factors[i],
            file=f"{plan.cell.name}/prompt.safetensors",
        )
        card = prompt_card(
            opened,
            plan.prepared,
            method=method.kind,
            vectors=folded[best[i]],
            heads=member_heads(source, best[i]),
            placement=placement,
            trainable=trainable,
            run=run.id,
            seed=settings.seed,
            rank=method.rank if isinstance(method, Mpt) else None,
            shots=None if plan.shots == "full" else int(plan.shots),
            sources=metaprompt.card.tasks if metaprompt else (),
        )
        if run.writes:
            prompt = SoftPrompt(folded[best[i]], card, member_heads(source, best[i]))
            save_prompt(run.outputs / adapted.file, prompt)
        done.append(adapted)
    return done


def _decomposed(method: Mpt, cells: Sequence[Cell], metaprompt: Metaprompt, opened: Opened, *, copies: int) -> _Start:
    pairs, names = _factors(method, cells, metaprompt, opened)
    source = DecomposedPrompts(
        metaprompt.vectors,
        [pair for pair in pairs for _ in range(copies)],
        shared=False,
        train_metaprompt=method.train_metaprompt,
    )
    unit, share = rms(metaprompt.vectors), method.factor_share

    def rates(cell: int, rate: float) -> dict[str, float]:
        pair = pairs[cell]
        return {
            "metaprompt": rate * unit,
            "rows": share * rate * rms(pair.rows),
            "cols": share * rate * rms(pair.cols),
        }

    return _Start(source, metaprompt.vectors.shape[0], rates, names)


def _factors(
    method: Mpt, cells: Sequence[Cell], metaprompt: Metaprompt, opened: Opened
) -> tuple[list[TaskFactors], list[str]]:
    """Start factors of each cell and where they come from."""
    P, H = metaprompt.vectors.shape
    pairs = metaprompt.factors
    mean = mean_of_products(
        torch.stack([pair.rows for pair in pairs.values()]),
        torch.stack([pair.cols for pair in pairs.values()]),
        rank=method.rank,
    )
    found, names = [], []
    for cell in cells:
        seed = derive(cell.seed, "factors", cell.name)
        if method.factors == "neutral":
            found.append(neutral_factors(P, H, method.rank, seed=seed))
            names.append("neutral")
            continue
        options = {"mean": mean}
        if method.factors == "select" and cell.train:
            options |= {name: widen(pair, rank=method.rank, seed=seed) for name, pair in pairs.items()}
        name = _lowest_loss(options, cell, metaprompt, opened)
        found.append(options[name])
        names.append(name)
    return found, names


@torch.no_grad()
def _lowest_loss(
    options: dict[str, TaskFactors], cell: Cell, metaprompt: Metaprompt, opened: Opened, *, most: int = 32
) -> str:
    """Of several factor pairs the one with which the cell's own examples are likeliest."""
    if len(options) == 1:
        return next(iter(options))
    placement = Placement(metaprompt.card.placement)
    notes = opened.backbone.note_cache() if placement is Placement.suffix else None
    rows: list[Row] = opened.rows(cell.train[:most], cell.task, reserve=metaprompt.vectors.shape[0])
    heads = opened.heads([0], start=metaprompt.heads)
    losses = {}
    for name, pair in options.items():
        prompt = compose(metaprompt.vectors, pair.rows, pair.cols)[None]
        total, tokens = 0.0, 0
        for at in range(0, len(rows), 8):
            part = rows[at : at + 8]
            prompts = PromptVectors(prompt, placement, owner=(0,) * len(part), heads=heads)
            values = opened.backbone.forward(part, prompts, notes=notes).losses
            total, tokens = total + float(values.sum()), tokens + len(values)
        losses[name] = total / tokens
    return min(losses, key=losses.__getitem__)
