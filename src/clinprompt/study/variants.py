"""Several metaprompts of the same sources: which one a method starts from, and how each is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from clinprompt.stages.methods import Budget, MethodSettings, from_metaprompt, from_sources, from_teachers
from clinprompt.study.recipe import Sources, SourceTraining, variant_of

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
