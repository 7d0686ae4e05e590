"""How often intervals hold the truth and tests find a difference that is not there, on studies made up for it.

    python -m benchmarks.statistics [--notes 2000] [--no-memory] [--json]

*exchange*: 10,000 exchanges of 1,000 documents in nine runs as matrix products, against one after the other, which must
give the same differences. Then ``--notes`` studies (2,000; the mean over targets a quarter of them) of each kind are
made up: two methods on the same documents, of 5 to 200 documents with few or with skewed numbers of items, in one to
ten runs that differ little or much, or of three seeds on each of three or ten draws. Told in percent: how often the
plain percentile interval of the difference, ours, and that of a score hold the truth (95 is right), how often
exchanging documents finds a difference between methods that are alike, taking the runs as they are, and with the spread
of runs (5 is right; less is safe), and how often that finds a true gain of half a logit. For tests over targets: how
often Wilcoxon's finds something among targets without any difference, and with Holm's correction anything among six
comparisons with one method.
Hardware: CPU, one core, half an hour, little memory. The dtype in a name means nothing here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.case import Case, Line, Variant
from benchmarks.command import Options, aim, run
from benchmarks.made_study import MICRO, World, group_trial, trial
from benchmarks.timing import Step
from clinprompt.metrics import randomisation
from clinprompt.metrics.randomisation import exchanged_differences
from clinprompt.metrics.signed_ranks import holm, signed_rank_p

PRODUCTS, ONE_BY_ONE = "matrix products float32", "one after the other float32"
STUDIES, QUICK, RESAMPLES = 2000, 4, 1000
GAIN = 0.5
MOST = 2.0
"""Seconds for 10,000 exchanges of 1,000 documents in nine runs."""


def worlds(*, quick: bool) -> list[World]:
    """The kinds of studies; spreads of runs of 0.15, 0.3 and 0.5 logits are about 3, 5 and 9 points."""
    if quick:
        return [World(5), World(12, 3, 0.5, skewed=True), World(12, 2, 0.3, draws=3)]
    runs = ((1, 0.0), (3, 0.0), (3, 0.15), (3, 0.5), (5, 0.3), (10, 0.3))
    crossed = [World(documents, 3, 0.3, draws=draws) for documents in (50, 200) for draws in (3, 10)]
    return [
        World(documents, count, spread, skewed=skewed)
        for skewed in (False, True)
        for documents in (5, 10, 20, 50, 200)
        for count, spread in runs
    ] + crossed


def cases(options: Options) -> Iterator[Case]:
    """The exchange of documents."""
    groups, resamples = (20, 200) if options.quick else (1000, 10_000)
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 6, (2, 9, groups, 3)).astype(float)

    def products() -> dict[str, torch.Tensor]:
        return {"differences": torch.tensor(exchanged_differences(first, second, MICRO, resamples=resamples)[0])}

    def one_by_one() -> dict[str, torch.Tensor]:
        masks = np.concatenate(
            list(randomisation._masks(groups, width=groups, resamples=resamples, every=False, seed=0))
        )
        found = []
        for mask in masks:
            out = mask.astype(bool)[None, :, None]
            left, right = np.where(out, second, first), np.where(out, first, second)
            found.append((MICRO(left.sum(axis=1)) - MICRO(right.sum(axis=1))).mean())
        return {"differences": torch.tensor(np.array(found))}

    def built(step: Step) -> Any:
        return lambda: step

    yield Case(
        f"exchange, {groups} documents, nine runs",
        {
            PRODUCTS: Variant(built(products), "float32", like=ONE_BY_ONE),
            ONE_BY_ONE: Variant(built(one_by_one), "float32"),
        },
        unit="test",
        units=1,
        baselines={"one after the other": (ONE_BY_ONE,)},
        settings={"documents": groups, "runs": 9, "exchanges": resamples},
    )


def measured(world: World, *, studies: int, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, float]:
    """Rates in percent over made-up studies of one kind, and the median width of our interval in points."""
    named = [seed, world.documents, world.runs, int(100 * world.run_spread), world.skewed]
    rng = np.random.default_rng(named + [world.draws] * (world.draws > 1))
    truth = world.truth(rng, documents=50 * studies)  # known as well as the rates are
    found = [trial(world, rng, truth=truth, resamples=resamples) for _ in range(studies)]
    better = World(**{**vars(world), "gain": GAIN})
    gains = [trial(better, rng, truth=truth, resamples=resamples)["p"] for _ in range(studies // 4)]
    return _rates(found) | {"power": round(100 * float(np.mean(gains)), 1)}


def over_targets(*, targets: int, studies: int, comparisons: int = 6, seed: int = 0) -> dict[str, float]:
    """Percent of studies without any difference in which Wilcoxon's test finds one, and anything after Holm."""
    rng = np.random.default_rng([seed, targets])
    single, family = 0, 0
    for _ in range(studies):
        ours = rng.normal(0, 3, targets)
        # Differences to the same method are related; heavy tails, for some targets move a lot.
        p = [signed_rank_p(ours - 3 * rng.standard_t(3, targets)) for _ in range(comparisons)]
        single += p[0] < 0.05
        family += min(holm(p)) < 0.05
    return {"targets": targets, "wilcoxon": round(100 * single / studies, 1), "holm": round(100 * family / studies, 1)}


def conclude(lines: list[Line], options: Options) -> dict[str, Any]:
    """The rates of every kind of study, and whether the exchange is quick."""
    studies = options.notes or (QUICK if options.quick else STUDIES)
    resamples = 100 if options.quick else RESAMPLES
    began = time.monotonic()
    told: dict[str, Any] = {
        "studies": [
            {**vars(world), **measured(world, studies=studies, resamples=resamples)}
            for world in worlds(quick=options.quick)
        ],
        "mean over targets": [
            {"targets": targets, "runs": runs, "run_spread": spread}
            | _groups(targets, runs, spread, studies=max(2, studies // 4), resamples=resamples)
            for targets, runs, spread in (((2, 1, 0.0),) if options.quick else ((5, 1, 0.0), (5, 3, 0.3), (10, 3, 0.3)))
        ],
        "tests over targets": [
            over_targets(targets=targets, studies=studies) for targets in ((6,) if options.quick else (5, 6, 10, 30))
        ],
    }
    told["minutes"] = round((time.monotonic() - began) / 60, 1)
    found = [line for line in lines if line["case"].startswith("exchange, 1000 ") and line["variant"] == PRODUCTS]
    reached = found[0]["seconds"]["median"] if found else None
    return told | {"aims": [aim("seconds for a test of 10,000 exchanges", most=MOST, reached=reached)]}


def _groups(targets: int, runs: int, spread: float, *, studies: int, resamples: int) -> dict[str, float]:
    rng = np.random.default_rng([7, targets, runs])
    group = [World(20 * (1 + place % 4), runs, spread, skewed=bool(place % 2)) for place in range(targets)]
    return _rates([group_trial(group, rng, resamples=resamples) for _ in range(studies)])


def _rates(found: list[dict[str, float]]) -> dict[str, float]:
    rates = {name: round(100 * float(np.mean([one[name] for one in found])), 1) for name in found[0] if name != "width"}
    return rates | {"width": round(float(np.median([one["width"] for one in found])), 1)}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run from the command line."""
    return run("statistics", cases, description=__doc__, conclude=conclude, argv=argv)


if __name__ == "__main__":
    main()
