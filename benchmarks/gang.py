"""Thirty-two few-shot runs one by one, and the same runs as one gang.

    python -m benchmarks.gang --threads 2 [--device cuda] [--json]

Each run trains its own prompt on its own five examples for three steps of AdamW, as in a few-shot curve over draws and
seeds. Ours goes through the training loop both ways; peft trains one prompt after another with torch's AdamW at the
same rates, clipping and order of examples. All are shown to end at the same prompts first. Time is per step of a run.

Work: prompts of 20 vectors before rows of 64 or 256 tokens, answers of 16 tokens, batches of 1 or 4, 32k vocabulary.
Hardware: CPU of 2 cores about ten minutes; a GPU with a Llama of the 1B shape, minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks import peers, prompts
from benchmarks.case import Case, Line, Variant, fastest
from benchmarks.command import Options, aim, run
from benchmarks.models import SIZES, model_folder, open_backbone
from benchmarks.rows import rows_of_lengths
from benchmarks.timing import Step
from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.protocol import Placement, Row
from clinprompt.maths.schedule import rate_factor
from clinprompt.training.gang import Cursors, Member, rows_for_step
from clinprompt.training.loop import train

STEPS, EXAMPLES, RATE = 3, 5, 0.005
MOVED = 2e-3
"""Largest relative difference of how far prompts have moved; the gradients themselves agree within 1e-6."""


def cases(options: Options) -> Iterator[Case]:
    """Short and longer rows, batches of one and of four."""
    for tokens, batch in [(12, 2)] if options.quick else [(64, 1), (64, 4), (256, 1), (256, 4)]:
        yield _case(options, tokens, batch)


def _case(options: Options, tokens: int, batch: int) -> Case:
    runs, vocabulary = (3, 96) if options.quick else (32, 32768)
    members = _members(runs, tokens=tokens, batch=batch, answer=3 if options.quick else 16, vocabulary=vocabulary)
    start = prompts.starts(runs, length=4 if options.quick else 20, width=SIZES[options.size].width)

    def peer(dtype: str) -> Callable[[], Step]:
        def build() -> Step:
            folder = model_folder(options.models, size=options.size, vocabulary=vocabulary, device=options.device)
            return _with_peft(
                peers.prompt_tuning(folder, start[:1], dtype=dtype, device=options.device), start, members
            )

        return build

    def ours(dtype: str, gangs: Sequence[slice]) -> Callable[[], Step]:
        def build() -> Step:
            folder = model_folder(options.models, size=options.size, vocabulary=vocabulary, device=options.device)
            return _with_ours(open_backbone(folder, dtype=dtype, device=options.device), start, members, gangs)

        return build

    variants, alone = {}, [slice(n, n + 1) for n in range(runs)]
    for dtype, timed in options.all_dtypes.items():
        # Rounding decides the sign of the smallest gradients and Adam's first steps with it: in half precision of so
        # many that nothing can be compared, in single precision of a few.
        like = "peft one by one float32" if dtype == "float32" else None
        variants[f"peft one by one {dtype}"] = Variant(peer(dtype), dtype, like=like, timed=timed)
        variants[f"ours one by one {dtype}"] = Variant(
            ours(dtype, alone), dtype, like=like, timed=timed, tolerance=MOVED
        )
        variants[f"gang {dtype}"] = Variant(
            ours(dtype, [slice(0, runs)]), dtype, like=like, timed=timed, tolerance=MOVED
        )
    return Case(
        f"{runs} runs, {tokens} tokens, batch {batch}",
        variants,
        unit="step of a run",
        units=runs * STEPS,
        baselines={
            kind: tuple(f"{kind} {dtype}" for dtype in options.all_dtypes)
            for kind in ("peft one by one", "ours one by one")
        },
        settings={"runs": runs, "tokens": tokens, "batch": batch, "steps": STEPS, "vectors": start.shape[1]},
    )


def _members(runs: int, *, tokens: int, batch: int, answer: int, vocabulary: int) -> list[Member]:
    def rows(n: int) -> list[Row]:
        return rows_of_lengths([tokens] * EXAMPLES, answer=answer, vocabulary=vocabulary, seed=n)

    return [
        Member(f"run {n}", rows(n), steps=STEPS, batch=batch, seed=n, rates={"prompt": RATE}, warmup=1)
        for n in range(runs)
    ]


def _with_ours(backbone: CausalBackbone, start: Tensor, members: list[Member], gangs: Sequence[slice]) -> Step:
    def step() -> dict[str, Tensor]:
        found = []
        for gang in gangs:
            source = prompts.free(start[gang], device=str(backbone.device))
            train(backbone, source, members[gang], placement=Placement.prefix)
            found += source.folded()
        return {"moved": torch.stack(found).cpu() - start}

    return step


def _with_peft(model: Any, start: Tensor, members: list[Member]) -> Step:
    prompt = model.prompt_encoder["task0"].embedding.weight

    def trained(n: int, member: Member) -> Tensor:
        with torch.no_grad():
            prompt.copy_(start[n])
        optimiser = torch.optim.AdamW([prompt], lr=RATE, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.0)
        cursors = Cursors([0])
        for step in range(member.steps):
            optimiser.param_groups[0]["lr"] = RATE * rate_factor(step, steps=member.steps, warmup=member.warmup)
            picked = rows_for_step([member], [True], cursors, step=step, mixture=None)
            optimiser.zero_grad()
            model(**peers.collate([row for _, row in picked], device=str(model.device))).loss.backward()
            torch.nn.utils.clip_grad_norm_([prompt], member.clip)
            optimiser.step()
        return prompt.detach().cpu().clone()

    def step() -> dict[str, Tensor]:
        return {"moved": torch.stack([trained(n, member) for n, member in enumerate(members)]) - start}

    return step


def conclude(lines: list[Line], options: Options) -> dict[str, Any]:
    """The aim: 1.3 times one by one on a CPU at short rows, 8 times on a GPU."""
    if options.quick:
        return {}
    least = 1.3 if options.device == "cpu" else 8.0
    case = "32 runs, 64 tokens, batch 1"
    reached = fastest(lines, case=case, prefix="gang ", than="ours one by one")
    return {"aims": [aim(f"{case}: at least {least:g} times one by one", least=least, reached=reached)]}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run from the command line."""
    return run("gang", cases, description=__doc__, conclude=conclude, argv=argv)


if __name__ == "__main__":
    main()
