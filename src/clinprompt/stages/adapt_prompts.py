"""Adaptation on a frozen backbone: free or decomposed prompts of all cells in one gang."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from clinprompt.backbones.protocol import Placement
from clinprompt.errors import InputError
from clinprompt.prompts.fit import check_template
from clinprompt.prompts.headed import head_rates, headed, member_heads
from clinprompt.prompts.prompt_file import Metaprompt, SoftPrompt, load_metaprompt, save_prompt
from clinprompt.prompts.source import FoldableSource
from clinprompt.stages.adapted import Adapted, Plan, open_prompt
from clinprompt.stages.anchors import anchor_of
from clinprompt.stages.border import settled
from clinprompt.stages.cards import prompt_card
from clinprompt.stages.cells import Cell, all_diverged, candidates, dev_every, measured, survivors
from clinprompt.stages.configs import AdaptSettings
from clinprompt.stages.decomposed_prompts import decomposed_prompts, randomised
from clinprompt.stages.folds import fold_cells, judged, lowest, mean_losses, recorded
from clinprompt.stages.free_prompts import CellPrompts, free_prompts
from clinprompt.stages.methods import Attention, Budget, Mpt, PromptTuning, Routing, Spot
from clinprompt.stages.mixed_prompts import attended_prompts, routed_prompts
from clinprompt.stages.opened import Opened
from clinprompt.stages.progress import Progress
from clinprompt.stages.run_folder import RunFolder
from clinprompt.stages.source_prompts import Teachers, teachers_of
from clinprompt.stages.spot_prompts import spot_prompts
from clinprompt.stages.watching import watcher
from clinprompt.training.gang import Member
from clinprompt.training.loop import train
from clinprompt.training.outcome import TrainingResult
from clinprompt.training.seeds import derive


def adapt_prompts(
    settings: AdaptSettings, plans: Sequence[Plan], *, opened: Opened, run: RunFolder, progress: Progress
) -> list[Adapted]:
    """Train and save the prompts of all cells; a cell without examples (k = 0) keeps its start."""
    method = settings.method
    assert isinstance(method, Mpt | PromptTuning | Spot | Attention | Routing)
    metaprompt = None
    if settings.metaprompt is not None:
        metaprompt = load_metaprompt(settings.metaprompt, backbone=opened.identity)
        where = str(settings.metaprompt)
        check_template(metaprompt.card, opened.template.name, opened.template.hash, where=where)
        if isinstance(method, Mpt) and method.random_metaprompt:
            metaprompt = randomised(metaprompt, seed=derive(settings.seed, "random metaprompt"))
    teachers = teachers_of(settings.teachers, opened) if settings.teachers else None
    placement = metaprompt.card.placement if metaprompt else settings.prompt.placement
    placement = teachers.placement if teachers else placement
    begun = _begun(settings, opened)
    if isinstance(method, PromptTuning) and method.placement:
        placement = method.placement
    placement = begun.card.placement if begun else placement
    given = _Given(settings, method, metaprompt, teachers, begun, placement, opened, run, progress)
    trained = [plan for plan in plans if plan.cell.train]
    untrained = [plan for plan in plans if not plan.cell.train]
    done = (_adapt(given, trained, learns=True) if trained else []) + (
        _adapt(given, untrained, learns=False) if untrained else []
    )
    order = {plan.cell.name: i for i, plan in enumerate(plans)}
    return sorted(done, key=lambda cell: order[cell.key])


def _begun(settings: AdaptSettings, opened: Opened) -> SoftPrompt | None:
    """The prompt to go on from."""
    if settings.start_from is None:
        return None
    prompt = open_prompt(settings.start_from, opened)
    check_template(prompt.card, opened.template.name, opened.template.hash, where=str(settings.start_from))
    return prompt


@dataclass(frozen=True, slots=True)
class _Given:
    """What is the same for all gangs of a run."""

    settings: AdaptSettings
    method: Mpt | PromptTuning | Spot | Attention | Routing
    metaprompt: Metaprompt | None
    teachers: Teachers | None
    begun: SoftPrompt | None
    placement: str
    opened: Opened
    run: RunFolder
    progress: Progress

    @property
    def budget(self) -> Budget:
        return self.method.budget

    @property
    def sources(self) -> tuple[str, ...]:
        """The source tasks that the prompts are made from."""
        if self.teachers:
            return self.teachers.names
        return self.metaprompt.card.tasks if self.metaprompt else ()

    @property
    def rank(self) -> int | None:
        """The rank of the factors that the prompts are made of; those of a mixture are the metaprompt's own."""
        if self.metaprompt is None or not self.metaprompt.factors:
            return None
        return self.method.rank if isinstance(self.method, Mpt) else self.metaprompt.card.rank


@dataclass(frozen=True, slots=True)
class _Gang:
    """Cells after training: their prompts, ``copies`` of each; its members and how they ended, where it trained.

    ``start`` has what the prompts were made of, without an encoder's heads.
    """

    source: FoldableSource
    copies: int
    start: CellPrompts
    members: Sequence[Member]
    result: TrainingResult


def _adapt(given: _Given, plans: Sequence[Plan], *, learns: bool) -> list[Adapted]:
    cells, means = [plan.cell for plan in plans], [{}] * len(plans)
    method, settings, done, rates = given.method, given.settings, [], given.budget.rates
    if learns and given.budget.folds:
        means = _fold_losses(given, cells, n=given.budget.folds)
        cells = [replace(cell, rate=lowest(m)) for cell, m in zip(cells, means, strict=True)]
        kept = [i for i, cell in enumerate(cells) if cell.rate is not None]
        done = [
            plan.lost(all_diverged(plan.cell.name, rates, folds=True), seed=settings.seed, method=method.kind)
            for i, plan in enumerate(plans)
            if i not in kept
        ]
        plans, cells, means = [[found[i] for i in kept] for found in (plans, cells, means)]
        if not plans:
            return done
    gang = _gang(given, cells, learns=learns)
    best = list(survivors(gang.members, gang.result).values()) if learns else list(range(len(cells)))
    folded = gang.source.folded()
    for i, (plan, n) in enumerate(zip(plans, best, strict=True)):
        if n is None:
            done.append(plan.lost(all_diverged(plan.cell.name, rates), seed=settings.seed, method=method.kind))
            continue
        name = gang.members[n].name if learns else ""
        adapted = Adapted(
            task=plan.cell.task.name,
            shots=plan.shots,
            draw=plan.draw,
            seed=settings.seed,
            method=method.kind,
            trainable=gang.source.trainable(n) if learns else 0,
            rate=cells[i].tried(given.budget)[n % gang.copies] if learns else None,
            loss=measured(gang.result.losses.get(name)),
            dev_loss=measured(gang.result.dev_losses.get(name)),
            train_examples=len(plan.cell.train),
            factors=gang.start.factors[i],
            weights=gang.start.weights(n),
            source=gang.start.chosen[i] if gang.start.chosen else "",
            file=f"{plan.cell.name}/prompt.safetensors",
            fold_losses=recorded(means[i]),
        )
        heads = member_heads(gang.source, n)
        if learns:
            rows, one = gang.members[n].border, {"vectors": folded[n], "heads": heads}
            heads, told = settled(given.opened, plan.cell, rows, given.budget, **one, placement=given.placement)
            adapted = replace(adapted, border=told)
        card = prompt_card(
            given.opened,
            plan.prepared,
            method=method.kind,
            vectors=folded[n],
            heads=heads,
            placement=given.placement,
            trainable=adapted.trainable,
            run=given.run.id,
            seed=settings.seed,
            rank=given.rank,
            shots=None if plan.shots == "full" else int(plan.shots),
            sources=tuple(filter(None, [adapted.source])) if gang.start.chosen else given.sources,
        )
        if given.run.writes:
            prompt = SoftPrompt(folded[n], card, heads)
            save_prompt(given.run.outputs / adapted.file, prompt)
        done.append(adapted)
    return done


def _fold_losses(given: _Given, cells: Sequence[Cell], *, n: int) -> list[dict[float, float]]:
    """The mean loss of each rate over the folds of each cell: cells × folds × rates in one gang."""
    parts = [fold_cells(cell, n=n) for cell in cells]
    gang = _gang(given, [part for of_cell in parts for part in of_cell], name="folds", judge=True)
    losses = judged(gang.result)
    return [mean_losses(of_cell, given.budget, losses) for of_cell in parts]


def _gang(
    given: _Given, cells: Sequence[Cell], *, learns: bool = True, judge: bool = False, name: str = "gang"
) -> _Gang:
    """The cells' prompts, trained if they learn; ``name`` keeps the checkpoints of a run's gangs apart."""
    method, budget, opened, metaprompt = given.method, given.budget, given.opened, given.metaprompt
    copies = len(cells[0].tried(budget)) if learns else 1
    if isinstance(method, Mpt):
        assert metaprompt is not None
        start = decomposed_prompts(method, opened, cells, metaprompt, copies=copies)
        length = metaprompt.card.length
    elif isinstance(method, Spot):
        assert given.teachers is not None
        start = spot_prompts(opened, cells, given.teachers, copies=copies)
        length = given.teachers.length
    elif isinstance(method, Attention):
        assert given.teachers is not None
        start = attended_prompts(method, opened, cells, given.teachers, copies=copies)
        length = given.teachers.length
    elif isinstance(method, Routing):
        length = metaprompt.card.length if metaprompt else given.settings.prompt.length
        if given.settings.prompt.layers == "every":
            raise InputError(
                "experts of its own make prompts at the input", where="prompt.layers", fix="set it to input for routing"
            )
        start = routed_prompts(method, opened, cells, length=length, metaprompt=metaprompt, copies=copies)
    else:
        begun = given.begun
        length = begun.card.length if begun else method.length or given.settings.prompt.length
        vectors = begun.vectors if begun else None
        layered = "every" in (method.layers, given.settings.prompt.layers)
        start = free_prompts(method, opened, cells, length=length, layered=layered, copies=copies, begun=vectors)
    seeds = [derive(cell.seed, "heads", cell.name) for cell in cells for _ in range(copies)]
    before = metaprompt or given.teachers or given.begun
    heads = dict(start.heads) or opened.heads(seeds, start=before.heads if before else None)
    source, peaks = headed(start.source, heads), head_rates(heads, budget.head_rate)
    members: list[Member] = []
    result = TrainingResult()
    if learns:
        anchor = anchor_of(method, metaprompt, source) if isinstance(method, Mpt) and metaprompt else None
        members = candidates(
            opened, cells, budget, reserve=length, rates=lambda i, rate: {**start.rates(i, rate), **peaks}, judge=judge
        )
        with given.progress(f"adapt {method.kind}" + (f", {name}" if judge else ""), budget.steps) as advance:
            result = train(
                opened.backbone,
                source,
                members,
                placement=Placement(given.placement),
                distillation=anchor,
                tokens_per_forward=budget.tokens_per_forward,
                dev_every=dev_every(budget),
                checkpoint=given.run.checkpoints / f"{name}.safetensors",
                watch=watcher(given.run, members, advance),
            )
    return _Gang(source, copies, start, members, result)
