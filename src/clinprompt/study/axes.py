"""Mean scores of methods along what a study varies: trained numbers, sources, prompt length, size of the backbone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clinprompt.study.collection import PartResult
from clinprompt.study.drawings import Drawing, Point, curve, looks_of
from clinprompt.study.expansion import Part, slug
from clinprompt.study.group_table import ALL, GroupLine
from clinprompt.study.score_table import TRIVIAL, shot_order, shots_title

AXES: tuple[tuple[str, str, bool, Callable[[PartResult], float]], ...] = (
    ("sources", "source tasks", False, lambda one: one.part.sources),
    ("length", "prompt length", False, lambda one: one.part.length),
    ("backbone", "parameters of the backbone", True, lambda one: one.result.backbone_parameters if one.result else 0),
)
"""Name, title of the axis, whether it is logarithmic, and where a part stands on it."""


def axis_drawings(has: Sequence[PartResult]) -> list[Drawing]:
    """A curve for every axis along which otherwise equal parts differ, and for every part the scores over the cost."""
    methods = dict.fromkeys(name for one in has for name in one.part.recipe.methods)
    looks = looks_of({name: number for number, name in enumerate(methods)})
    found = []
    for name, axis, log, at in AXES:
        for where, family in families(has, name):
            if len({at(one) for one in family}) < 2:
                continue
            for shots in _shots(family):
                points = [_point(line, at(one)) for one in family for line in _means(one, shots)]
                title = f"{where}{': ' if where else ''}mean score by {axis}, {shots_title(shots)}"
                file = "-".join(filter(None, (name, slug(where), slug(shots))))
                found.append(curve(points, looks, name=file, title=title, axis=axis, log=log))
    for one in has:
        for shots in _shots([one]):
            points = [_point(line, line.trainable) for line in _means(one, shots)]
            if len(points) > 1:
                title = f"{one.part.title}: score by trained numbers, {shots_title(shots)}"
                file = f"cost-{one.part.slug}-{slug(shots)}"
                axis = "trained numbers per target"
                found.append(curve(points, looks, name=file, title=title, axis=axis, log=True))
    return found


def families(found: Sequence[PartResult], axis: str) -> list[tuple[str, list[PartResult]]]:
    """The parts that differ in nothing but where they stand on an axis, and what tells them from other such parts."""
    families: dict[tuple, list[PartResult]] = {}
    for one in found:
        families.setdefault(_others(one.part, axis), []).append(one)
    return [(_where(family) if len(families) > 1 else "", family) for family in families.values()]


def _others(part: Part, name: str) -> tuple:
    """Where a part stands on all axes but one."""
    at = {"backbone": part.backbone, "partition": part.partition, "sources": part.sources, "length": part.length}
    return tuple(value for axis, value in at.items() if axis != name)


def _where(family: Sequence[PartResult]) -> str:
    """What the titles of all parts of a family say: where they stand on the axes that do not vary among them."""
    first, *others = ([*one.part.title.split(", ")] for one in family)
    return ", ".join(words for words in first if all(words in other for other in others))


def _shots(family: Sequence[PartResult]) -> list[str]:
    """The shot counts, without 0 where there are more: what needs none is drawn beside each of the others."""
    found = shot_order(line.shots for one in family for line in _all(one) if line.method != TRIVIAL)
    return [shots for shots in found if shots != "0"] or found


def _means(one: PartResult, shots: str) -> list[GroupLine]:
    """The means over all targets at one shot count, of methods without shots at every one."""
    has = [line for line in _all(one) if line.method != TRIVIAL]
    shot = {line.method for line in has if line.shots != "0"}
    return [line for line in has if line.shots == shots or (line.shots == "0" and line.method not in shot)]


def _all(one: PartResult) -> list[GroupLine]:
    if one.result is None:
        return []
    groups = one.result.groups.groups
    name = ALL if ALL in groups else next(iter(groups), ALL)
    return [line for line in one.result.groups.lines if line.group == name]


def _point(line: GroupLine, x: float) -> Point:
    return Point(line.method, float(x), line.score, line.low, line.high, line.leakage)
