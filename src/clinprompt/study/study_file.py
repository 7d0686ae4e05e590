"""A study: backbones, partitions of tasks, methods, shots and seeds, compared under one search budget, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from clinprompt.data.limit import Limits
from clinprompt.registry import unknown_name
from clinprompt.stages.configs import BackboneSettings, LeakageCheck, PromptSettings
from clinprompt.stages.methods import Instruction, MethodSettings, Settings, from_metaprompt, from_teachers, own_rates
from clinprompt.study.recipe import (
    Names,
    Scoring,
    Seeds,
    Shots,
    SourceTraining,
    check_own_draws,
    check_variants,
    each_once,
)

LEAVE_ONE_KIND_OUT = "leave-one-kind-out"
"""For each kind among the targets: its targets, and the sources of all other kinds."""


class Partition(Settings):
    """Which tasks make the metaprompt and which are adapted to, each in an order that counts.

    Fewer sources (``source_counts``) are the first of them.
    """

    sources: Names = ()
    targets: Names = Field(min_length=1)


class Search(Settings):
    """The same number of ``trials`` for every method that trains, judged on the development part of the target.

    ``grid`` tries learning rates by a factor of ``step`` apart around each method's own default, for every cell by
    itself. ``optuna`` looks for one rate per method and part within ``span`` of that default in both directions, one
    trial after the other on the first seed.
    """

    kind: Literal["grid", "optuna"] = "grid"
    trials: int = Field(3, ge=1)
    step: float = Field(10**0.5, gt=1)
    span: float = Field(10.0, gt=1)
    seed: int = 1


class Ablation(Settings):
    """The four methods of the study that make the 2×2 of decomposition and distillation."""

    neither: str
    decomposition: str
    distillation: str
    both: str

    @model_validator(mode="after")
    def _four_methods(self) -> Ablation:
        if len(set(names := tuple(self.model_dump().values()))) < len(names):
            raise ValueError(f"the table needs four different methods, and has {', '.join(names)}")
        return self


class Study(Settings):
    """A grid of comparisons. Every backbone, partition, source count and prompt length is a part of it: a recipe.

    ``tasks`` is the one partition of a study that has no others, and what ``leave-one-kind-out`` is made from.
    ``metaprompts`` are finished ones by backbone, in place of ``sources``, which say how they are made. The rest is as
    in a recipe; with ``search`` methods need no ``rates`` of their own, and those they have must be as many as its
    trials.
    """

    name: str = Field(pattern=r"^[\w.-]+$")
    description: str = ""
    backbones: dict[str, BackboneSettings] = Field(
        default_factory=lambda: {"embedded": BackboneSettings()}, min_length=1
    )
    data_root: Path | None = None
    prompt: PromptSettings = PromptSettings()
    lengths: Annotated[tuple[int, ...], AfterValidator(each_once)] = ()
    tasks: Partition | None = None
    partitions: dict[str, Partition] | Literal["leave-one-kind-out"] | None = None
    sources: SourceTraining | None = None
    source_counts: Annotated[tuple[int, ...], AfterValidator(each_once)] = ()
    metaprompts: dict[str, Path] = Field(default_factory=dict)
    limits: Limits = Field(default_factory=dict)
    methods: dict[str, MethodSettings] = Field(default_factory=lambda: {"instruction": Instruction()}, min_length=1)
    across: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    compare: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    ablation: Ablation | None = None
    shots: Shots = ("full",)
    draws: int = Field(1, ge=1)
    own_draws: bool = False
    seeds: Seeds = (1,)
    search: Search | None = None
    score: Scoring = Scoring()
    leakage: LeakageCheck = LeakageCheck()

    @property
    def searched(self) -> str:
        """How many learning rates the methods that train have tried, in words."""
        if self.search:
            return f"{self.search.trials} rates each by {self.search.kind}"
        budgets = {name: getattr(method, "budget", None) for name, method in self.methods.items()}
        tried = {name: len(budget.rates) for name, budget in budgets.items() if budget}
        if len(set(tried.values())) > 1:
            return "not equal, rates tried: " + ", ".join(f"{name} {count}" for name, count in tried.items())
        return f"{min(tried.values())} of the study file each" if tried else "no method trains"

    @model_validator(mode="after")
    def _tasks_of_one_kind_of_plan(self) -> Study:
        named = isinstance(self.partitions, dict)
        if named == (self.tasks is not None):
            raise ValueError(
                "give either `tasks` (with `partitions: leave-one-kind-out` or none) or named `partitions`"
            )
        if named and not self.partitions:
            raise ValueError("`partitions` names none")
        return self

    @model_validator(mode="after")
    def _a_metaprompt_where_one_is_needed(self) -> Study:
        if any(map(from_metaprompt, self.methods.values())):
            if (self.sources is None) == (not self.metaprompts):
                raise ValueError(
                    "mpt needs `sources` (how to make a metaprompt) or `metaprompts` (files), one of them; so does "
                    "routing, unless `experts` is a number"
                )
            if self.metaprompts and set(self.metaprompts) != set(self.backbones):
                raise ValueError("`metaprompts` needs one file for each of the `backbones`, under the same name")
        if any(map(from_teachers, self.methods.values())) and (self.sources is None or self.metaprompts):
            raise ValueError(
                "spot and attention need `sources` (how to make the prompts that they start from); `metaprompts` do "
                "not hold these prompts, and are left out"
            )
        if self.metaprompts and (self.lengths or self.source_counts):
            raise ValueError("`metaprompts` have their length and sources: leave out `lengths`, `source_counts`")
        if self.source_counts and self.sources is None:
            raise ValueError("`source_counts` is for metaprompts that are made here: give `sources`")
        check_variants(self.methods, self.sources)
        for part in self._partitions():
            if self.sources is not None and not part.sources:
                raise ValueError("every partition needs `sources`, the tasks that the metaprompt is made from")
            if self.source_counts and max(self.source_counts) > len(part.sources):
                raise ValueError(f"a partition has {len(part.sources)} sources, fewer than `source_counts` asks for")
            if both := sorted(set(part.sources) & set(part.targets)) if not self.leaves_kinds_out else []:
                raise ValueError(f"a task cannot be source and target of the same partition: {', '.join(both)}")
        if min((*self.source_counts, *self.lengths), default=1) < 1:
            raise ValueError("`source_counts` and `lengths` count from 1")
        return self

    @model_validator(mode="after")
    def _draws_by_seed(self) -> Study:
        if self.own_draws:
            check_own_draws(self.seeds)
        return self

    @model_validator(mode="after")
    def _names_of_the_study(self) -> Study:
        named = {"ablation": tuple(self.ablation.model_dump().values())} if self.ablation else {}
        for references in (*named.values(), *((method, *others) for method, others in self.compare.items())):
            for name in references:
                if name not in self.methods:
                    raise ValueError(str(unknown_name("method of this study", name, self.methods)))
        targets = {name for part in self._partitions() for name in part.targets}
        for name in self.across:
            if name not in targets:
                raise ValueError(str(unknown_name("target of this study", name, targets)))
        return self

    @model_validator(mode="after")
    def _as_many_tries_for_each(self) -> Study:
        for name, method in self.methods.items():
            rates = own_rates(method)
            if self.search and self.search.kind == "optuna" and rates:
                raise ValueError(f"method {name!r} has rates of its own, and the search finds one: leave them out")
            if self.search and rates and len(rates) != self.search.trials:
                raise ValueError(
                    f"method {name!r} has {len(rates)} rate(s) of its own and the search {self.search.trials} trials: "
                    "every method of a comparison gets the same number of tries"
                )
        return self

    @property
    def leaves_kinds_out(self) -> bool:
        """Whether the partitions are made from the kinds of the tasks."""
        return self.partitions == LEAVE_ONE_KIND_OUT

    def _partitions(self) -> tuple[Partition, ...]:
        if isinstance(self.partitions, dict):
            return tuple(self.partitions.values())
        return (self.tasks,) if self.tasks else ()
