"""How far targets are from the sources, and what they gain from them: protocol "distribution shift against gain"."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from clinprompt.metrics.rank_correlation import RankCorrelation, rank_correlation
from clinprompt.stages.divergence import Divergences
from clinprompt.stages.methods import PromptTuning, from_sources
from clinprompt.study.collection import PartResult
from clinprompt.study.difference import Difference
from clinprompt.study.drawings import Drawing, Point, looks_of, scatter
from clinprompt.study.expansion import slug
from clinprompt.study.score_table import shot_order, shots_title

_BITS = {"digits": 4}
Pair = tuple[str, str]
"""A method from the sources, and the prompt tuning that it is compared with."""


@dataclass(frozen=True, slots=True)
class Gain:
    """What a target gains, ``method`` minus ``against`` in points of percent, and how far from the sources it is.

    Divergences are in bits, from all sources ``pooled`` or one; ``low``, ``high`` and ``leakage`` are those of the
    difference.
    """

    part: str
    target: str
    pooled: float = field(metadata=_BITS)
    nearest: str
    from_nearest: float = field(metadata=_BITS)
    halves: float | None = field(metadata=_BITS)
    method: str
    against: str
    shots: str
    gain: float
    low: float
    high: float
    leakage: int = 0


@dataclass(frozen=True, slots=True)
class GainCorrelation:
    """Spearman's ``rho`` of ``n`` targets' gains with their divergence from ``all`` sources or the ``nearest`` one."""

    parts: str
    method: str
    against: str
    shots: str
    sources: str
    rho: float = field(metadata={"digits": 3})
    n: int
    p: float = field(metadata={"digits": 5})


@dataclass(frozen=True, slots=True)
class GainTable:
    """The gains of one method over another on all targets of some parts, a row each, the nearest target first."""

    parts: str
    pair: Pair | None
    shots: tuple[str, ...]
    rows: tuple[tuple[Divergences, dict[str, Gain]], ...]
    correlations: tuple[GainCorrelation, ...]

    @property
    def gains(self) -> list[Gain]:
        """Every gain of the table."""
        return [gain for _, row in self.rows for gain in row.values()]

    def correlation(self, sources: str, shots: str) -> GainCorrelation | None:
        """The correlation at one shot count; none where there are too few targets."""
        return next((one for one in self.correlations if (one.sources, one.shots) == (sources, shots)), None)


def gain_tables(found: Sequence[PartResult], *, counted: bool) -> list[GainTable]:
    """A table for every method from the sources that is compared with prompt tuning, of parts that belong together.

    Parts that differ in the partition alone do where no target is in two of them, as those of leave-one-kind-out: each
    target is compared with its own sources. ``counted``: the number of sources is one of the study's axes.
    """
    tables = []
    for title, parts in _families(found, counted=counted).items():
        pairs: dict[Pair | None, None] = {pair: None for one in parts for pair in _pairs(one)}
        tables += [_table(title, parts, pair) for pair in pairs or {None: None}]
    return tables


def gain_drawings(tables: Sequence[GainTable]) -> list[Drawing]:
    """Gains over the divergence from all sources, a figure per table."""
    drawings = []
    for table in tables:
        if table.pair:
            kinds = {shots: shots_title(shots) for shots in table.shots}
            drawing = scatter(
                [Point(kinds[one.shots], one.pooled, one.gain, one.low, one.high, one.leakage) for one in table.gains],
                looks_of({name: number for number, name in enumerate(kinds.values())}),
                name=slug(f"divergence {table.parts} {table.pair[0]} {table.pair[1]}"),
                title=f"{table.parts}: gain of {table.pair[0]} over {table.pair[1]}",
                axis="Jensen-Shannon divergence from all sources, bits",
                value="gain in points, 95 % interval",
            )
            drawings.append(drawing)
    return drawings


def without_divergence(found: Sequence[PartResult]) -> list[str]:
    """The parts that have gains and no divergence: made from a finished metaprompt, or their sources' data is gone."""
    return [one.part.title for one in found if not one.divergences and _pairs(one)]


def _families(found: Sequence[PartResult], *, counted: bool) -> dict[str, list[PartResult]]:
    together: dict[tuple, list[PartResult]] = {}
    for one in found:
        if one.divergences:
            together.setdefault((one.part.backbone, one.part.length, counted and one.part.sources), []).append(one)
    families = {}
    for parts in together.values():
        targets = [far.target for one in parts for far in one.divergences]
        if len(parts) > 1 and len(set(targets)) == len(targets):
            first, *others = ([*one.part.title.split(", ")] for one in parts)
            common = [words for words in first if all(words in other for other in others)]
            families[", ".join([*common, "all partitions"])] = parts
        else:
            families |= {one.part.title: [one] for one in parts}
    return families


def _pairs(one: PartResult) -> Iterator[Pair]:
    """The compared methods of a part, one from the sources and one prompt tuning, that have a difference."""
    methods = one.part.recipe.methods
    for row in _differences(one):
        if from_sources(methods[row.method]) and isinstance(methods[row.against], PromptTuning):
            yield row.method, row.against


def _differences(one: PartResult) -> list[Difference]:
    own = one.result.differences if one.result else ()
    return [row for row in own if row.target and row.reference == row.against]


def _table(title: str, parts: Sequence[PartResult], pair: Pair | None) -> GainTable:
    rows = []
    for one in parts:
        for far in one.divergences:
            own = [row for row in _differences(one) if (row.method, row.against) == pair and row.target == far.target]
            rows.append((far, {row.shots: _gain(one.part.title, far, row) for row in own}))
    rows.sort(key=lambda row: row[0].pooled)
    shots = tuple(shot_order({shots for _, gains in rows for shots in gains}))
    correlations = tuple(
        GainCorrelation(title, *pair, count, sources, known.rho, known.n, known.p)
        for count in shots
        for sources, at in _DISTANCES.items()
        if pair and (known := _correlation([(at(row[count]), row[count].gain) for _, row in rows if count in row]))
    )
    return GainTable(title, pair, shots, tuple(rows), correlations)


_DISTANCES: dict[str, Callable[[Gain], float]] = {
    "all": lambda gain: gain.pooled,
    "nearest": lambda gain: gain.from_nearest,
}


def _gain(part: str, far: Divergences, row: Difference) -> Gain:
    nearest = far.nearest
    return Gain(
        part, far.target, far.pooled, nearest, far.sources[nearest], far.halves,
        row.method, row.against, row.shots, row.difference, row.low, row.high, row.leakage,
    )  # fmt: skip


def _correlation(points: Sequence[tuple[float, float]]) -> RankCorrelation | None:
    return rank_correlation([x for x, _ in points], [y for _, y in points]) if points else None
