"""Made-up results of two methods on the same documents, of which the truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from clinprompt.metrics.intervals import percentile_interval, stretched_interval
from clinprompt.metrics.randomisation import exchanged_differences, share_as_large
from clinprompt.metrics.spans import span_f1
from clinprompt.study.pair import Pair, chance_p, mean_variations
from clinprompt.study.replicates import Replicates, resampled

MICRO = span_f1().value
_EASE, _OWN = 1.0, 0.6
"""Standard deviations in logits: how hard documents are, for both methods and for each in its own way."""


@dataclass(frozen=True)
class World:
    """How results come about; spreads are standard deviations in logits.

    ``runs`` differ by ``run_spread`` as a whole (a lucky seed) and by ``noise`` from document to document. With several
    ``draws`` there is a run of each seed on each draw of training examples, and draws differ as seeds do. Documents
    have about five items, or with ``skewed`` many have one or two and some a hundred. ``gain`` is what the first method
    is better by.
    """

    documents: int
    runs: int = 1
    run_spread: float = 0.0
    noise: float = 0.3
    skewed: bool = False
    gain: float = 0.0
    draws: int = 1

    @property
    def names(self) -> tuple[tuple[int, int], ...]:
        """Seed and draw of each run."""
        return tuple((seed, draw) for seed in range(self.runs) for draw in range(self.draws))

    def counts(
        self, rng: np.random.Generator, *, luck: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Hits, predicted and gold items of both methods, each ``[runs, documents, 3]``; runs may have a given luck."""
        G, S = self.documents, len(self.names) if luck is None else len(luck)
        items = 1 + rng.poisson(4, G)
        if self.skewed:
            items = rng.geometric(0.3, G) + (rng.random(G) < 0.05) * rng.integers(20, 100, G)
        ease = rng.normal(0.3, _EASE, G)
        found = []
        for gain in (self.gain, 0.0):
            logit = ease + gain + rng.normal(0, _OWN, G) + rng.normal(0, self.noise, (S, G))
            shift = self.run_spread * (self._luck(rng) if luck is None else luck)
            right = 1 / (1 + np.exp(-(logit + shift[:, None])))
            hits = rng.binomial(items, right)
            wrong = rng.binomial(items, 0.5 * (1 - right))
            found.append(np.stack([hits, hits + wrong, np.broadcast_to(items, (S, G))], axis=-1).astype(float))
        return found[0], found[1]

    def _luck(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """In standard deviations ``[runs]``, seed by seed."""
        seeds = rng.normal(0, 1, self.runs)
        if self.draws == 1:
            return seeds
        return (seeds[:, None] + rng.normal(0, 1, self.draws)).ravel()

    def truth(self, rng: np.random.Generator, *, documents: int) -> float:
        """The second method's expected score over documents and runs, from so many documents."""
        spread = self.run_spread * (1 if self.draws == 1 else 2**0.5)
        large = World(documents, 1, spread, self.noise, self.skewed)
        luck = ndtri((np.arange(15) + 0.5) / 15)  # 15 runs that stand for all
        return float(MICRO(large.counts(rng, luck=luck)[1].sum(axis=1)).mean())


def drawn(world: World, counts: NDArray[np.float64], *, resamples: int) -> Replicates:
    """The resamples of one method's runs, as the tables have them."""
    return resampled(world.names, counts, MICRO, resamples=resamples)


def trial(world: World, rng: np.random.Generator, *, truth: float, resamples: int) -> dict[str, float]:
    """One study: whether intervals hold the truth and tests say that the methods differ (at 5 %)."""
    first, second = (drawn(world, counts, resamples=resamples) for counts in world.counts(rng))
    pair = Pair(first, second)
    low, high = percentile_interval(pair.resamples)
    ours = stretched_interval(pair.resamples, pair.variations, centre=pair.difference, within=(-100.0, 100.0))
    score = stretched_interval(second.values, second.variations, centre=float(second.scores.mean()))
    documents_only, every = exchanged_differences(first.counts, second.counts, MICRO, resamples=resamples)
    return {
        "percentile": low <= 0 <= high,
        "interval": ours[0] <= 0 <= ours[1],
        "score": score[0] <= truth <= score[1],
        "documents only": share_as_large(pair.difference, documents_only, every=every) < 0.05,
        "p": chance_p([pair]) < 0.05,
        "width": ours[1] - ours[0],
    }


def group_trial(worlds: list[World], rng: np.random.Generator, *, resamples: int) -> dict[str, float]:
    """The same for the mean over targets."""
    pairs = [Pair(*(drawn(world, counts, resamples=resamples) for counts in world.counts(rng))) for world in worlds]
    values = np.mean([rng.permutation(pair.resamples) for pair in pairs], axis=0)
    centre = float(np.mean([pair.difference for pair in pairs]))
    variations = mean_variations([pair.variations for pair in pairs])
    low, high = percentile_interval(values)
    ours = stretched_interval(values, variations, centre=centre, within=(-100.0, 100.0))
    return {
        "percentile": low <= 0 <= high,
        "interval": ours[0] <= 0 <= ours[1],
        "p": chance_p(pairs) < 0.05,
        "width": ours[1] - ours[0],
    }
