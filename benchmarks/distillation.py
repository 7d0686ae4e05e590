"""What a teacher adds to a training step: run again every step, and with what it says kept.

    python -m benchmarks.distillation --threads 2 [--device cuda] [--json]

Multitask prompts of four tasks, each with its teacher, four rows of 256 tokens a step (answers of 16 tokens, 100
vectors, 32k vocabulary). The loss is answer + logit divergence + distance of the last hidden states. "kept" computes
the teachers' targets in the first step, which is not timed; both ways are shown to give the same gradients first.
Hardware: CPU of 2 cores about five minutes; a GPU with a Llama of the 1B shape, minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from torch import Tensor

from benchmarks import prompts
from benchmarks.case import Case, Line, Variant, fastest
from benchmarks.command import Options, aim, run
from benchmarks.models import model_folder, open_backbone
from benchmarks.rows import rows_of_lengths
from benchmarks.timing import Step
from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.protocol import Placement, Row
from clinprompt.training.gang import Member, batch_prompts
from clinprompt.training.objectives import Distillation
from clinprompt.training.teacher_targets import TeacherTargets

TASKS = 4
NONE, AGAIN, KEPT, TOP = "no distillation", "teacher every step", "teacher kept", "teacher kept, top 64"
BUDGETS = {AGAIN: 0, KEPT: 2**31, TOP: 2**31}


def cases(options: Options) -> Iterator[Case]:
    """Prompts before everything; the teacher's work then is a whole forward."""
    vocabulary, P, answer, tokens = (96, 6, 3, 24) if options.quick else (32768, 100, 16, 256)
    rows = rows_of_lengths([tokens] * TASKS, answer=answer, vocabulary=vocabulary)

    def step(way: str, dtype: str) -> Callable[[], Step]:
        def build() -> Step:
            folder = model_folder(options.models, size=options.size, vocabulary=vocabulary, device=options.device)
            backbone = open_backbone(folder, dtype=dtype, device=options.device)
            return _step(backbone, rows, P, way)

        return build

    variants = {}
    for dtype, timed in options.all_dtypes.items():
        for way in (NONE, AGAIN, KEPT, TOP):
            like = f"{AGAIN} float32" if way in (AGAIN, KEPT) else None
            variants[f"{way} {dtype}"] = Variant(step(way, dtype), dtype, like=like, timed=timed)
    yield Case(
        "multitask prompts",
        variants,
        units=len(rows),
        baselines={way: tuple(f"{way} {dtype}" for dtype in options.all_dtypes) for way in (NONE, AGAIN)},
        settings={"tasks": TASKS, "rows": len(rows), "tokens": tokens, "vectors": P, "vocabulary": vocabulary},
    )


def _step(backbone: CausalBackbone, rows: list[Row], length: int, way: str) -> Step:
    shape, device = {"length": length, "width": backbone.hidden_size}, str(backbone.device)
    source = prompts.decomposed(prompts.starts(1, **shape)[0], *prompts.factors(TASKS, **shape), device=device)
    members = [Member(f"task {n}", [row], steps=1, batch=1, seed=n, rates={}) for n, row in enumerate(rows)]
    distillation = Distillation(
        list(prompts.starts(TASKS, **shape, seed=7)),
        Placement.prefix,
        weights=[1.0] * TASKS,
        top_k=min(64, backbone.vocabulary) if way == TOP else None,
        budget=BUDGETS.get(way, 0),
    )
    targets, numbers = TeacherTargets(backbone, members, distillation, tokens_per_forward=8192), count()
    chunk, layers = list(enumerate(rows)), () if way == NONE else distillation.hidden_layers

    def step() -> dict[str, Tensor]:
        for group in source.groups():
            group.tensor.grad = None
        taught = None if way == NONE else targets.of(chunk, step=next(numbers))
        output = backbone.forward(rows, batch_prompts(source, range(TASKS), Placement.prefix), hidden_layers=layers)
        losses = output.losses
        if taught is not None:
            losses = losses + targets.losses(chunk, output, taught)
        losses.mean().backward()
        return {"loss": losses.detach().mean()} | {group.name: group.tensor.grad for group in source.groups()}

    return step


def conclude(lines: list[Line], options: Options) -> dict[str, Any]:
    """The aim: at most 1.1 times a step without distillation."""
    if options.quick:
        return {}
    faster = fastest(lines, case="multitask prompts", prefix=f"{KEPT} ", than=NONE)
    reached = None if faster is None else 1 / faster
    return {"aims": [aim("teacher kept: at most 1.1 times a step without distillation", most=1.1, reached=reached)]}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run from the command line."""
    return run("distillation", cases, description=__doc__, conclude=conclude, argv=argv)


if __name__ == "__main__":
    main()
