"""Twelve tasks on one note: ours in one batch, and peft task by task, in one mixed batch, and with LoRA.

    python -m benchmarks.tasks_per_note --threads 2 [--device cuda] [--json]

Greedy answers of 16 tokens. peft's prompt tuning generates for one task after another; its multitask prompts, given
full-rank factors so that they hold the same prompts, for all tasks in one batch (all rows are equally long, so none
is padded); LoRA (rank 8 on all linear layers) switches adapters. Ours with prompts before the note runs the note for
every task, ours with prompts after it reads the note once. Every call has a new note, so that nothing is kept of it,
while prompts stay loaded. In float32 prompts before the note give the same tokens as peft's, and prompts after it the
same as task by task, which is asserted first; bfloat16 breaks ties of a random model another way and is only timed.

Work: 12 prompts of 100 vectors, notes of 256 and 1,024 tokens, 32k vocabulary.
Hardware: CPU of 2 cores about half an hour; a GPU with a Llama of the 1B shape, minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor

from benchmarks import peers, prompts
from benchmarks.case import Case, Line, Variant
from benchmarks.command import Options, aim, run
from benchmarks.models import SIZES, model_folder, open_backbone, token_ids
from benchmarks.rows import rows_of_lengths
from benchmarks.timing import Step
from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.protocol import Generation, Placement, RawAnswer, Row
from clinprompt.inference.engines.local import LocalEngine, Request

TASK_BY_TASK, MIXED, LORA = "peft task by task", "peft one mixed batch", "LoRA task by task"
PREFIX, SUFFIX, ALONE = "ours prefix", "ours suffix", "ours suffix, task by task"
ONE = "ours suffix, only one task"
AIM = 2.0
"""At most so many times the time of one task, for notes of 1,024 tokens and more."""


def cases(options: Options) -> Iterator[Case]:
    """One case per note length."""
    for tokens in (24,) if options.quick else (256, 1024):
        yield _case(options, tokens)


def _case(options: Options, tokens: int) -> Case:
    tasks, vocabulary, P, new = (3, 96, 6, 4) if options.quick else (12, 32768, 100, 16)
    start = prompts.starts(tasks, length=P, width=SIZES[options.size].width)

    def notes() -> Iterator[list[Row]]:
        """Another note in every call, the same ones for all ways: what is kept of a note must not help the next."""
        for seed in count():
            yield rows_of_lengths([tokens + 2], answer=1, vocabulary=vocabulary, seed=seed) * tasks

    def build(way: str, dtype: str) -> Callable[[], Step]:
        def built() -> Step:
            folder = model_folder(options.models, size=options.size, vocabulary=vocabulary, device=options.device)
            where = {"dtype": dtype, "device": options.device}
            if way == LORA:
                return _one_by_one(peers.low_rank(folder, tasks, **where), notes(), new)
            if way == TASK_BY_TASK:
                return _one_by_one(peers.prompt_tuning(folder, start, **where), notes(), new)
            if way == MIXED:
                return _mixed(_full_rank(folder, start, **where), notes(), new)
            backbone = open_backbone(folder, **where)
            if way == ONE:
                return ours_step(backbone, start[:1], (rows[:1] for rows in notes()), new, Placement.suffix)
            if way == ALONE:
                return _ours_alone(backbone, start, notes(), new)
            return ours_step(backbone, start, notes(), new, Placement.prefix if way == PREFIX else Placement.suffix)

        return built

    like = {TASK_BY_TASK: TASK_BY_TASK, MIXED: TASK_BY_TASK, PREFIX: TASK_BY_TASK, SUFFIX: ALONE}
    variants = {}
    for dtype, timed in options.all_dtypes.items():
        for way in (TASK_BY_TASK, MIXED, LORA, PREFIX, SUFFIX, ONE):
            reference = f"{like[way]} float32" if dtype == "float32" and way in like else None
            variants[f"{way} {dtype}"] = Variant(build(way, dtype), dtype, like=reference, timed=timed)
    variants[f"{ALONE} float32"] = Variant(build(ALONE, "float32"), "float32", timed=False)
    return Case(
        f"{tasks} tasks, note of {tokens} tokens",
        variants,
        unit="task",
        units=tasks,
        baselines={
            way: tuple(f"{way} {dtype}" for dtype in options.all_dtypes) for way in (TASK_BY_TASK, MIXED, LORA, PREFIX)
        },
        settings={"tasks": tasks, "tokens": tokens, "vectors": P, "new tokens": new, "vocabulary": vocabulary},
    )


def ours_step(
    backbone: CausalBackbone, start: Tensor, notes: Iterator[Sequence[Row]], new: int, placement: Placement
) -> Step:
    """All tasks of one note through one engine, which lives as long as the step does."""
    engine, vectors = LocalEngine(backbone), list(start)

    def step() -> dict[str, Tensor]:
        requests = [Request(row, own, placement) for row, own in zip(next(notes), vectors, strict=True)]
        return {"tokens": _tokens(engine.answers(requests, Generation(tokens=new)))}

    return step


def _ours_alone(backbone: CausalBackbone, start: Tensor, notes: Iterator[Sequence[Row]], new: int) -> Step:
    def step() -> dict[str, Tensor]:
        answers: list[RawAnswer] = []
        for row, vectors in zip(next(notes), start, strict=True):
            answers += LocalEngine(backbone).answers([Request(row, vectors)], Generation(tokens=new))
        return {"tokens": _tokens(answers)}

    return step


def _tokens(answers: Sequence[RawAnswer]) -> Tensor:
    return torch.tensor([token_ids(answer.text) for answer in answers])


def _one_by_one(model: PeftModel, notes: Iterator[Sequence[Row]], new: int) -> Step:
    def step() -> dict[str, Tensor]:
        found = []
        for n, row in enumerate(next(notes)):
            model.set_adapter(f"task{n}")
            found.append(peers.generated(model, [row], tokens=new))
        return {"tokens": torch.cat(found)}

    return step


def _mixed(model: PeftModel, notes: Iterator[Sequence[Row]], new: int) -> Step:
    def step() -> dict[str, Tensor]:
        rows = next(notes)
        return {"tokens": peers.generated(model, rows, tokens=new, tasks=range(len(rows)))}

    return step


def _full_rank(folder: Path, start: Tensor, **where: str) -> PeftModel:
    """Multitask prompts that hold any prompts at all: a metaprompt of ones, the identity times each prompt."""
    N, P, H = start.shape
    return peers.multitask(folder, torch.ones(P, H), torch.eye(P).expand(N, P, P), start, **where)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run from the command line."""
    return run("tasks_per_note", cases, description=__doc__, conclude=conclude, argv=argv)


def conclude(lines: list[Line], options: Options) -> dict[str, Any]:
    """The aim: all tasks of a note of 1,024 tokens at most twice the time of one, in our faster dtype."""
    medians: dict[str, dict[str, float]] = {}
    for line in lines:
        found = medians.setdefault(line["case"], {})
        way = line["variant"].removesuffix(f" {line['dtype']}")
        found[way] = min(found.get(way, float("inf")), line["seconds"]["median"])
    times = {case: found[SUFFIX] / found[ONE] for case, found in medians.items() if {SUFFIX, ONE} <= set(found)}
    reached = next((value for case, value in times.items() if "1024" in case), None)
    text = "12 tasks on a note of 1024 tokens: at most 2 times one task"
    return {"all tasks, times one task": times, "aims": [aim(text, most=AIM, reached=reached)]}


if __name__ == "__main__":
    main()
