"""One step of prompt tuning, and of multitask prompt tuning over 21 tasks, against peft on the same rows.

    python -m benchmarks.one_prompt --threads 2 [--device cuda] [--json]

A step is forward and backward of all its batches. peft 0.21 (PROMPT_TUNING, MULTITASK_PROMPT_TUNING) runs in a plain
transformers loop with right padding, in the order the rows come and, for rows of different lengths, also sorted by
length; both sides in float32 and with bfloat16 weights, of which the faster counts. Same model, rows, batches,
threads and process; gradients are shown equal first. peft can put a prompt only before everything, and so do we here;
the lines "suffix" place it after the note, whose states are then computed once for all steps.

Work: prompts of 100 vectors, answers of 16 tokens; 8 rows of 256 tokens (for the 21 tasks 21 rows in three batches), or
32 rows with log-normal lengths (mean 153, at most 632) in batches of 8; vocabularies of 8k, 32k and 128k.
Hardware: CPU of 2 cores and 24 GiB about two hours, most of them for peft in float32 (`--dtypes bfloat16` leaves its
timing out, `--only "prompt tuning, 32k"` is a tenth); a GPU with a Llama of the 1B shape, minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from benchmarks import ours, peers, prompts
from benchmarks.case import Case, Line, Variant, fastest
from benchmarks.command import Options, aim, run
from benchmarks.models import SIZES, model_folder, open_backbone
from benchmarks.rows import Batch, batches_of, by_length, long_tailed_lengths, rows_of_lengths
from benchmarks.work import step_operations
from clinprompt.backbones.protocol import Placement
from clinprompt.prompts.source import PromptSource

TASKS = 21
VOCABULARIES = {"8k": 8192, "32k": 32768, "128k": 131072}
METHODS, LENGTHS = ("prompt tuning", "multitask"), ("even", "long-tailed")
QUICK, QUICK_VOCABULARIES = list(zip(METHODS, LENGTHS, strict=True)), {"32k": 96}


def cases(options: Options) -> Iterator[Case]:
    """Every method, vocabulary and kind of lengths."""
    for label, vocabulary in (QUICK_VOCABULARIES if options.quick else VOCABULARIES).items():
        for method, lengths in QUICK if options.quick else product(METHODS, LENGTHS):
            yield _case(options, method, lengths, label, vocabulary)


def _case(options: Options, method: str, lengths: str, label: str, vocabulary: int) -> Case:
    batches = _batches(options, method, lengths, vocabulary)
    rows = [row for batch, _ in batches for row in batch]
    size, P = SIZES[options.size], _prompt_length(options)
    shared = 1 if method == "prompt tuning" else min(TASKS, len(rows))
    prefix = step_operations(size, rows, vocabulary=vocabulary, vectors=P * shared)
    suffix = step_operations(size, rows, vocabulary=vocabulary, vectors=P * len(rows), notes_read=True)
    variants: dict[str, Variant] = {}
    for dtype, timed in options.all_dtypes.items():
        how = {"like": "peft float32", "timed": timed, "operations": prefix}
        build = _peer(options, method, batches, vocabulary, dtype)
        variants[f"peft {dtype}"] = Variant(build, dtype, **how)
        if lengths == "long-tailed":
            build = _peer(options, method, by_length(batches), vocabulary, dtype)
            variants[f"peft by length {dtype}"] = Variant(build, dtype, **how)
        variants[f"ours {dtype}"] = Variant(_ours(options, method, batches, vocabulary, dtype), dtype, **how)
    whole = _ours(options, method, batches, vocabulary, "float32", placement=Placement.suffix)
    variants["suffix, whole float32"] = Variant(whole, "float32", timed=False)
    for dtype, timed in options.all_dtypes.items():
        build = _ours(options, method, batches, vocabulary, dtype, placement=Placement.suffix, notes_once=True)
        how = {"like": "suffix, whole float32", "timed": timed, "operations": suffix}
        variants[f"suffix, notes read once {dtype}"] = Variant(build, dtype, **how)
    baselines = {
        kind: tuple(f"{kind} {dtype}" for dtype in options.all_dtypes)
        for kind in ("peft", "peft by length")
        if f"{kind} float32" in variants
    }
    return Case(
        f"{method}, {label}, {lengths}",
        variants,
        units=len(rows),
        baselines=baselines,
        settings={
            "vocabulary": vocabulary,
            "rows": len(rows),
            "batches": len(batches),
            "tokens": sum(row.length for row in rows),
            "vectors": P,
            "tasks": 1 if method == "prompt tuning" else TASKS,
        },
    )


def _prompt_length(options: Options) -> int:
    return 6 if options.quick else 100


def _batches(options: Options, method: str, lengths: str, vocabulary: int) -> list[Batch]:
    tasks = 1 if method == "prompt tuning" else TASKS
    if lengths == "even":
        counts = [24 if options.quick else 256] * (8 if tasks == 1 else TASKS)
        size = 8 if tasks == 1 else 7
    else:
        counts = [8 + n // 20 for n in long_tailed_lengths(16)] if options.quick else long_tailed_lengths(32)
        size = 8
    rows = rows_of_lengths(counts, answer=3 if options.quick else 16, vocabulary=vocabulary)
    return batches_of(rows, size=size, tasks=tasks)


def _peer(options: Options, method: str, batches: list[Batch], vocabulary: int, dtype: str) -> Any:
    def build() -> Any:
        folder = model_folder(options.models, size=options.size, vocabulary=vocabulary, device=options.device)
        start, u, v = _start(options)
        if method == "prompt tuning":
            model = peers.prompt_tuning(folder, start, dtype=dtype, device=options.device)
        else:
            model = peers.multitask(folder, start[0], u, v, dtype=dtype, device=options.device)
        return peers.prompt_step(model, batches)

    return build


def _ours(options: Options, method: str, batches: list[Batch], vocabulary: int, dtype: str, **how: Any) -> Any:
    def build() -> Any:
        folder = model_folder(options.models, size=options.size, vocabulary=vocabulary, device=options.device)
        backbone = open_backbone(folder, dtype=dtype, device=options.device)
        return ours.prompt_step(backbone, _source(options, method), batches, **how)

    return build


def _source(options: Options, method: str) -> PromptSource:
    start, u, v = _start(options)
    if method == "prompt tuning":
        return prompts.free(start, device=options.device)
    return prompts.decomposed(start[0], u, v, device=options.device)


def _start(options: Options) -> tuple[Any, Any, Any]:
    shape = {"length": _prompt_length(options), "width": SIZES[options.size].width}
    return prompts.starts(1, **shape), *prompts.factors(TASKS, **shape)


def conclude(lines: list[Line], options: Options) -> dict[str, Any]:
    """The aims: 3 times peft at 32k, 5 times at 128k, 5 times with long-tailed lengths in the order they come."""
    if options.quick:
        return {}
    wanted = [("32k", "even", 3.0), ("128k", "even", 5.0), ("32k", "long-tailed", 5.0)]
    aims = []
    for method in ("prompt tuning", "multitask"):
        for label, lengths, least in wanted:
            case = f"{method}, {label}, {lengths}"
            reached = fastest(lines, case=case, prefix="ours ", than="peft")
            aims.append(aim(f"{case}: at least {least:g} times peft", least=least, reached=reached))
    return {"aims": aims}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run from the command line."""
    return run("one_prompt", cases, description=__doc__, conclude=conclude, argv=argv)


if __name__ == "__main__":
    main()
