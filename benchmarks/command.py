"""What every benchmark does with its cases: options, the run, and one JSON object or a table on stdout."""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from benchmarks.case import Case, Line, measure
from benchmarks.machine import machine, versions
from benchmarks.memory import step_peak
from benchmarks.models import SIZES, open_backbone

REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Options:
    """How a benchmark is run; ``models`` is the folder that holds the random models."""

    quick: bool
    device: str
    dtypes: tuple[str, ...]
    size: str
    rounds: int
    memory: bool
    only: str
    plots: Path | None
    models: Path
    spans: int | None = None
    notes: int | None = None

    @property
    def all_dtypes(self) -> dict[str, bool]:
        """Every dtype and whether it is timed; float32 is always there, because equality is shown in it."""
        return {dtype: dtype in self.dtypes for dtype in ("float32", "bfloat16") if dtype in {"float32", *self.dtypes}}


def run(
    name: str,
    cases: Callable[[Options], Iterable[Case]],
    *,
    description: str,
    conclude: Callable[[list[Line], Options], dict[str, Any]] = lambda lines, options: {},
    argv: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Run benchmark ``name``, print its result and return it; ``conclude`` adds what follows from all lines."""
    argv = list(sys.argv[1:] if argv is None else argv)
    given = _parser(name, description).parse_args(argv)
    torch.set_num_threads(given.threads)
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as own:
        options = _options(given, Path(own))
        if given.peak:
            case, variant = given.peak
            found = next(found for found in cases(options) if found.name == case)
            result: dict[str, Any] = step_peak(found.variants[variant].build(), device=options.device)
            print(json.dumps(result))
            return result
        state = machine()  # before the run: the load is the others'
        lines = _lines(name, cases, options, argv)
        result = {"benchmark": name, "machine": state, "versions": versions(), "settings": _settings(given)}
        result |= {"lines": lines} | conclude(lines, options)
        if "aims" in result:  # `--only` leaves cases out, and their aims with them
            result["aims"] = [found for found in result["aims"] if found["reached"] is not None]
        open_backbone.cache_clear()
    print(json.dumps(result, indent=1) if given.json else table(result))
    return result


def _lines(name: str, cases: Callable[[Options], Iterable[Case]], options: Options, argv: Sequence[str]) -> list[Line]:
    lines: list[Line] = []
    for case in cases(options):
        if options.only not in case.name:
            continue
        print(f"{name}: {case.name} …", file=sys.stderr, flush=True)
        measured, steps = measure(case, rounds=options.rounds, device=options.device)
        if options.memory and options.device.startswith("cuda"):
            for line in measured:
                line["memory"] = step_peak(steps[line["variant"]], device=options.device)
        del steps
        gc.collect()
        if options.memory and options.device == "cpu":
            for line in measured:
                line["memory"] = _peak_of_its_own_process(name, case.name, line["variant"], options, argv)
        lines += measured
    return lines


def _peak_of_its_own_process(
    name: str, case: str, variant: str, options: Options, argv: Sequence[str]
) -> dict[str, int]:
    command = [sys.executable, "-m", f"benchmarks.{name}", *argv]
    command += ["--models", str(options.models), "--peak", case, variant]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{case}, {variant}: the process that measures memory failed\n{ended.stderr[-2000:]}")
    return json.loads(ended.stdout)


def _parser(name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, no memory: does it run and agree?")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--size", choices=sorted(SIZES), help="default: small on a CPU, 1b on a GPU")
    parser.add_argument("--dtypes", default="float32,bfloat16", help="dtypes that are timed")
    parser.add_argument("--rounds", type=int, help="default: 5; 1 with --quick")
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, help="default: yes; no with --quick")
    parser.add_argument("--plots", type=Path, help="folder for plots, where a benchmark has any")
    parser.add_argument("--spans", type=int, help="length of the fuzz run, where a benchmark has one")
    parser.add_argument("--notes", type=int, help="number of notes, where a benchmark has one")
    parser.add_argument("--models", type=Path, help="folder to keep the random models and notes in between runs")
    parser.add_argument("--peak", nargs=2, metavar=("CASE", "VARIANT"), help=argparse.SUPPRESS)
    return parser


def _options(given: argparse.Namespace, own: Path) -> Options:
    cuda = given.device.startswith("cuda")
    return Options(
        quick=given.quick,
        device=given.device,
        dtypes=tuple(given.dtypes.split(",")),
        size="quick" if given.quick else given.size or ("1b" if cuda else "small"),
        rounds=given.rounds or (1 if given.quick else 5),
        memory=not given.quick if given.memory is None else given.memory,
        only=given.only,
        plots=given.plots,
        models=given.models or own,
        spans=given.spans,
        notes=given.notes,
    )


def _settings(given: argparse.Namespace) -> dict[str, Any]:
    told = {name: value for name, value in vars(given).items() if name not in {"json", "models", "plots", "peak"}}
    return {name: value for name, value in told.items() if value not in (None, "")}


def table(result: dict[str, Any]) -> str:
    """The result for a reader: one line per variant, then what was concluded."""
    rows = [("case", "variant", "ms per", "", "(min-max of all)", "times faster than", "step MB", "GFLOP/s")]
    for line in result["lines"]:
        seconds, memory = line["seconds"], line.get("memory")
        faster = (f"{label} {found['median']:.2f}x" for label, found in line["times faster than"].items())
        rate = line.get("operations per second")
        rows.append(
            (
                line["case"],
                line["variant"],
                line["unit"],
                f"{1000 * line['seconds per unit']:.2f}",
                f"({1000 * seconds['min']:.1f}-{1000 * seconds['max']:.1f})",
                ", ".join(faster),
                f"{memory['step'] / 1e6:.0f}" if memory else "",
                f"{rate / 1e9:.1f}" if rate else "",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for aim in result.get("aims", []):
        text.append(f"{'met' if aim['met'] else 'NOT MET':8} {aim['aim']}: {aim['reached']:.2f}")
    shown = {"benchmark", "machine", "versions", "settings", "lines", "aims"}
    text += [f"{name}: {json.dumps(value)}" for name, value in result.items() if name not in shown]
    return "\n".join(text)


def aim(text: str, *, least: float | None = None, most: float | None = None, reached: float | None) -> dict[str, Any]:
    """An aim of the project and what this run reached."""
    met = reached is not None and (least is None or reached >= least) and (most is None or reached <= most)
    return {"aim": text, "least": least, "most": most, "reached": reached, "met": met}
