"""One method's score minus another's, on the same documents: per group of targets and per single target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from clinprompt.metrics.intervals import mean_of_parts, percentile_interval
from clinprompt.study.group_table import GroupLine, GroupTable
from clinprompt.study.replicates import Place, Replicates
from clinprompt.study.score_table import shot_order
from clinprompt.study.table import Line

BETTER = "better of the references"
"""Reference of the row against whichever reference has the highest score in its group or target and shot count."""


@dataclass(frozen=True, slots=True)
class Difference:
    """``method`` minus ``against`` in points of percent; ``target`` is empty for the mean over a whole group.

    ``reference`` is the method ``against``, or :data:`BETTER` when that one was chosen by its score. The interval is
    paired: the same documents for both and, with the same seeds and draws (``paired_runs``), the same runs.
    ``significant``: the interval leaves out 0, not corrected for the number of comparisons. ``apart``: the methods'
    own intervals do not overlap.
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

    @property
    def minus(self) -> str:
        """What is subtracted, in words: the method, and that it was chosen when it was."""
        return self.against if self.reference == self.against else f"{self.reference}: {self.against}"

    @property
    def verdict(self) -> str:
        """What the interval says, in words."""
        if not self.significant:
            return "no difference shown"
        side = "higher" if self.low > 0 else "lower"
        return f"significantly {side}, intervals apart" if self.apart else f"significantly {side}"


def differences(
    lines: Sequence[Line],
    groups: GroupTable,
    drawn: Mapping[Place, Replicates],
    compare: Mapping[str, Sequence[str]],
) -> list[Difference]:
    """The differences of each method of ``compare`` to its references: groups first, then single targets.

    Only shot counts are compared that both methods have. Where a method has several references, a last row is against
    the better of them; it is chosen by the score shown, which favours the reference.
    """
    found = []
    for scores, targets in _scopes(lines, groups):
        for shots in shot_order(shots for _, shots in scores):
            for method, references in compare.items():
                own = scores.get((method, shots))
                rivals = [scores[name, shots] for name in references if (name, shots) in scores]
                if own is None or not rivals:
                    continue
                asked = [(rival.method, rival) for rival in rivals]
                if len(rivals) > 1:
                    asked.append((BETTER, max(rivals, key=lambda rival: rival.score)))
                found += [_difference(own, rival, targets, drawn, reference=name) for name, rival in asked]
    return found


def _scopes(
    lines: Sequence[Line], groups: GroupTable
) -> Iterator[tuple[dict[tuple[str, str], Line | GroupLine], tuple[str, ...]]]:
    """What is compared with each other: the scores by method and shots, and the targets that they are of."""
    for group, targets in groups.groups.items():
        yield {(line.method, line.shots): line for line in groups.lines if line.group == group}, targets
    for target in dict.fromkeys(line.target for line in lines):
        yield {(line.method, line.shots): line for line in lines if line.target == target}, (target,)


def _difference(
    own: Line | GroupLine,
    rival: Line | GroupLine,
    targets: tuple[str, ...],
    drawn: Mapping[Place, Replicates],
    *,
    reference: str,
) -> Difference:
    pairs = [(drawn[own.method, name, own.shots], drawn[rival.method, name, own.shots]) for name in targets]
    low, high = percentile_interval(mean_of_parts([first.minus(second) for first, second in pairs]))
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
        paired_runs=all(first.runs == second.runs for first, second in pairs),
        targets=len(targets),
        n=own.n,
        documents=own.documents,
    )
