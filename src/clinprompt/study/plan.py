"""A study before it is run, or in the middle: its grid, its gangs, what is done, what is left and what that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinprompt.data.manifest import read_manifest
from clinprompt.errors import InputError, raise_all
from clinprompt.stages.absent import absent_of
from clinprompt.study.archive import Archive, Gap
from clinprompt.study.expansion import Part, PlannedGang
from clinprompt.study.gang import first_draw, gangs_of, shots_of
from clinprompt.study.recipe import Recipe, task_name
from clinprompt.tasks.catalog import prepared_folder


@dataclass(frozen=True, slots=True)
class PlanLine:
    """A method of a part: its gangs and cells, how many gangs are done or failed, and what those that are left take.

    ``seconds`` and ``memory`` in bytes are ``None`` where they are not known; ``rests_on`` says what the time is from.
    ``same_as`` names the line that has the same gangs, which are run once and count there.
    """

    part: str
    method: str
    kind: str
    gangs: int
    done: int
    failed: int
    cells: int
    trials: int
    seconds: float | None
    rests_on: str
    memory: int | None
    same_as: str = ""

    @property
    def left(self) -> int:
        """The gangs that are still to be run."""
        return self.gangs - self.done


def plan_lines(
    gangs: Sequence[PlannedGang],
    archive: Archive,
    *,
    done: Mapping[str, bool],
    times: Mapping[str, tuple[float, str]],
    memory: Mapping[str, int | None],
) -> list[PlanLine]:
    """A line per part and method, for gangs under all their names; ``done``, ``times``, ``memory`` are by key."""
    failed = {gap.key for gap in archive.gaps() if not gap.target}
    rows: dict[tuple[str, str], list[PlannedGang]] = {}
    first: dict[str, tuple[str, str]] = {}
    for planned in gangs:
        place = (planned.part.title, planned.gang.method)
        rows.setdefault(place, []).append(planned)
        first.setdefault(planned.key, place)
    found = []
    for (part, name), own in rows.items():
        left = [planned for planned in own if not done[planned.key]]
        known = [times[planned.key] for planned in left if planned.key in times]
        budget = getattr(own[0].configuration.method, "budget", None)
        search = own[0].configuration.search
        found.append(
            PlanLine(
                part=part,
                method=name,
                kind=own[0].configuration.method.kind,
                gangs=len(own),
                done=len(own) - len(left),
                failed=sum(planned.key in failed for planned in left),
                cells=sum(len(planned.cells) for planned in own),
                trials=search.trials if search else len(budget.rates) if budget else 0,
                seconds=sum(seconds for seconds, _ in known) if len(known) == len(left) else None,
                rests_on=", ".join(dict.fromkeys(what for _, what in known)) if left else "",
                memory=memory.get(own[0].key),
                same_as=_same(first[own[0].key], (part, name)),
            )
        )
    return found


def _same(first: tuple[str, str], place: tuple[str, str]) -> str:
    """The line that comes first, as one calls it from another; empty for itself."""
    if first == place:
        return ""
    return first[1] if first[0] == place[0] else ": ".join(first)


def grid(parts: Sequence[Part]) -> dict[str, Any]:
    """The axes of a study with their values, in order."""
    recipe: Recipe = parts[0].recipe
    firsts = {first_draw(recipe, gang) for gang in gangs_of(recipe)}
    axes: dict[str, Sequence[Any]] = {
        "backbones": [part.backbone for part in parts],
        "partitions": [part.partition for part in parts],
        "sources": [part.sources for part in parts],
        "lengths": [part.length for part in parts],
        "targets": [name for part in parts for name in part.recipe.targets],
        "methods": list(recipe.methods),
        "shots": recipe.shots,
        "draws": [first + draw for first in sorted(firsts) for draw in range(recipe.draws)],
        "seeds": recipe.seeds,
    }
    return {name: list(dict.fromkeys(values)) for name, values in axes.items()}


def missing_data(parts: Sequence[Part]) -> list[tuple[tuple[str, ...], InputError]]:
    """What of the data of a study is not there: one paragraph each, with the tasks that need it."""
    found: dict[str, tuple[list[str], InputError]] = {}
    wanted: dict[tuple[str, Path | None], None] = {}
    for part in parts:
        recipe = part.recipe
        names = (*(recipe.sources.tasks if recipe.sources else ()), *recipe.targets, *recipe.others)
        wanted.update(dict.fromkeys((name, recipe.data_root) for name in names))
    for name, root in wanted:
        for fault in absent_of([name], data_root=root).values():
            # Tasks on the same corpus say the same.
            found.setdefault(str(fault), ([], fault))[0].append(name)
    return [(tuple(names), fault) for names, fault in found.values()]


def refuse_without_data(gangs: Sequence[PlannedGang]) -> None:
    """Raise :class:`InputError` that names all data that is not there, where no gang could be run without it."""
    parts = {planned.part.title: planned.part for planned in gangs}
    if parts and all(missing_data([part]) for part in parts.values()):
        raise_all([fault for _, fault in missing_data(list(parts.values()))])


def unequal(gangs: Sequence[PlannedGang]) -> dict[str, int]:
    """The trials of each trained method where they are not all the same; empty where the search is fair."""
    trials = {}
    for planned in gangs:
        if budget := getattr(planned.configuration.method, "budget", None):
            search = planned.configuration.search
            trials[planned.gang.method] = search.trials if search else len(budget.rates)
    return trials if len(set(trials.values())) > 1 else {}


def incomparable(recipe: Recipe) -> list[tuple[str, str]]:
    """The comparisons that no difference will be shown of: the methods have no shot count in common.

    A reference that has 0 alone is compared with all.
    """
    shots = {gang.method: set(shots_of(recipe, gang)) for gang in gangs_of(recipe)}
    pairs = [(method, other) for method, others in recipe.compare.items() for other in others]
    return [(method, other) for method, other in pairs if shots[other] != {0} and not shots[method] & shots[other]]


def too_many_shots(parts: Sequence[Part]) -> dict[str, tuple[int, list[int]]]:
    """By target how many training examples it has, and the shots above, as far as that is known before a run.

    It is of prepared folders, and of parts that a limit makes smaller.
    """
    found = {}
    for recipe in [part.recipe for part in parts]:
        limit = recipe.limits.get("train")
        for target in recipe.targets:
            folder = prepared_folder(target)
            train = read_manifest(folder).parts.get("train") if folder else None
            known = [count for count in (train.examples if train else None, limit) if count is not None]
            above = [count for count in recipe.shots if known and isinstance(count, int) and count > min(known)]
            if above:
                found[task_name(target)] = (min(known), above)
    return found


def open_gaps(archive: Archive, gangs: Sequence[PlannedGang]) -> list[Gap]:
    """The gaps of the study as it is now: those of settings that it no longer has are left out."""
    keys = {planned.key for planned in gangs}
    return [gap for gap in archive.gaps() if gap.key in keys]
