"""A study taken apart: parts (recipes), gangs (method and seed) and cells (target, shots, draw), each with a key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from clinprompt.errors import InputError
from clinprompt.schema.example import TaskKind
from clinprompt.stages.configs import BackboneSettings, PromptSettings
from clinprompt.stages.identity import input_content, run_id
from clinprompt.stages.methods import MethodSettings, Settings, for_encoder, from_metaprompt, from_sources, own_rates
from clinprompt.study.gang import Gang, first_draw, gangs_of, shots_of
from clinprompt.study.recipe import Recipe, Scoring, Sources, task_name
from clinprompt.study.study_file import LEAVE_ONE_KIND_OUT, Partition, Search, Study
from clinprompt.study.variants import counted, unnamed
from clinprompt.tasks.catalog import load_task

VERSION = 2
"""Part of every key; it grows when the same settings come to mean another result."""


class Configuration(Settings):
    """Everything that decides the results of a gang, or of one cell of it: what its key is made of."""

    backbone: BackboneSettings
    prompt: PromptSettings
    limits: dict[str, int]
    sources: Sources | None
    metaprompt: Path | None
    targets: tuple[str, ...]
    across: dict[str, tuple[str, ...]]
    method: MethodSettings
    search: Search | None
    shots: tuple[int | str, ...]
    draws: int
    first_draw: int
    seed: int
    score: Scoring


@dataclass(frozen=True, slots=True)
class Part:
    """One recipe of a study and where it stands in the grid; ``sources`` is how many, 0 for a finished metaprompt."""

    backbone: str
    partition: str
    sources: int
    length: int
    title: str
    recipe: Recipe

    @property
    def slug(self) -> str:
        """The title as a file name."""
        return slug(self.title)


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """One result to be had: a target at a shot count and draw."""

    key: str
    target: str
    shots: str
    draw: int


@dataclass(frozen=True, slots=True)
class PlannedGang:
    """A gang of a part and its cells. Parts that differ in nothing the gang sees share it: the key is the same."""

    key: str
    part: Part
    gang: Gang
    configuration: Configuration
    cells: tuple[PlannedCell, ...]


def parts_of(study: Study) -> list[Part]:
    """The recipes of a study: backbone by backbone, every partition, source count and prompt length."""
    found = []
    partitions = partitions_of(study)
    counts = study.source_counts or (None,)
    lengths = study.lengths or (study.prompt.length,)
    for name, (label, partition), count, length in product(study.backbones, partitions.items(), counts, lengths):
        tasks = partition.sources[:count]
        words = [name] * (len(study.backbones) > 1) + [label] * (len(partitions) > 1)
        words += [f"{count} sources" if count != 1 else "1 source"] * (count is not None and len(counts) > 1)
        words += [f"length {length}"] * (len(lengths) > 1)
        title = ", ".join(words) or name
        used = len(tasks) if study.sources else 0
        found.append(Part(name, label, used, length, title, _recipe(study, name, title, partition, tasks, length)))
    return found


def slug(text: str) -> str:
    """A text as a file name.

    >>> slug("embedded, without NLI, 5 sources")
    'embedded-without-NLI-5-sources'
    """
    return "-".join("".join(c if c.isalnum() or c in "._" else " " for c in text).split())


def partitions_of(study: Study) -> dict[str, Partition]:
    """The partitions by name; those of leave-one-kind-out are called after the kind that is left out."""
    if isinstance(study.partitions, dict):
        return study.partitions
    assert study.tasks is not None
    if not study.leaves_kinds_out:
        return {"all": study.tasks}
    kinds = {name: load_task(name).kind for name in (*study.tasks.sources, *study.tasks.targets)}
    found = {}
    for kind in TaskKind:
        sources = tuple(name for name in study.tasks.sources if kinds[name] is not kind)
        if targets := tuple(name for name in study.tasks.targets if kinds[name] is kind):
            if study.sources is not None and len(sources) < max(study.source_counts, default=1):
                raise InputError(
                    f"without those of the kind {kind.value}, that of {', '.join(targets)}, {len(sources)} sources "
                    f"are left of {len(study.tasks.sources)}",
                    where=f"partitions: {LEAVE_ONE_KIND_OUT}",
                    fix="add sources of other kinds, or leave these targets out",
                )
            found[f"without {kind.value}"] = Partition(sources=sources, targets=targets)
    return found


def planned(parts: Sequence[Part], search: Search | None = None) -> list[PlannedGang]:
    """The gangs of the parts, each once: of several with the same key the first."""
    found: dict[str, PlannedGang] = {}
    for one in named(parts, search):
        found.setdefault(one.key, one)
    return list(found.values())


def named(parts: Sequence[Part], search: Search | None = None) -> list[PlannedGang]:
    """The gangs of the parts under all their names: methods with equal settings have the same key."""
    return [plan_gang(part, gang, search) for part in parts for gang in gangs_of(part.recipe)]


def plan_gang(part: Part, gang: Gang, search: Search | None = None) -> PlannedGang:
    """A gang with its key and cells."""
    recipe, method = part.recipe, part.recipe.methods[gang.method]
    shots, first = shots_of(recipe, gang), first_draw(recipe, gang)
    whole = Configuration(
        backbone=recipe.backbone,
        prompt=recipe.prompt,
        limits={str(name): count for name, count in recipe.limits.items()},
        sources=recipe.sources and counted(recipe.sources, method),
        metaprompt=recipe.metaprompt if from_metaprompt(method) else None,
        targets=recipe.targets,
        across=recipe.across,
        method=unnamed(method),
        search=search if hasattr(method, "budget") and search and search.kind != "grid" else None,
        shots=shots,
        draws=recipe.draws,
        first_draw=first,
        seed=gang.seed,
        score=recipe.score,
    )
    metaprompt = {"metaprompt": whole.metaprompt} if whole.metaprompt else {}
    contents = {name: input_content(path, name=name).sha256 for name, path in metaprompt.items()}
    key = run_id(stage="gang", version=VERSION, config=whole, inputs=metaprompt, contents=contents)
    return PlannedGang(key, part, gang, whole, tuple(_cells(whole, metaprompt, contents)))


def shard_of(gangs: Sequence[PlannedGang], *, number: int, of: int) -> list[PlannedGang]:
    """Every ``of``-th gang, beginning with the ``number``-th: disjoint shards, together all."""
    return [gang for place, gang in enumerate(gangs) if place % of == number - 1]


def places(
    targets: Sequence[str], shots: Sequence[int | str], *, first_draw: int, draws: int
) -> Iterator[tuple[str, int | str, int]]:
    """Target, shots and draw of each cell of a gang; of all examples, and of none, there is one draw."""
    for target, count in product(targets, shots):
        for draw in (0,) if count in ("full", 0) else range(first_draw, first_draw + draws):
            yield target, count, draw


def _cells(whole: Configuration, inputs: Mapping[str, Path], contents: Mapping[str, str]) -> Iterator[PlannedCell]:
    for target, shots, draw in places(whole.targets, whole.shots, first_draw=whole.first_draw, draws=whole.draws):
        across = {target: whole.across[target]} if target in whole.across else {}
        alone = {"targets": (target,), "across": across, "shots": (shots,), "draws": 1, "first_draw": draw}
        config = whole.model_copy(update=alone)
        key = run_id(stage="cell", version=VERSION, config=config, inputs=inputs, contents=contents)
        yield PlannedCell(key, task_name(target), str(shots), draw)


def _recipe(study: Study, name: str, title: str, partition: Partition, tasks: tuple[str, ...], length: int) -> Recipe:
    needs = any(map(from_sources, study.methods.values()))
    encodes = study.search is not None and _encodes(study.backbones[name].path)
    sources = None
    if study.sources and needs:
        # As they are, not dumped: of a variant those fields count that it gives, its defaults among them.
        own = {name: getattr(study.sources, name) for name in study.sources.model_fields_set}
        sources = Sources(tasks=tasks, **own)
    return Recipe(
        name=f"{study.name}: {title}",
        description=study.description,
        backbone=study.backbones[name],
        data_root=study.data_root,
        prompt=study.prompt.model_copy(update={"length": length}),
        sources=sources,
        metaprompt=study.metaprompts.get(name) if needs else None,
        targets=partition.targets,
        limits=study.limits,
        methods={label: searched(method, study.search, encodes=encodes) for label, method in study.methods.items()},
        across={target: several for target, several in study.across.items() if target in partition.targets},
        compare=study.compare,
        shots=study.shots,
        draws=study.draws,
        own_draws=study.own_draws,
        seeds=study.seeds,
        score=study.score,
        leakage=study.leakage,
    )


def searched(method: MethodSettings, search: Search | None, *, encodes: bool = False) -> MethodSettings:
    """A method with the learning rates that the search tries; those of its own stay.

    They are round the rate that the method has by itself on the backbone, which may be an encoder (``encodes``).
    """
    if search is None or not hasattr(method, "budget") or own_rates(method):
        return method
    usual = type(method)()
    centre = (for_encoder(usual) if encodes else usual).budget.rates[0]
    if search.kind == "grid":
        exponents = [place - (search.trials - 1) / 2 for place in range(search.trials)]
        rates = tuple(float(f"{centre * search.step**exponent:.3g}") for exponent in exponents)
    else:
        rates = (centre,)
    return method.model_copy(update={"budget": method.budget.model_copy(update={"rates": rates})})


def _encodes(backbone: str) -> bool:
    """Whether a backbone is an encoder; one that is not here is taken for a decoder, and nothing can run on it."""
    from clinprompt.backbones.encoder_loading import reads

    try:
        return reads(backbone)
    except InputError:
        return False
