"""Members of a gang and which of their rows a step sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch

from clinprompt.backbones.protocol import Placement, PromptVectors, Row
from clinprompt.errors import InputError
from clinprompt.maths.mixture import draw_tasks
from clinprompt.prompts.source import PromptSource


@dataclass(frozen=True)
class Member:
    """One prompt (or one model) in training: its rows, budget, seed and peak learning rates by group name.

    ``dev`` rows, when given, choose the step whose values are kept (lowest answer loss). After ``patience`` looks at
    them in a row without a lower loss the member is finished; ``None``: it takes all its steps. ``border`` rows are for
    whoever puts an encoder's border of yes and no when training has ended, which does not look at them.
    """

    name: str
    rows: Sequence[Row]
    steps: int
    batch: int
    seed: int
    rates: Mapping[str, float]
    dev: Sequence[Row] = ()
    warmup: int = 10
    clip: float = 1.0
    patience: int | None = None
    border: Sequence[Row] = ()

    def __post_init__(self) -> None:
        if not self.rows:
            raise InputError("there are no training examples", where=f"member {self.name}")


@dataclass(frozen=True)
class Mixture:
    """Joint training: which members a step sees, drawn anew each step, and how many rows in all."""

    probabilities: np.ndarray
    batch: int
    seed: int


@dataclass
class Cursors:
    """How many rows each member has drawn so far: all the state that sampling has."""

    drawn: list[int] = field(default_factory=list)


def rows_for_step(
    members: Sequence[Member], training: Sequence[bool], cursors: Cursors, *, step: int, mixture: Mixture | None
) -> list[tuple[int, Row]]:
    """Return (member, row) pairs of one step and advance the cursors.

    Without a mixture every member that is ``training`` and has steps left draws its own batch, as it would alone.
    """
    if mixture is None:
        shares = [
            (n, min(member.batch, len(member.rows)))
            for n, member in enumerate(members)
            if training[n] and step < member.steps
        ]
    else:
        shares = draw_tasks(mixture.probabilities, batch=mixture.batch, seed=mixture.seed, step=step)
        shares = [(n, rows) for n, rows in shares if training[n]]
    picked = []
    for n, count in shares:
        member = members[n]
        for i in range(cursors.drawn[n], cursors.drawn[n] + count):
            epoch, place = divmod(i, len(member.rows))
            picked.append((n, member.rows[epoch_order(len(member.rows), member.seed, epoch)[place]]))
        cursors.drawn[n] += count
    return picked


def batch_prompts(source: PromptSource, members: Sequence[int], placement: Placement) -> PromptVectors | None:
    """Each member's prompt and heads once, however many of the rows are its; ``members`` holds one member per row."""
    present = sorted(set(members))
    chosen = torch.tensor(present)
    vectors = source.vectors(chosen)
    if vectors is None:
        return None
    place = {n: i for i, n in enumerate(present)}
    return PromptVectors(
        vectors,
        placement,
        owner=tuple(place[n] for n in members),
        lengths=tuple(source.lengths[n] for n in present),
        heads=source.heads(chosen),
    )


@lru_cache(maxsize=1024)
def epoch_order(size: int, seed: int, epoch: int) -> tuple[int, ...]:
    """The order in which a member of this seed draws its ``size`` rows in an epoch."""
    return tuple(np.random.default_rng([seed, epoch]).permutation(size).tolist())
