"""Rows of many callers at once through the live engine, against the same rows one after another.

    python -m benchmarks.live_engine --threads 2 [--device cuda] [--json]

1, 8 and 64 callers submit a row each at the same moment: a note of its own, one of eight prompts after it, a greedy
answer of 32 tokens. "one after another" is the local engine answering row by row, as a server without batching
would. Every call has new notes, so that nothing is kept of them. In float32 both ways give the same tokens, which is
asserted first; bfloat16 breaks ties of a random model another way and is only timed. Time to first token counts from
the moment at which all rows are there; one after another it is when the row's whole answer is there, since that way
tells nothing before.

Work: notes of 128 tokens, prompts of 20 vectors, 32k vocabulary.
Hardware: CPU of 2 cores about half an hour; a GPU with a Llama of the 1B shape, minutes.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any

import torch
from torch import Tensor

from benchmarks import prompts
from benchmarks.case import Case, Line, Variant, fastest
from benchmarks.command import Options, aim, run
from benchmarks.models import SIZES, model_folder, open_backbone, token_ids
from benchmarks.rows import rows_of_lengths
from benchmarks.timing import Step
from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.protocol import Generation, RawAnswer
from clinprompt.inference.engines.live import LiveEngine
from clinprompt.inference.engines.local import LocalEngine, Request
from clinprompt.inference.engines.ticket import Written

ALONE, LIVE = "one after another", "live"
Firsts = defaultdict[tuple[str, str], list[float]]
"""Seconds to each row's first token, by case and variant."""


def cases(options: Options, *, firsts: Firsts) -> Iterator[Case]:
    """One case per number of callers."""
    for callers in (1, 3) if options.quick else (1, 8, 64):
        yield _case(options, callers, firsts)


def _case(options: Options, callers: int, firsts: Firsts) -> Case:
    tokens, vocabulary, P, new = (24, 96, 6, 4) if options.quick else (128, 32768, 20, 32)
    name = f"{callers} at once"
    start = list(prompts.starts(min(callers, 8), length=P, width=SIZES[options.size].width))

    def requests() -> Iterator[list[Request]]:
        """Other notes in every call, the same ones for both ways."""
        for seed in count():
            rows = rows_of_lengths([tokens + 2] * callers, answer=1, vocabulary=vocabulary, seed=seed)
            yield [Request(row, start[i % len(start)]) for i, row in enumerate(rows)]

    def build(way: str, dtype: str) -> Callable[[], Step]:
        def built() -> Step:
            folder = model_folder(options.models, size=options.size, vocabulary=vocabulary, device=options.device)
            backbone = open_backbone(folder, dtype=dtype, device=options.device)
            times = firsts[name, f"{way} {dtype}"]
            step = _alone if way == ALONE else _live
            return step(backbone, requests(), Generation(tokens=new), times)

        return built

    variants = {}
    for dtype, timed in options.all_dtypes.items():
        variants[f"{ALONE} {dtype}"] = Variant(build(ALONE, dtype), dtype, timed=timed)
        like = f"{ALONE} float32" if dtype == "float32" else None
        variants[f"{LIVE} {dtype}"] = Variant(build(LIVE, dtype), dtype, like=like, timed=timed)
    return Case(
        name,
        variants,
        unit="token",
        units=callers * new,
        baselines={f"{ALONE} {dtype}": (f"{ALONE} {dtype}",) for dtype in options.all_dtypes},
        settings={"callers": callers, "tokens": tokens, "vectors": P, "new tokens": new, "vocabulary": vocabulary},
    )


def _alone(
    backbone: CausalBackbone, given: Iterator[Sequence[Request]], generation: Generation, times: list[float]
) -> Step:
    engine = LocalEngine(backbone)

    def step() -> dict[str, Tensor]:
        requests, began, answers = next(given), time.perf_counter(), list[RawAnswer]()
        for request in requests:
            answers += engine.answers([request], generation)
            times.append(time.perf_counter() - began)
        return {"tokens": _tokens(answers)}

    return step


def _live(
    backbone: CausalBackbone, given: Iterator[Sequence[Request]], generation: Generation, times: list[float]
) -> Step:
    def step() -> dict[str, Tensor]:
        requests, began = next(given), time.perf_counter()

        def heard(written: Written) -> None:
            if written.tokens == 1:
                times.append(time.perf_counter() - began)

        with LiveEngine(backbone) as engine:
            tickets = [engine.submit(request, generation, heard=heard) for request in requests]
            return {"tokens": _tokens([ticket.result() for ticket in tickets])}

    return step


def _tokens(answers: Sequence[RawAnswer]) -> Tensor:
    return torch.tensor([token for answer in answers for token in token_ids(answer.text)])


def conclude(lines: list[Line], options: Options, *, firsts: Firsts) -> dict[str, Any]:
    """Tokens per second, time to first token, and the aims: many at once far faster, one alone not slower."""
    found: dict[str, Any] = {"tokens per second": {}, "seconds to first token": {}}
    for line in lines:
        case, variant = line["case"], line["variant"]
        seconds = sorted(firsts[case, variant])
        found["tokens per second"][f"{case}, {variant}"] = 1 / line["seconds per unit"]
        found["seconds to first token"][f"{case}, {variant}"] = {
            "median": statistics.median(seconds),
            "slowest": seconds[-1],
        }
    if options.quick:
        return found
    many, one = (
        max(
            (reached for dtype in options.all_dtypes if (reached := _faster(lines, callers, dtype)) is not None),
            default=None,
        )
        for callers in (64, 1)
    )
    aims = [
        aim("64 rows at once: at least 2 times the tokens per second of one after another", least=2.0, reached=many),
        aim("one row alone: at least 0.9 times", least=0.9, reached=one),
    ]
    return found | {"aims": aims}


def _faster(lines: list[Line], callers: int, dtype: str) -> float | None:
    return fastest(lines, case=f"{callers} at once", prefix=f"{LIVE} {dtype}", than=f"{ALONE} {dtype}")


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run from the command line."""
    firsts: Firsts = defaultdict(list)
    return run(
        "live_engine",
        partial(cases, firsts=firsts),
        description=__doc__,
        conclude=partial(conclude, firsts=firsts),
        argv=argv,
    )


if __name__ == "__main__":
    main()
