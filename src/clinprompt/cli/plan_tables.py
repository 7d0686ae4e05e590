"""The tables of ``clinprompt study plan``: the grid, what gangs start from, the gangs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clinprompt.cli.console import console

if TYPE_CHECKING:
    from clinprompt.study.plan import PlanLine
    from clinprompt.study.source_stages import StageLine


def show_grid(name: str, axes: Mapping[str, Sequence[Any]]) -> None:
    """The axes of a study with their values."""
    console.table(("axis", "values", ""), [(axis, len(found), _few(found)) for axis, found in axes.items()], title=name)


def show_stages(stages: Sequence[StageLine], *, size: str) -> None:
    """The teachers and metaprompts of a study; ``size`` is the heading of the memory."""
    rows = [
        (one.part, _named(one), f"{one.there} of {one.prompts}", one.steps, one.rates,
         duration(one.seconds) if one.left else "–", one.rests_on or "–", _gib(one.memory))
        for one in stages
    ]  # fmt: skip
    columns = ("part", "what", "there", "steps", "trials", "left", "from", size)
    console.table(columns, rows, title="Before the gangs: what they start from")


def show_gangs(lines: Sequence[PlanLine], *, size: str) -> None:
    """The gangs of a study by part and method; ``size`` is the heading of the memory."""
    rows = [
        (line.part, line.method, line.gangs, line.done, line.failed, line.cells, line.trials or "–",
         "–" if not line.left or line.same_as else duration(line.seconds),
         f"as {line.same_as}" if line.same_as else line.rests_on or "–", _gib(line.memory))
        for line in lines
    ]  # fmt: skip
    columns = ("part", "method", "gangs", "done", "failed", "cells", "trials", "left", "from", size)
    console.table(columns, rows, title="Gangs: a method with one seed on every target, shot count and draw")


def duration(seconds: float | None) -> str:
    """Seconds as a person says them; ``None`` is unknown."""
    if seconds is None:
        return "unknown"
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _named(stage: StageLine) -> str:
    what = "teachers" if stage.stage == "teach" else "metaprompt"
    return f"{what}, {stage.variant}" if stage.variant else what


def _few(values: Sequence[object]) -> str:
    shown = ", ".join(str(value) for value in values[:12])
    return shown if len(values) <= 12 else f"{shown}, …"


def _gib(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 1024**3:.2f}"
