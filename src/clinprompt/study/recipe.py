"""A recipe: sources, targets, methods, shots and seeds of one whole job, in one file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from clinprompt.data.limit import Limits
from clinprompt.maths.decomposition import Shift
from clinprompt.registry import unknown_name
from clinprompt.stages.configs import BackboneSettings, DecodingSettings, LeakageCheck, PromptSettings
from clinprompt.stages.methods import (
    Budget,
    Instruction,
    MethodSettings,
    Settings,
    from_metaprompt,
    from_teachers,
)
from clinprompt.tasks.catalog import load_task


@cache
def task_name(given: str) -> str:
    """The name of a task that a recipe names by its place in the catalogue, its file or its prepared folder."""
    return load_task(given).name


def variant_of(method: MethodSettings) -> str:
    """The variant of the sources that a method starts from; empty for the metaprompt that they make by themselves."""
    return getattr(method, "metaprompt", "")


def each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values; raises ``ValueError`` for one that stands twice."""
    if twice := [str(value) for value, count in Counter(values).items() if count > 1]:
        raise ValueError(f"each stands once, and these stand more often: {', '.join(twice)}")
    return values


def _counts(shots: tuple[int | str, ...]) -> tuple[int | str, ...]:
    if wrong := [str(count) for count in shots if isinstance(count, int) and count < 0]:
        raise ValueError(f"shots are 0, 1, 2 … or full, not {', '.join(wrong)}")
    return each_once(shots)


Shots = Annotated[tuple[int | Literal["full"], ...], Field(min_length=1), AfterValidator(_counts)]
"""Numbers of training examples, each once; ``full`` is all."""
Seeds = Annotated[tuple[int, ...], Field(min_length=1), AfterValidator(each_once)]
"""Seeds of training, each once."""
Names = Annotated[tuple[str, ...], AfterValidator(each_once)]
"""Tasks, each once."""


def check_own_draws(seeds: tuple[int, ...]) -> None:
    """Raise ``ValueError`` for seeds that can have no draws of their own, as these are numbered by the seed."""
    if wrong := [str(seed) for seed in seeds if seed < 1]:
        raise ValueError(f"with `own_draws` a seed is the number of its draws too: 1, 2 …, not {', '.join(wrong)}")


class MetapromptTraining(Settings):
    """How a metaprompt is made: teachers, then distillation. See ``TeachSettings`` and ``DistillSettings``.

    There are no teachers where nothing asks for them: with ``weight`` 0 and another ``distill_start``. ``placement``
    and ``layers`` are in place of the prompt's.
    """

    teach: Budget = Budget(keep="best")
    teach_start: Literal["text", "vocabulary"] = "text"
    distill: Budget = Budget(batch=24, keep="best")
    distill_start: Literal["vocabulary", "text", "teachers"] = "teachers"
    rank: int = Field(1, ge=1)
    weight: float = Field(1.0, ge=0)
    temperature: float = Field(1.0, gt=0)
    hidden_layers: tuple[int, ...] = (-1,)
    mixing: Literal["proportional", "temperature", "uniform"] = "proportional"
    factor_rate: float = Field(0.1, gt=0)
    # These five are left out of a study's keys where they are not used.
    decomposed: bool = Field(True, exclude_if=lambda value: value)
    shift: Shift = Field("product", exclude_if=lambda shift: shift == "product")
    placement: Literal["prefix", "suffix", "both", "apart"] | None = Field(None, exclude_if=lambda place: place is None)
    layers: Literal["input", "every"] | None = Field(None, exclude_if=lambda layers: layers is None)
    seed: int = 1


class SourceTraining(MetapromptTraining):
    """How metaprompts are made of the sources: the one that methods start from, and others that they name.

    A variant has the fields that it gives, and all others as they are here; a budget in it is a whole one.
    ``exclude_overlap`` leaves documents that stand in a target's test part out of the sources.
    """

    exclude_overlap: bool = False
    variants: dict[str, MetapromptTraining] = Field(default_factory=dict, exclude_if=lambda variants: not variants)


def check_variants(methods: Mapping[str, MethodSettings], sources: SourceTraining | None) -> None:
    """Raise ``ValueError`` for a method whose variant the sources do not have."""
    for variant in filter(None, map(variant_of, methods.values())):
        if sources is None:
            raise ValueError(f"the metaprompt {variant!r} is a variant of `sources`, and there are none")
        if variant not in sources.variants:
            raise ValueError(str(unknown_name("variant of the sources", variant, sources.variants)))


class Sources(SourceTraining):
    """The source tasks of a metaprompt and how it is made of them."""

    tasks: Names = Field(min_length=1)


class Scoring(Settings):
    """What is scored, and how; see ``EvaluateSettings``."""

    part: Literal["dev", "test"] = "test"
    limit: int | None = Field(None, ge=1)
    answer_tokens: int = Field(128, ge=1)
    decoding: DecodingSettings = DecodingSettings()
    likelihood: bool = True
    resamples: int = Field(10_000, ge=100)


class Recipe(Settings):
    """One whole job. ``methods`` are rows of the final table: a name and the method's settings.

    Tasks are names of the catalogue, task files with ``data``, or folders that ``clinprompt data import`` wrote. Every
    seed of training sees the same few-shot draws, or with ``own_draws`` draws of its own, numbered by the seed: then
    runs differ in both, and few runs show the spread of both.

    ``across`` names, for a target, other tasks with the same labels: what was trained on the target is scored on their
    examples too, as a line of its own. ``compare`` names methods and, for each, those whose scores are subtracted from
    its own.
    """

    name: str
    description: str = ""
    backbone: BackboneSettings = BackboneSettings()
    data_root: Path | None = None
    prompt: PromptSettings = PromptSettings()
    sources: Sources | None = None
    metaprompt: Path | None = None
    targets: Names = Field(min_length=1)
    limits: Limits = Field(default_factory=dict)
    methods: dict[str, MethodSettings] = Field(default_factory=lambda: {"instruction": Instruction()}, min_length=1)
    across: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    compare: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    shots: Shots = ("full",)
    draws: int = Field(1, ge=1)
    own_draws: bool = False
    seeds: Seeds = (1,)
    score: Scoring = Scoring()
    leakage: LeakageCheck = LeakageCheck()

    @property
    def others(self) -> tuple[str, ...]:
        """The tasks of ``across`` that targets are scored on too, each once."""
        return tuple(dict.fromkeys(name for several in self.across.values() for name in several))

    @field_validator("across")
    @classmethod
    def _targets_of_the_recipe(
        cls, across: dict[str, tuple[str, ...]], info: ValidationInfo
    ) -> dict[str, tuple[str, ...]]:
        targets = info.data.get("targets", ())
        for name in across:
            if targets and name not in targets:
                raise ValueError(str(unknown_name("target of this recipe", name, targets)))
        return across

    @field_validator("compare")
    @classmethod
    def _methods_of_the_recipe(
        cls, compare: dict[str, tuple[str, ...]], info: ValidationInfo
    ) -> dict[str, tuple[str, ...]]:
        methods = info.data.get("methods", {})  # absent when they are themselves at fault
        for method, references in compare.items():
            for name in (method, *references):
                if methods and name not in methods:
                    raise ValueError(str(unknown_name("method of this recipe", name, methods)))
            if not references or len({method, *references}) != len(references) + 1:
                raise ValueError(f"{method!r} needs one or more other methods, each once")
        return compare

    @model_validator(mode="after")
    def _draws_by_seed(self) -> Recipe:
        if self.own_draws:
            check_own_draws(self.seeds)
        return self

    @model_validator(mode="after")
    def _sources_are_no_targets(self) -> Recipe:
        if both := sorted(set(self.sources.tasks) & set(self.targets)) if self.sources else []:
            raise ValueError(f"a task cannot be source and target of the same recipe: {', '.join(both)}")
        return self

    @model_validator(mode="after")
    def _a_metaprompt_for_mpt(self) -> Recipe:
        needs = any(map(from_metaprompt, self.methods.values()))
        if needs and (self.sources is None) == (self.metaprompt is None):
            raise ValueError(
                "method mpt needs either `sources` (to make a metaprompt) or `metaprompt` (a file); so does routing, "
                "unless `experts` is a number"
            )
        check_variants(self.methods, self.sources)
        return self

    @model_validator(mode="after")
    def _teachers_where_they_are_needed(self) -> Recipe:
        if any(map(from_teachers, self.methods.values())) and (self.sources is None or self.metaprompt is not None):
            raise ValueError(
                "methods spot and attention start from the prompts of the sources, and need `sources`; a `metaprompt` "
                "file does not hold these prompts, and is left out"
            )
        return self
