"""Time against the number of prompts in a gang, the length of prompts and of notes, and the tasks asked of one note.

    python -m benchmarks.scaling --threads 2 --no-memory --plots docs/results/engine [--device cuda] [--json]

One sweep at a time, everything else held: gangs of 1 to 256 prompts with one row of 64 tokens each (20 vectors);
prompts of 1 to 256 vectors with 8 rows of 256 tokens; notes of 64 to 4,096 tokens with 4 rows and 100 vectors; 1 to 32
tasks answered on one note of 512 tokens with 8 new tokens. 32k vocabulary; dtype is the last of `--dtypes`. With
`--plots FOLDER` each sweep is drawn as an SVG.
Hardware: CPU of 2 cores about half an hour; a GPU with a Llama of the 1B shape, minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks import ours, peers, prompts
from benchmarks.case import Case, Line, Variant
from benchmarks.command import Options, run
from benchmarks.models import SIZES, model_folder, open_backbone
from benchmarks.plots import Sweep, draw
from benchmarks.rows import batches_of, rows_of_lengths
from benchmarks.tasks_per_note import ours_step
from benchmarks.timing import Step
from clinprompt.backbones.protocol import Placement, Row

PEFT, PREFIX, ONCE = "peft", "ours prefix", "ours suffix, notes read once"


@dataclass(frozen=True)
class Training:
    """A training step: ``runs`` prompts of ``vectors`` vectors, ``rows`` rows in all, each of ``tokens`` tokens."""

    runs: int
    vectors: int
    rows: int
    tokens: int


def sweeps(*, quick: bool) -> dict[str, Mapping[int, Training]]:
    """The training steps of each sweep by the number that grows."""
    if quick:
        return {
            "prompts in a gang": {n: Training(n, 4, n, 12) for n in (1, 3)},
            "vectors of a prompt": {n: Training(1, n, 2, 12) for n in (1, 5)},
            "tokens of a note": {n: Training(1, 4, 2, n) for n in (8, 24)},
        }
    return {
        "prompts in a gang": {n: Training(n, 20, n, 64) for n in (1, 2, 4, 8, 16, 32, 64, 128, 256)},
        "vectors of a prompt": {n: Training(1, n, 8, 256) for n in (1, 4, 16, 64, 128, 256)},
        "tokens of a note": {n: Training(1, 100, 4, n) for n in (64, 128, 256, 512, 1024, 2048, 4096)},
    }


def cases(options: Options) -> Iterator[Case]:
    """All points of all sweeps."""
    for name, points in sweeps(quick=options.quick).items():
        for n, training in points.items():
            yield _training(options, name, n, training)
    for n in (1, 2) if options.quick else (1, 2, 4, 8, 16, 32):
        yield _answering(options, n)


def _training(options: Options, name: str, n: int, training: Training) -> Case:
    vocabulary, answer, dtype = 96 if options.quick else 32768, 3 if options.quick else 16, options.dtypes[-1]
    rows = rows_of_lengths([training.tokens + 1 + answer] * training.rows, answer=answer, vocabulary=vocabulary)
    batches = batches_of(rows, size=len(rows), tasks=training.runs)
    start = prompts.starts(training.runs, length=training.vectors, width=SIZES[options.size].width)

    def build(way: str) -> Callable[[], Step]:
        def built() -> Step:
            folder = _folder(options, vocabulary)
            if way == PEFT:
                return peers.prompt_step(
                    peers.prompt_tuning(folder, start, dtype=dtype, device=options.device), batches
                )
            backbone = open_backbone(folder, dtype=dtype, device=options.device)
            source, placement = (
                prompts.free(start, device=options.device),
                Placement("suffix" if way == ONCE else "prefix"),
            )
            return ours.prompt_step(backbone, source, batches, placement=placement, notes_once=way == ONCE)

        return built

    # peft has no gangs: one prompt for all rows is the only thing it could be compared on.
    ways = [PREFIX, ONCE] if training.runs > 1 else [PEFT, PREFIX, ONCE]
    return Case(
        f"{name}: {n}",
        {way: Variant(build(way), dtype, like=PEFT if way != ONCE and PEFT in ways else None) for way in ways},
        unit="row",
        units=len(rows),
        settings={"sweep": name, "n": n},
    )


def _answering(options: Options, tasks: int) -> Case:
    vocabulary, tokens, P, new, dtype = (96, 16, 4, 3, options.dtypes[-1])
    if not options.quick:
        vocabulary, tokens, P, new = 32768, 512, 100, 8
    start = prompts.starts(tasks, length=P, width=SIZES[options.size].width)

    def notes() -> Iterator[list[Row]]:
        for seed in count():
            yield rows_of_lengths([tokens + 2], answer=1, vocabulary=vocabulary, seed=seed) * tasks

    def build(placement: Placement) -> Callable[[], Step]:
        def built() -> Step:
            backbone = open_backbone(_folder(options, vocabulary), dtype=dtype, device=options.device)
            return ours_step(backbone, start, notes(), new, placement)

        return built

    ways = {"prompt before the note": Placement.prefix, "prompt after the note": Placement.suffix}
    return Case(
        f"tasks on one note: {tasks}",
        {way: Variant(build(placement), dtype) for way, placement in ways.items()},
        unit="task",
        units=tasks,
        settings={"sweep": "tasks on one note", "n": tasks},
    )


def _folder(options: Options, vocabulary: int) -> Path:
    return model_folder(options.models, size=options.size, vocabulary=vocabulary, device=options.device)


def conclude(lines: list[Line], options: Options) -> dict[str, Any]:
    """Curves by sweep, drawn when a folder for plots is given."""
    found: dict[str, Sweep] = {}
    for line in lines:
        name, n = line["settings"]["sweep"], line["settings"]["n"]
        sweep = found.setdefault(name, Sweep(name, line["unit"], {}))
        sweep.curves.setdefault(line["variant"], []).append((n, 1000 * line["seconds per unit"]))
    if options.plots is not None:
        for sweep in found.values():
            draw(sweep, options.plots)
    return {"milliseconds": {name: sweep.curves for name, sweep in found.items()}}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run from the command line."""
    return run("scaling", cases, description=__doc__, conclude=conclude, argv=argv)


if __name__ == "__main__":
    main()
