"""One method's score minus another's, on the same documents: per group of targets and per single target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from clinprompt.metrics.effects import record_of, typical_difference
from clinprompt.metrics.intervals import mean_of_parts, stretched_interval
from clinprompt.metrics.signed_ranks import holm, signed_rank_p
from clinprompt.study.group_table import GroupLine, GroupTable
from clinprompt.study.pair import Pair, chance_p, mean_variations
from clinprompt.study.replicates import Place, Replicates
from clinprompt.study.score_table import shot_order
from clinprompt.study.table import Line

BETTER = "better of the references"
"""Reference of the row against whichever reference has the highest score in its group or target and shot count."""

_P = {"digits": 5}
LEVEL = 0.05
"""Below it a p-value is significant."""


@dataclass(frozen=True, slots=True)
class Difference:
    """``method`` minus ``against`` in points of percent; ``target`` is empty for the mean over a whole group.

    ``reference`` is the method ``against``, or :data:`BETTER` when that one was chosen by its score. The interval is
    paired: the same documents for both and, with the same seeds and draws (``paired_runs``), the same runs.
    ``significant``: the interval leaves out 0, not corrected for the number of comparisons. ``apart``: the methods'
    own intervals do not overlap.

    ``p``: from exchanging whole documents between the methods, and from the spread of the runs. ``p_tasks`` of a group:
    Wilcoxon's signed ranks over its targets. ``p_holm``: of a group ``p_tasks`` after Holm over all comparisons of that
    group, of a target ``p`` after Holm over all targets of the same comparison. ``wins``, ``ties`` and ``losses`` count
    targets of a group (by scores as shown) or documents of a target; ``typical`` is the Hodges-Lehmann difference over
    targets. ``leakage`` is the larger one of the two methods.
    """

    group: str
    target: str
    shots: str
    method: str
    reference: str
    against: str
    difference: float
    low: float
    high: float
    significant: bool
    apart: bool
    paired_runs: bool
    targets: int
    n: int
    documents: int
    p: float = field(default=1.0, metadata=_P)
    p_tasks: float | None = field(default=None, metadata=_P)
    p_holm: float = field(default=1.0, metadata=_P)
    wins: int = 0
    ties: int = 0
    losses: int = 0
    typical: float | None = None
    leakage: int = 0

    @property
    def minus(self) -> str:
        """What is subtracted, in words: the method, and that it was chosen when it was."""
        return self.against if self.reference == self.against else f"{self.reference}: {self.against}"

    @property
    def verdict(self) -> str:
        """What interval and ``p`` say, in words: a difference is significant when both do."""
        if not self.significant:
            return "no difference shown"
        side = "higher" if self.low > 0 else "lower"
        told = f"significantly {side}" if self.p < LEVEL else f"{side} by its interval only"
        return f"{told}, intervals apart" if self.apart else told


def differences(
    lines: Sequence[Line],
    groups: GroupTable,
    drawn: Mapping[Place, Replicates],
    compare: Mapping[str, Sequence[str]],
) -> list[Difference]:
    """The differences of each method of ``compare`` to its references: groups first, then single targets.

    Only shot counts are compared that both methods have; a reference that never sees an example, such as the plain
    instruction, is compared with each. Where a method has several references, a last row is against the better of them;
    it is chosen by the score shown, which favours the reference.
    """
    found = []
    pairs = _Pairs(drawn)
    for scores, targets in _scopes(lines, groups):
        for shots in shot_order(shots for _, shots in scores):
            for method, references in compare.items():
                own = scores.get((method, shots))
                rivals = [rival for name in references if (rival := _reference(scores, name, shots)) is not None]
                if own is None or not rivals:
                    continue
                asked = [(rival.method, rival) for rival in rivals]
                if len(rivals) > 1:
                    asked.append((BETTER, max(rivals, key=lambda rival: rival.score)))
                found += [_difference(own, rival, targets, pairs, reference=name) for name, rival in asked]
    return _adjusted(found)


def _reference(scores: Mapping[tuple[str, str], Line | GroupLine], name: str, shots: str) -> Line | GroupLine | None:
    """What a method has at a shot count; at 0, if it has nothing else."""
    counts = {count for method, count in scores if method == name}
    return scores.get((name, "0" if counts == {"0"} else shots))


class _Pairs:
    """Pairs by their places, each made once: a target is compared by itself and in one or two groups."""

    def __init__(self, drawn: Mapping[Place, Replicates]) -> None:
        self._drawn, self._made = drawn, dict[tuple[Place, Place], Pair]()

    def __call__(self, first: Place, second: Place) -> Pair:
        if (first, second) not in self._made:
            self._made[first, second] = Pair(self._drawn[first], self._drawn[second])
        return self._made[first, second]


def _adjusted(found: Sequence[Difference]) -> list[Difference]:
    """The rows with Holm's p-values; the row of the better reference has that of the reference it chose."""
    families: dict[tuple[str, ...], list[Difference]] = {}
    for row in found:
        if row.reference == row.against:
            families.setdefault(_family(row), []).append(row)
    adjusted = {
        (*family, row.target, row.shots, row.method, row.against): p
        for family, rows in families.items()
        for row, p in zip(rows, holm([_own_p(row) for row in rows]), strict=True)
    }
    return [
        replace(row, p_holm=adjusted[*_family(row), row.target, row.shots, row.method, row.against]) for row in found
    ]


def _family(row: Difference) -> tuple[str, ...]:
    return ("targets", row.shots, row.method, row.against) if row.target else ("group", row.group)


def _own_p(row: Difference) -> float:
    return row.p if row.p_tasks is None else row.p_tasks


def _scopes(
    lines: Sequence[Line], groups: GroupTable
) -> Iterator[tuple[dict[tuple[str, str], Line | GroupLine], tuple[str, ...]]]:
    """What is compared with each other: the scores by method and shots, and the targets that they are of."""
    for group, targets in groups.groups.items():
        yield {(line.method, line.shots): line for line in groups.lines if line.group == group}, targets
    for target in dict.fromkeys(line.target for line in lines):
        yield {(line.method, line.shots): line for line in lines if line.target == target}, (target,)


def _difference(
    own: Line | GroupLine, rival: Line | GroupLine, targets: tuple[str, ...], pairs: _Pairs, *, reference: str
) -> Difference:
    compared = [pairs((own.method, name, own.shots), (rival.method, name, rival.shots)) for name in targets]
    low, high = stretched_interval(
        mean_of_parts([pair.resamples for pair in compared]),
        mean_variations([pair.variations for pair in compared]),
        centre=own.score - rival.score,
        within=(-100.0, 100.0),
    )
    single = isinstance(own, Line)
    by_target = [pair.difference for pair in compared]
    record = compared[0].record if single else record_of(by_target, digits=1)
    return Difference(
        group=own.group,
        target=own.target if isinstance(own, Line) else "",
        shots=own.shots,
        method=own.method,
        reference=reference,
        against=rival.method,
        difference=own.score - rival.score,
        low=low,
        high=high,
        significant=low > 0 or high < 0,
        apart=own.low > rival.high or own.high < rival.low,
        paired_runs=all(pair.paired_runs for pair in compared),
        targets=len(targets),
        n=own.n,
        documents=own.documents,
        p=chance_p(compared),
        p_tasks=None if single else signed_rank_p(by_target),
        wins=record.wins,
        ties=record.ties,
        losses=record.losses,
        typical=None if single else typical_difference(by_target),
        leakage=max(own.leakage, rival.leakage),
    )
