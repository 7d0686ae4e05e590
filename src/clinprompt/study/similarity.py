"""How alike the prompts of tasks are: the direction in which each changes the metaprompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from clinprompt.maths.decomposition import compose
from clinprompt.prompts.prompt_file import load_metaprompt, load_prompt
from clinprompt.stages.methods import from_metaprompt
from clinprompt.study.collection import PartResult
from clinprompt.study.recipe import task_name, variant_of
from clinprompt.study.score_table import shot_rank


@dataclass(frozen=True, slots=True, eq=False)
class Similarity:
    """Cosines ``[tasks, sources]`` between changes of the metaprompt, sources first and then targets."""

    tasks: tuple[str, ...]
    sources: tuple[str, ...]
    values: NDArray[np.float64]

    @property
    def nearest(self) -> dict[str, tuple[str, float]]:
        """For each task the other source that it is most alike, and how much."""
        found = {}
        for task, row in zip(self.tasks, self.values, strict=True):
            others = [(float(value), source) for source, value in zip(self.sources, row, strict=True) if source != task]
            if others:
                value, source = max(others)
                found[task] = (source, value)
        return found


def similarity(found: PartResult) -> Similarity | None:
    """The similarities of a part with a metaprompt that has factors; of targets the prompts at their largest shots.

    A source's change is its composed prompt minus the metaprompt, so it does not depend on how the product of factors
    is split; a target's is its finished prompt minus the metaprompt, which may have moved too (both ``[P, H]``, or
    ``[L, P, H]``). Of each target the first method from the metaprompt counts, and its first run.
    """
    if found.result is None or found.result.metaprompt is None:
        return None
    metaprompt = load_metaprompt(found.result.metaprompt)
    start, shift = metaprompt.vectors, metaprompt.card.shift
    if not metaprompt.factors:
        return None
    moved = {
        name: compose(start, pair.rows, pair.cols, shift=shift) - start for name, pair in metaprompt.factors.items()
    }
    sources = tuple(moved)
    for name, prompt in _targets(found).items():
        if prompt.shape == start.shape:
            moved[name] = prompt - start
    return Similarity(tuple(moved), sources, cosines(moved, sources))


def cosines(moved: Mapping[str, Tensor], sources: tuple[str, ...]) -> NDArray[np.float64]:
    """Cosines ``[tasks, sources]`` of tensors as long vectors; 0 with one that is all zeros."""
    flat = {name: value.double().flatten().numpy() for name, value in moved.items()}
    unit = {name: value / norm if (norm := np.linalg.norm(value)) else value for name, value in flat.items()}
    return np.array([[float(unit[one] @ unit[other]) for other in sources] for one in moved])


def _targets(found: PartResult) -> dict[str, Tensor]:
    assert found.result is not None
    methods = [
        name
        for name, method in found.part.recipe.methods.items()
        if from_metaprompt(method) and not variant_of(method) and not getattr(method, "random_metaprompt", False)
    ]
    prompts: dict[str, Tensor] = {}
    for target in map(task_name, found.part.recipe.targets):
        cells = [
            cell for cell in found.result.cells
            if cell.method in methods[:1] and cell.record["task"] == target and cell.record.get("file")
        ]  # fmt: skip
        if cells:
            best = max(cells, key=lambda cell: (shot_rank(str(cell.record["shots"])), -cell.seed, -cell.record["draw"]))
            prompts[target] = load_prompt(found.result.adapted[best.method, best.seed] / best.record["file"]).vectors
    return prompts
