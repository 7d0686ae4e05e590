"""What methods score on the mean of a study's backbones: per target, and over all targets."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from clinprompt.study.axes import families
from clinprompt.study.collection import PartResult
from clinprompt.study.group_table import GroupLine
from clinprompt.study.job import JobResult
from clinprompt.study.replicates import Place
from clinprompt.study.score_table import TRIVIAL
from clinprompt.study.table import Line
from clinprompt.study.weighted import weighted_interval


@dataclass(frozen=True, slots=True)
class BackboneMean:
    """Means over the backbones of parts that are equal otherwise.

    ``lines`` are of targets that all backbones have, ``means`` of methods that have all targets of a group. Documents
    and runs are drawn as for a single backbone, the same ones for all; the backbones are taken as given. ``n`` and
    ``documents`` are those of one backbone, ``leakage`` the largest one, and the spread is left out.
    """

    title: str
    lines: tuple[Line, ...]
    means: tuple[GroupLine, ...]


def backbone_means(found: Sequence[PartResult]) -> list[BackboneMean]:
    """The means over the backbones of parts that differ in nothing else; none while one of them has no result."""
    means = []
    for where, family in families(found, "backbone"):
        results = [one.result for one in family if one.result is not None]
        if len(results) == len(family) > 1:
            names = ", ".join(one.part.backbone for one in family)
            title = ", ".join(filter(None, (f"mean over {names}", where)))
            means.append(_mean(title, results))
    return means


def _mean(title: str, results: Sequence[JobResult]) -> BackboneMean:
    at = [{(line.method, line.target, line.shots): line for line in result.lines} for result in results]
    shared = [place for place in at[0] if place[0] != TRIVIAL and _same(place, [own.get(place) for own in at], results)]
    lines = {place: _line([own[place] for own in at], results, place) for place in shared}
    groups = [{(line.method, line.group, line.shots): line for line in result.groups.lines} for result in results]
    means = []
    for method, group, shots in groups[0]:
        places = [(method, target, shots) for target in results[0].groups.groups[group]]
        if all(place in lines for place in places) and all((method, group, shots) in own for own in groups):
            own = [line[method, group, shots] for line in groups]
            score, low, high = _of([lines[place].score for place in places], results, places)
            means.append(replace(own[0], score=score, low=low, high=high, **_counts(own)))
    return BackboneMean(title, tuple(lines.values()), tuple(means))


def _same(place: Place, own: Sequence[Line | None], results: Sequence[JobResult]) -> bool:
    """Whether all backbones have a score, of the same metric on the same examples with the same seeds and draws."""
    rests_on = {line and (line.metric, line.n, line.documents) for line in own}
    return None not in rests_on and len(rests_on) == 1 and len({result.drawn[place].runs for result in results}) == 1


def _line(own: Sequence[Line], results: Sequence[JobResult], place: Place) -> Line:
    score, low, high = _of([statistics.fmean(line.score for line in own)], results, [place])
    rates = {name: statistics.fmean(getattr(line, name) for line in own) for name in ("unreadable", "unlocated")}
    return replace(own[0], score=score, low=low, high=high, spread=float("nan"), **rates, **_counts(own))


def _of(scores: Sequence[float], results: Sequence[JobResult], places: Sequence[Place]) -> tuple[float, float, float]:
    """The mean of some places' scores with its interval."""
    score = statistics.fmean(scores)
    weights = [1 / len(results)] * len(results)
    parts = [[result.drawn[place] for result in results] for place in places]
    return score, *weighted_interval(weights, parts, centre=score, within=(0.0, 100.0))


def _counts(own: Sequence[Line] | Sequence[GroupLine]) -> Mapping[str, int]:
    return {name: max(getattr(line, name) for line in own) for name in ("trainable", "leakage")}
