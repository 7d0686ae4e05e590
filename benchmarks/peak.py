"""Achieved useful arithmetic of a training step as a share of what matrix products reach on the same machine.

    python -m benchmarks.peak --threads 2 [--device cuda] [--json]

Useful arithmetic is the least any way of doing the step must compute (benchmarks/work.py; attention is not counted, so
the true share is a little higher). The peak is the fastest of several large matrix products, in the same dtype and in
the same rounds. Work: one step of prompt tuning, 16 rows of 256 tokens (answers of 16), 100 vectors, 32k vocabulary.
Hardware: CPU of 2 cores about five minutes; a GPU with a Llama of the 1B shape, minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks import ours, peers, prompts
from benchmarks.case import Case, Line, Variant
from benchmarks.command import Options, aim, run
from benchmarks.models import SIZES, model_folder, open_backbone
from benchmarks.rows import batches_of, rows_of_lengths
from benchmarks.timing import Step
from benchmarks.work import step_operations
from clinprompt.backbones.protocol import Placement

ROWS, PRODUCT = 16, "matrix product"


def cases(options: Options) -> Iterator[Case]:
    """One case: the step ways and the products take turns."""
    vocabulary, P, answer, tokens = (96, 6, 3, 24) if options.quick else (32768, 100, 16, 256)
    size = SIZES[options.size]
    rows = rows_of_lengths([tokens] * ROWS, answer=answer, vocabulary=vocabulary)
    batches = batches_of(rows, size=ROWS, tasks=1)
    start = prompts.starts(1, length=P, width=size.width)
    prefix = step_operations(size, rows, vocabulary=vocabulary, vectors=P)
    suffix = step_operations(size, rows, vocabulary=vocabulary, vectors=P * ROWS, notes_read=True)

    def step(way: str, dtype: str) -> Callable[[], Step]:
        def build() -> Step:
            folder = model_folder(options.models, size=options.size, vocabulary=vocabulary, device=options.device)
            if way == "peft":
                return peers.prompt_step(
                    peers.prompt_tuning(folder, start, dtype=dtype, device=options.device),
                    batches_of(rows, size=8, tasks=1),
                )
            backbone = open_backbone(folder, dtype=dtype, device=options.device)
            source, after = prompts.free(start, device=options.device), way == "suffix"
            placement = Placement.suffix if after else Placement.prefix
            return ours.prompt_step(backbone, source, batches, placement=placement, notes_once=after)

        return build

    variants = {}
    for dtype, timed in options.all_dtypes.items():
        how = {"like": "peft float32", "timed": timed, "operations": prefix}
        variants[f"peft {dtype}"] = Variant(step("peft", dtype), dtype, **how)
        variants[f"ours {dtype}"] = Variant(step("prefix", dtype), dtype, **how)
        build = step("suffix", dtype)
        variants[f"suffix, notes read once {dtype}"] = Variant(build, dtype, timed=timed, operations=suffix)
        for m, k, n in shapes(options):
            variants[f"{PRODUCT} {m}x{k}x{n} {dtype}"] = Variant(
                product(m, k, n, dtype=dtype, device=options.device),
                dtype,
                timed=timed,
                operations=CALLS * 2.0 * m * k * n,
            )
    yield Case(
        "prompt tuning",
        variants,
        units=ROWS,
        settings={"rows": ROWS, "tokens": tokens, "vectors": P, "vocabulary": vocabulary},
    )


CALLS = 8
"""Products per timed step: one alone is too short to time on a GPU."""


def shapes(options: Options) -> list[tuple[int, int, int]]:
    """Products of the network's own shape and larger squares: which is fastest depends on the machine."""
    if options.quick:
        return [(64, 64, 64)]
    size = SIZES[options.size]
    squares = (4096, 8192) if options.device.startswith("cuda") else (1024, 2048)
    return [(4096, size.width, size.inner), *((n, n, n) for n in squares)]


def product(m: int, k: int, n: int, *, dtype: str, device: str) -> Callable[[], Step]:
    """Builds a step of ``CALLS`` products of random matrices."""

    def build() -> Step:
        kind = getattr(torch, dtype)
        left, right = torch.randn(m, k, device=device).to(kind), torch.randn(k, n, device=device).to(kind)

        def step() -> dict[str, Tensor]:
            for _ in range(CALLS):
                last = left @ right
            return {"last": last}

        return step

    return build


def conclude(lines: list[Line], options: Options) -> dict[str, Any]:
    """Shares of the dtype's peak, and the aim: 60 % on a CPU, 50 % on a GPU, for our faster dtype."""
    peaks: dict[str, float] = {}
    for line in lines:
        if line["variant"].startswith(PRODUCT):
            peaks[line["dtype"]] = max(peaks.get(line["dtype"], 0.0), line["operations per second"])
    shares = {
        line["variant"]: line["operations per second"] / peaks[line["dtype"]]
        for line in lines
        if not line["variant"].startswith(PRODUCT)
    }
    result: dict[str, Any] = {"matrix products per second": peaks, "share of the matrix peak": shares}
    if not options.quick:
        least = 0.6 if options.device == "cpu" else 0.5
        seconds = {line["variant"]: line["seconds"]["median"] for line in lines if line["variant"].startswith("ours")}
        ours_fastest = min(seconds, key=seconds.__getitem__)
        text = f"{ours_fastest}: at least {least:.0%} of the matrix peak"
        result["aims"] = [aim(text, least=least, reached=shares[ours_fastest])]
    return result


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run from the command line."""
    return run("peak", cases, description=__doc__, conclude=conclude, argv=argv)


if __name__ == "__main__":
    main()
