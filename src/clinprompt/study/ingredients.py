"""What a recipe starts from: prepared targets and sources, and what its methods need of the sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from clinprompt.errors import InputError
from clinprompt.stages.configs import PrepareSettings
from clinprompt.stages.distill import distill
from clinprompt.stages.earlier import told_taken
from clinprompt.stages.opened import Opened
from clinprompt.stages.prepare import LEFT_OUT, TOO_LONG, prepare
from clinprompt.stages.prepared import Prepared, open_prepared
from clinprompt.stages.progress import Progress
from clinprompt.stages.run_folder import RunFolder
from clinprompt.stages.teach import teach
from clinprompt.study.recipe import Recipe
from clinprompt.study.variants import chosen, distill_settings, distils, teach_settings, teaches

Say = Callable[[str, str], None]
"""``say("teach", "6 tasks …")``: one line per stage."""


def prepare_all(
    recipe: Recipe, *, runs: Path, progress: Progress, say: Say
) -> tuple[dict[str, Prepared], dict[str, Prepared]]:
    """The targets and the sources of a recipe, the sources without the targets' test documents if it says so."""
    targets = prepare_tasks(recipe.targets, recipe, runs, progress, say)
    if recipe.sources is None:
        return targets, {}
    apart = tuple(item.path for item in targets.values()) if recipe.sources.exclude_overlap else ()
    return targets, prepare_tasks(recipe.sources.tasks, recipe, runs, progress, say, apart_from=apart)


def prepare_tasks(
    names: Sequence[str], recipe: Recipe, runs: Path, progress: Progress, say: Say, *, apart_from: tuple[Path, ...] = ()
) -> dict[str, Prepared]:
    """Tasks prepared as a recipe limits them, by name; documents of test parts ``apart_from`` are left out."""
    found: dict[str, Prepared] = {}
    if not names:
        return found
    say("prepare", ", ".join(names))
    with progress("prepare", len(names)) as advance:
        for name in names:
            settings = PrepareSettings(
                task=name, data_root=recipe.data_root, limits=recipe.limits, apart_from=apart_from
            )
            run = prepare(settings, runs=runs)
            for place, count in run.summary().get(LEFT_OUT, {}).items():
                say("prepare", f"{name}: {count} examples left out, {place} (their documents stand in its test part)")
            for part, count in run.summary().get(TOO_LONG, {}).items():
                if count:
                    say("prepare", f"{name}: {count} examples left out of {part}, longer than limits.characters")
            item = open_prepared(run.path)
            if item.task.name in found:
                raise InputError(
                    f"two tasks have the name {item.task.name}", where=name, fix="rename one, or leave it out"
                )
            found[item.task.name] = item
            advance(1)
    return found


def make_metaprompt(
    recipe: Recipe,
    sources: Mapping[str, Prepared],
    *,
    variant: str = "",
    runs: Path,
    opened: Opened,
    progress: Progress,
    say: Say,
) -> tuple[RunFolder | None, RunFolder | None]:
    """The finished runs that taught a recipe's teachers and made its metaprompt or a variant of it.

    Each is made where a method starts from it; teachers also where the metaprompt is made with them.
    """
    assert recipe.sources is not None
    given = chosen(recipe.sources, variant)
    paths = tuple(item.path for item in sources.values())
    taught = None
    if teaches(recipe, variant):
        say("teach", f"{len(paths)} teachers, {given.teach.steps} steps side by side")
        taught = teach(teach_settings(recipe, variant, sources=paths), runs=runs, opened=opened, progress=progress)
        for line in told_taken(taught.summary()):
            say("teach", line)
    if not distils(recipe, variant):
        return taught, None
    factors = f"rank {given.rank}" if given.decomposed else "no factors"
    named = f"{variant}: " if variant else ""
    say("distill", f"{named}one metaprompt of {len(paths)} tasks, {factors}, {given.distill.steps} steps")
    settings = distill_settings(recipe, variant, sources=paths, teachers=taught.path if taught else None)
    return taught, distill(settings, runs=runs, opened=opened, progress=progress)
