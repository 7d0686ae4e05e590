"""The 2×2 of decomposition and distillation: what each adds, and what they add together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clinprompt.study.group_table import GroupLine, GroupTable
from clinprompt.study.replicates import Place, Replicates
from clinprompt.study.score_table import shot_order
from clinprompt.study.study_file import Ablation
from clinprompt.study.weighted import weighted_interval

EFFECTS: dict[str, tuple[float, float, float, float]] = {
    "decomposition": (-0.5, 0.5, -0.5, 0.5),
    "distillation": (-0.5, -0.5, 0.5, 0.5),
    "interaction": (1.0, -1.0, -1.0, 1.0),
}
"""Weights of the four scores: neither, decomposition only, distillation only, both."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A main effect or the interaction in points of percent, with its 95 % interval over documents, seeds and draws.

    ``leakage`` is the largest one of the four methods.
    """

    name: str
    points: float
    low: float
    high: float
    leakage: int = 0


@dataclass(frozen=True, slots=True)
class AblationTable:
    """The four mean scores of a group of targets at one shot count, and the effects."""

    group: str
    shots: str
    targets: int
    scores: Mapping[str, GroupLine]
    effects: tuple[Effect, ...]


def ablations(given: Ablation | None, groups: GroupTable, drawn: Mapping[Place, Replicates]) -> list[AblationTable]:
    """A table per group and shot count for which all four methods have all targets.

    Documents and runs are drawn within each target, the same ones for all four methods where they have the same runs.
    """
    if given is None:
        return []
    names = (given.neither, given.decomposition, given.distillation, given.both)
    scores = {(line.method, line.group, line.shots): line for line in groups.lines}
    found = []
    for group, targets in groups.groups.items():
        for shots in shot_order(shots for _, _, shots in scores):
            if all((name, group, shots) in scores for name in names):
                own = [scores[name, group, shots] for name in names]
                parts = [[drawn[name, target, shots] for name in names] for target in targets]
                effects = tuple(_effect(label, weights, own, parts) for label, weights in EFFECTS.items())
                found.append(AblationTable(group, shots, len(targets), dict(zip(names, own, strict=True)), effects))
    return found


def _effect(
    name: str, weights: Sequence[float], scores: Sequence[GroupLine], parts: Sequence[Sequence[Replicates]]
) -> Effect:
    points = sum(weight * line.score for weight, line in zip(weights, scores, strict=True))
    widest = 100.0 * sum(weight for weight in weights if weight > 0)
    low, high = weighted_interval(weights, parts, centre=points, within=(-widest, widest))
    return Effect(name, points, low, high, max(line.leakage for line in scores))
