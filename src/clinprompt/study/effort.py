"""What a study takes: memory from shapes, time from what was measured or from gangs that are done, else unknown."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from clinprompt.backbones import causal, encoder_network
from clinprompt.backbones.encoder_memory import row_tokens
from clinprompt.backbones.loading import DTYPES, accelerated, blueprint
from clinprompt.backbones.memory import Work, estimate
from clinprompt.backbones.protocol import Placement
from clinprompt.backbones.published import ENCODER_TYPES
from clinprompt.backbones.tokenizing import context_length
from clinprompt.prompts.encoded import encoder_numbers
from clinprompt.prompts.prompt_file import read_card
from clinprompt.schema.example import Split
from clinprompt.stages.atomic import write_json
from clinprompt.stages.in_context import room_of
from clinprompt.stages.methods import Budget, InContext, from_sources
from clinprompt.study.archive import Archive, GangRecord
from clinprompt.study.duration import seconds_of
from clinprompt.study.expansion import PlannedGang
from clinprompt.study.gang import run_gang
from clinprompt.study.recipe import Recipe, variant_of
from clinprompt.study.running import Worker
from clinprompt.study.variants import chosen, quickened
from clinprompt.training.method import method

FILE = "measured.json"
Kind = tuple[str, str]
"""Backbone (its name in the study) and method."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Seconds of one gang of a method: to begin, per training step, per look at the dev part, per scored example."""

    fixed: float
    step: float
    look: float
    example: float

    def of(self, budget: Budget | None, examples: int) -> float:
        """The seconds of a gang that takes the whole budget and has so many examples scored, all cells together."""
        steps = budget.steps if budget else 0
        looks = steps // budget.dev_every if budget and budget.keep == "best" else 0
        return self.fixed + steps * self.step + looks * self.look + examples * self.example


def memory_of(planned: PlannedGang, *, tokens: int, answer: int, device: str = "") -> int | None:
    """Bytes that training a gang takes on notes of so many tokens; ``None`` where no formula is known.

    Weights that train are known for encoders only. ``device`` takes the place of the one of the study; what it names
    need not be in this machine, on which ``auto`` depends.
    """
    recipe, gang = planned.part.recipe, planned.gang
    own, settings = recipe.methods[gang.method], recipe.backbone
    row = method(own.kind)
    model = blueprint(settings.path)
    encodes = model.config.model_type in ENCODER_TYPES
    if row.weights != "frozen" and not (encodes and row.weights == "all"):
        return None
    accelerator = accelerated(device or settings.device)
    budget: Budget | None = getattr(own, "budget", None)
    # Folds are members of a gang as cells and rates are.
    members = len(planned.cells) * len(budget.rates) * (budget.folds or 1) if budget and row.gangs else 1
    length, placement = _shape(planned)
    usual = (encoder_network if encodes else causal).TOKENS_AT_ONCE[accelerator]
    at_once = (budget.tokens_per_forward if budget else None) or usual
    rows = members * budget.batch if budget else 8
    if isinstance(own, InContext):
        tokens += room_of(own, context_length(model.config.get_text_config()))
    of_row = row_tokens(model.config, tokens=tokens, length=length) if encodes else length + tokens + answer
    work = Work(
        train=row.trains,
        members=members,
        length=length,
        placement=Placement(placement),
        batch=max(1, min(rows, at_once // of_row)),
        tokens=tokens,
        answer=answer,
        recompute=settings.recompute,
        unfrozen=encodes and row.weights == "all",
        head_width=settings.head_width,
        every_layer=_layered(planned),
        encoder_numbers=encoder_numbers(
            getattr(own, "encoder", "none"), hidden=model.config.get_text_config().hidden_size
        ),
    )
    found = estimate(model, work, dtype=DTYPES[settings.dtype], weights=settings.weights, accelerator=accelerator)
    return found.total


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


def times(
    gangs: Sequence[PlannedGang],
    archive: Archive,
    measured: Mapping[Kind, Rate],
    *,
    done: Mapping[str, bool],
    there: Mapping[str, int],
) -> dict[str, tuple[float, str]]:
    """By key of a gang that is not ``done`` the seconds it may take and what that rests on.

    Of a gang of which so many cells are ``there`` already it is the share of the others.
    The mean of what gangs of the same part and method took, which differ in their seed only, goes before what was
    measured; without either there is no entry. A record tells the time also when the folders of its runs are gone.
    """
    taken: dict[tuple[str, str], list[GangRecord]] = {}
    for planned in gangs:
        if record := archive.gang(planned.key):
            taken.setdefault((planned.part.title, planned.gang.method), []).append(record)
    found = {}
    for planned in gangs:
        if done[planned.key]:
            continue
        same = [
            record for record in taken.get((planned.part.title, planned.gang.method), ()) if len(record.seconds) == 2
        ]
        rate = measured.get((planned.part.backbone, planned.gang.method))
        left = 1 - there[planned.key] / len(planned.cells)
        if same:
            mean = statistics.fmean(sum(record.seconds.values()) for record in same)
            found[planned.key] = (left * mean, f"{len(same)} finished gang(s)")
        elif rate is not None:
            budget = getattr(planned.part.recipe.methods[planned.gang.method], "budget", None)
            if (examples := examples_of(planned, archive)) is not None:
                found[planned.key] = (left * rate.of(budget, examples), "measured")
    return found


def examples_of(planned: PlannedGang, archive: Archive) -> int | None:
    """How many examples the cells of a gang are scored on, all together; ``None`` before the data is prepared."""
    content = read_measured_sizes(archive.folder)
    score = planned.part.recipe.score
    sizes = [content.get(f"{planned.part.slug}/{cell.target}/{score.part}") for cell in planned.cells]
    known = [min(size, score.limit or size) for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def measure(gangs: Iterable[PlannedGang], worker: Worker) -> dict[Kind, Rate]:
    """Run a few steps of the first gang of each backbone and method, in a folder that is removed afterwards.

    Metaprompts that are not made yet are made with two steps. What is found is written down beside the study.
    """
    scratch = worker.archive.folder / ".measuring"
    found: dict[Kind, Rate] = {}
    sizes: dict[str, int] = {}
    trial = Worker(scratch, Archive(scratch), worker.progress, worker.say)
    try:
        for planned in gangs:
            part = planned.part
            for name, item in trial.data(part).targets.items():
                split = part.recipe.score.part
                sizes.setdefault(f"{part.slug}/{name}/{split}", len(item.part(Split(split))))
            kind = (part.backbone, planned.gang.method)
            if kind not in found:
                worker.say("measure", f"{part.title}: {planned.gang.method}")
                found[kind] = _rate(planned, trial)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    rates = {"\t".join(kind): asdict(rate) for kind, rate in found.items()}
    write_json(worker.archive.folder / FILE, {"rates": rates, "sizes": sizes})
    return found


def read_measured(folder: Path) -> dict[Kind, Rate]:
    """What was measured for a study before."""
    rates = _content(folder).get("rates", {})
    return {(name.split("\t")[0], name.split("\t")[1]): Rate(**rate) for name, rate in rates.items()}


def read_measured_sizes(folder: Path) -> dict[str, int]:
    """How many examples each part of each target has, as far as it was looked at."""
    return _content(folder).get("sizes", {})


def _content(folder: Path) -> dict:
    file = folder / FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _rate(planned: PlannedGang, trial: Worker) -> Rate:
    """Three short trainings tell the step, the look and the rest apart; two examples per cell the scoring."""
    own = planned.part.recipe.methods[planned.gang.method]
    if not hasattr(own, "budget"):
        _, example = _taken(planned, trial, None)
        return Rate(0.0, 0.0, 0.0, example)
    short, _ = _taken(planned, trial, {"steps": 2, "dev_every": 2})
    long, example = _taken(planned, trial, {"steps": 6, "dev_every": 6})
    step, look = max(0.0, (long - short) / 4), 0.0
    if own.budget.keep == "best":
        looked, _ = _taken(planned, trial, {"steps": 6, "dev_every": 2})
        look = max(0.0, (looked - long) / 2)
    return Rate(max(0.0, short - 2 * step), step, look, example)


def _taken(planned: PlannedGang, trial: Worker, budget: Mapping[str, int] | None) -> tuple[float, float]:
    """Seconds of adapting, and of scoring one example, with this much training."""
    part, gang = planned.part, planned.gang
    recipe = shortened(part.recipe, gang.method, budget)
    given = trial.data(part)
    if from_sources(recipe.methods[gang.method]) and given.metaprompt is None:
        quick = Budget(steps=2, batch=2, dev_limit=2)
        sources = recipe.sources and quickened(recipe.sources, quick)
        part = replace(part, recipe=recipe.model_copy(update={"sources": sources}))
        given = trial.ingredients(part, sources=True, variant=variant_of(recipe.methods[gang.method]))
    found = run_gang(
        recipe.model_copy(update={"across": {}}),
        gang,
        targets=given.targets,
        others={},
        metaprompt=given.metaprompt,
        teachers=given.teachers,
        runs=trial.runs,
        opened=trial.opened(recipe.backbone),
        progress=trial.progress,
        say=lambda stage, text: None,
    )
    scored = sum(min(2, len(item.part(Split(recipe.score.part)))) for item in given.targets.values())
    scored *= max(1, len(planned.cells) // max(1, len(given.targets)))
    return seconds_of(found.adapt) or 0.0, (seconds_of(found.evaluate) or 0.0) / max(1, scored)


def shortened(recipe: Recipe, name: str, budget: Mapping[str, int] | None) -> Recipe:
    """A recipe with a shorter budget of one method, and two examples scored."""
    own = recipe.methods[name]
    if budget is not None:
        own = own.model_copy(update={"budget": own.budget.model_copy(update=dict(budget))})
    score = recipe.score.model_copy(update={"limit": 2, "resamples": 100})
    return recipe.model_copy(update={"methods": recipe.methods | {name: own}, "score": score})
