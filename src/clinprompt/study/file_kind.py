"""Which file was given: a recipe is one comparison, a study is a grid of them, and each has commands of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clinprompt.errors import InputError

RECIPE = frozenset({"backbone", "targets", "metaprompt"})
"""Fields that a recipe has and no study."""
STUDY = frozenset({"backbones", "tasks", "partitions", "metaprompts"})
"""Fields that a study has and no recipe."""


def no_study(given: Mapping[str, Any], where: str) -> None:
    """Raise :class:`InputError` where a recipe was asked for and the fields are those of a study."""
    if STUDY & given.keys() and not RECIPE & given.keys():
        raise InputError("this is a study, a grid of recipes", where=where, fix="run it with `clinprompt study run`")


def no_recipe(given: Mapping[str, Any], where: str) -> None:
    """Raise :class:`InputError` where a study was asked for and the fields are those of a recipe."""
    if RECIPE & given.keys() and not STUDY & given.keys():
        raise InputError("this is a recipe, a single comparison", where=where, fix="run it with `clinprompt run`")
