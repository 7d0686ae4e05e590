"""Training prompts that stand after the note, with the note's states kept, against prompts before everything.

    python -m benchmarks.note_once --threads 2 [--device cuda] [--json]

Four rows with notes of 256 to 4,096 tokens, a prompt of 100 vectors, answers of 16 tokens, 32k vocabulary; a step is
forward and backward. "prefix" and "suffix, whole" run the notes in every step, "notes read once" only in the first,
which is not timed. The two suffix ways are shown equal first; a prefix prompt is another model and is not comparable.
Hardware: CPU of 2 cores about an hour (`--dtypes bfloat16` a third of it); a GPU, minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import ours, prompts
from benchmarks.case import Case, Line, Variant, fastest
from benchmarks.command import Options, aim, run
from benchmarks.models import SIZES, model_folder, open_backbone
from benchmarks.rows import batches_of, rows_of_lengths
from benchmarks.timing import Step
from benchmarks.work import step_operations
from clinprompt.backbones.protocol import Placement

PREFIX, WHOLE, ONCE = "prefix", "suffix, whole", "suffix, notes read once"


def cases(options: Options) -> Iterator[Case]:
    """One case per length."""
    for tokens in (32,) if options.quick else (256, 512, 1024, 2048, 4096):
        yield _case(options, tokens)


def _case(options: Options, tokens: int) -> Case:
    vocabulary, P, answer = (96, 6, 3) if options.quick else (32768, 100, 16)
    size = SIZES[options.size]
    rows = rows_of_lengths([tokens + 1 + answer] * 4, answer=answer, vocabulary=vocabulary)
    batches = batches_of(rows, size=4, tasks=1)
    operations = {
        PREFIX: step_operations(size, rows, vocabulary=vocabulary, vectors=P),
        WHOLE: step_operations(size, rows, vocabulary=vocabulary, vectors=P * len(rows)),
        ONCE: step_operations(size, rows, vocabulary=vocabulary, vectors=P * len(rows), notes_read=True),
    }

    def build(way: str, dtype: str) -> Callable[[], Step]:
        def built() -> Step:
            folder = model_folder(options.models, size=options.size, vocabulary=vocabulary, device=options.device)
            backbone = open_backbone(folder, dtype=dtype, device=options.device)
            source = prompts.free(prompts.starts(1, length=P, width=size.width), device=options.device)
            placement = Placement.prefix if way == PREFIX else Placement.suffix
            return ours.prompt_step(backbone, source, batches, placement=placement, notes_once=way == ONCE)

        return built

    variants = {}
    for dtype, timed in options.all_dtypes.items():
        for way in (PREFIX, WHOLE, ONCE):
            like = None if way == PREFIX else f"{WHOLE} float32"
            variants[f"{way} {dtype}"] = Variant(
                build(way, dtype), dtype, like=like, timed=timed, operations=operations[way]
            )
    return Case(
        f"notes of {tokens} tokens",
        variants,
        units=len(rows),
        baselines={way: tuple(f"{way} {dtype}" for dtype in options.all_dtypes) for way in (PREFIX, WHOLE)},
        settings={"tokens": tokens, "rows": len(rows), "vectors": P, "vocabulary": vocabulary},
    )


def conclude(lines: list[Line], options: Options) -> dict[str, Any]:
    """The aim: 5 times a prefix prompt at 1,024 tokens."""
    if options.quick:
        return {}
    reached = fastest(lines, case="notes of 1024 tokens", prefix=ONCE, than=PREFIX)
    return {"aims": [aim("notes of 1024 tokens: at least 5 times a prefix prompt", least=5.0, reached=reached)]}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run from the command line."""
    return run("note_once", cases, description=__doc__, conclude=conclude, argv=argv)


if __name__ == "__main__":
    main()
