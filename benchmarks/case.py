"""One piece of work and the ways to do it: shown equal first, timed in turn afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import Step, interleaved, ratio, spread

TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1}
"""Largest difference allowed by dtype, as a share of the reference's norm; bfloat16 keeps three digits per product."""

Line = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """A way to do a case's work.

    ``build`` loads what it needs and returns the step. ``like`` names the variant whose outcome it must reproduce
    within ``tolerance``, or else that of ``dtype`` (itself: it is the reference). A variant that is not ``timed`` is
    there to compare with. ``operations`` is the useful arithmetic of one step in floating-point operations.
    """

    build: Callable[[], Step]
    dtype: str
    like: str | None = None
    timed: bool = True
    operations: float | None = None
    tolerance: float | None = None

    @property
    def allowed(self) -> float:
        """Largest relative difference from the variant that it must be like."""
        return TOLERANCE[self.dtype] if self.tolerance is None else self.tolerance


@dataclass(frozen=True)
class Case:
    """Work of ``units`` units called ``unit`` (examples, steps of a run) and its variants by name.

    ``baselines`` maps the name of a comparison to the variants of which the fastest counts.
    """

    name: str
    variants: Mapping[str, Variant]
    unit: str = "example"
    units: int = 1
    baselines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        named = {name for group in self.baselines.values() for name in group}
        named |= {variant.like for variant in self.variants.values() if variant.like}
        if missing := named - set(self.variants):
            raise ValueError(f"{self.name}: there is no variant {sorted(missing)}")


def measure(case: Case, *, rounds: int, device: str) -> tuple[list[Line], dict[str, Step]]:
    """Check that the variants agree, time the timed ones, and return a line for each with their steps."""
    steps = {name: variant.build() for name, variant in case.variants.items()}
    differences = compare(case, steps)
    timed = {name: step for name, step in steps.items() if case.variants[name].timed}
    seconds = interleaved(timed, rounds=rounds, device=device)
    best = {
        label: min(
            (seconds[name] for name in names if name in seconds), key=lambda s: spread(s)["median"], default=None
        )
        for label, names in case.baselines.items()
    }
    lines = []
    for name, values in seconds.items():
        variant, times = case.variants[name], spread(values)
        line: Line = {"case": case.name, "variant": name, "dtype": variant.dtype, "seconds": times}
        line |= {"unit": case.unit, "seconds per unit": times["median"] / case.units}
        line["times faster than"] = {label: ratio(base, values) for label, base in best.items() if base is not None}
        if variant.operations is not None:
            line["operations per second"] = variant.operations / times["median"]
        if name in differences:
            line["difference"] = {"from": variant.like, "relative": differences[name]}
        lines.append(line | {"settings": dict(case.settings)})
    return lines, timed


def compare(case: Case, steps: Mapping[str, Step]) -> dict[str, float]:
    """Relative difference of each variant from the one it must equal; raises AssertionError beyond the tolerance."""
    compared = {name: variant for name, variant in case.variants.items() if variant.like not in (None, name)}
    wanted = set(compared) | {variant.like for variant in compared.values()}
    outcomes = {name: kept(step()) for name, step in steps.items() if name in wanted}
    found = {}
    for name, variant in compared.items():
        found[name] = difference(outcomes[name], outcomes[variant.like])
        if not found[name] <= variant.allowed:
            raise AssertionError(f"{case.name}: {name} is {found[name]:.2g} away from {variant.like}")
    return found


def kept(outcome: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An outcome that the next step cannot change."""
    return {name: value.detach().to("cpu", copy=True) for name, value in outcome.items()}


def difference(outcome: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> float:
    """Largest relative difference ‖a − b‖ / ‖b‖ over what both outcomes hold; raises when that is nothing.

    It is infinite for tensors of different shapes and for tokens, which are whole numbers, that are not the same.
    """
    shared = set(outcome) & set(expected)
    if not shared:
        raise AssertionError("the outcomes have nothing in common to compare")
    found = torch.tensor([_distance(outcome[name], expected[name]) for name in shared])
    return float(found.max())  # unlike Python's, this maximum does not lose a NaN


def _distance(one: Tensor, other: Tensor) -> float:
    if one.shape != other.shape:
        return float("inf")
    if not other.is_floating_point():
        return 0.0 if torch.equal(one, other) else float("inf")
    return float((one.double() - other.double()).norm() / other.double().norm())


def fastest(lines: list[Line], *, case: str, prefix: str, than: str) -> float | None:
    """How many times faster than a baseline the best variant is whose name starts with ``prefix``."""
    ratios = [
        line["times faster than"][than]["median"]
        for line in lines
        if line["case"] == case and line["variant"].startswith(prefix) and than in line["times faster than"]
    ]
    return max(ratios, default=None)
