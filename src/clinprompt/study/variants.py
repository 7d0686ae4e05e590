"""Several metaprompts of the same sources: which one a method starts from, and how each is made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from clinprompt.stages.configs import DistillSettings, TeachSettings
from clinprompt.stages.methods import (
    Budget,
    MethodSettings,
    from_metaprompt,
    from_sources,
    from_teachers,
    needs_teachers,
)
from clinprompt.study.recipe import Recipe, Sources, SourceTraining, variant_of

Making = TypeVar("Making", bound=SourceTraining)


def variants_of(methods: Mapping[str, MethodSettings]) -> list[str]:
    """The variants that methods start from, each once; the empty name first where one of them has none."""
    return sorted({variant_of(method) for method in methods.values() if from_sources(method)})


def unused(methods: Mapping[str, MethodSettings], sources: SourceTraining | None) -> list[str]:
    """The variants of the sources that no method names: these metaprompts are not made."""
    return [name for name in (sources.variants if sources else ()) if name not in map(variant_of, methods.values())]


def chosen(sources: Making, variant: str) -> Making:
    """How the metaprompt of a variant is made: as the sources say, but for the fields that the variant has."""
    own = sources.variants[variant] if variant else None
    changes = {name: getattr(own, name) for name in own.model_fields_set} if own else {}
    return sources.model_copy(update=changes | {"variants": {}})


def counted(sources: Sources, method: MethodSettings) -> Sources | None:
    """What of the sources decides a method's results: of methods that start from teachers how these are made."""
    if from_teachers(method):
        taught = ("tasks", "teach", "teach_start", "placement", "seed", "exclude_overlap")
        return Sources(**{name: getattr(sources, name) for name in taught})
    return chosen(sources, variant_of(method)) if from_metaprompt(method) else None


def unnamed(method: MethodSettings) -> MethodSettings:
    """The method without the name of its metaprompt: what a run of it is asked for."""
    return method.model_copy(update={"metaprompt": ""}) if variant_of(method) else method


def quickened(sources: Making, budget: Budget) -> Making:
    """The sources and their variants with another budget of both trainings."""
    update = {"teach": budget, "distill": budget}
    variants = {name: variant.model_copy(update=update) for name, variant in sources.variants.items()}
    return sources.model_copy(update=update | {"variants": variants})


def distils(recipe: Recipe, variant: str) -> bool:
    """Whether a method of the recipe starts from the metaprompt of a variant of its sources."""
    return any(from_metaprompt(method) for method in recipe.methods.values() if variant_of(method) == variant)


def teaches(recipe: Recipe, variant: str) -> bool:
    """Whether teachers are made for a variant: for its metaprompt, or for methods that start from them."""
    assert recipe.sources is not None
    given = chosen(recipe.sources, variant)
    own = [method for method in recipe.methods.values() if variant_of(method) == variant]
    return any(map(from_teachers, own)) or (
        distils(recipe, variant) and needs_teachers(given.weight, given.distill_start)
    )


def teach_settings(recipe: Recipe, variant: str, *, sources: tuple[Path, ...]) -> TeachSettings:
    """How the teachers of a variant are made of these prepared ``sources``."""
    assert recipe.sources is not None
    given = chosen(recipe.sources, variant)
    own_shape = {name: value for name in ("placement", "layers") if (value := getattr(given, name))}
    return TeachSettings(
        backbone=recipe.backbone,
        sources=sources,
        prompt=recipe.prompt.model_copy(update=own_shape),
        start=given.teach_start,
        budget=given.teach,
        seed=given.seed,
    )


def distill_settings(
    recipe: Recipe, variant: str, *, sources: tuple[Path, ...], teachers: Path | None
) -> DistillSettings:
    """How the metaprompt of a variant is made; ``teachers``, a run, do not count where it needs none.

    It is the same with methods that ask for teachers and without.
    """
    assert recipe.sources is not None
    given = chosen(recipe.sources, variant)
    needed = needs_teachers(given.weight, given.distill_start)
    return DistillSettings(
        backbone=recipe.backbone,
        teachers=teachers if needed else None,
        prompt=None if needed else teach_settings(recipe, variant, sources=sources).prompt,
        sources=sources,
        rank=given.rank if given.decomposed else 1,
        shift=given.shift if given.decomposed else "product",
        decomposed=given.decomposed,
        start=given.distill_start,
        weight=given.weight,
        temperature=given.temperature,
        hidden_layers=given.hidden_layers,
        mixing=given.mixing,
        budget=given.distill,
        factor_rate=given.factor_rate,
        seed=given.seed,
    )
