"""Every benchmark runs at tiny sizes, and what would make its figures worthless is refused."""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys

import pytest
import torch
from transformers import AutoModel

from benchmarks.case import TOLERANCE, Case, Variant, compare, fastest, measure
from benchmarks.command import aim
from benchmarks.memory import step_peak
from benchmarks.models import SIZES
from benchmarks.plots import Sweep, draw
from benchmarks.rows import batches_of, by_length, long_tailed_lengths, rows_of_lengths, tokens
from benchmarks.timing import interleaved, ratio
from benchmarks.work import step_operations
from clinprompt.backbones.tiny import write_tiny
from tests.house.sources import REPOSITORY

NAMES = (
    "one_prompt",
    "gang",
    "note_once",
    "tasks_per_note",
    "distillation",
    "peak",
    "grounding",
    "long_notes",
    "reading",
    "reading_apart",
    "scaling",
    "streaming",
    "bank",
    "live_engine",
    "serving",
    "batch",
    "statistics",
)
AUDIT = "audit"
CUT = "cut_encoder"
"""Files and threads, no network: it has nothing to compare ways by."""


def test_every_benchmark_is_listed():
    with_main = {path.stem for path in (REPOSITORY / "benchmarks").glob("*.py") if "def main(" in path.read_text()}
    assert with_main == {*NAMES, AUDIT, CUT}
    page = (REPOSITORY / "benchmarks" / "README.md").read_text()
    assert all(f"`{name}`" in page for name in with_main)


def test_the_first_layers_of_an_encoder_are_one_of_its_own(capsys, tmp_path):
    write_tiny(tmp_path / "tiny", family="bert")
    importlib.import_module(f"benchmarks.{CUT}").main([str(tmp_path / "tiny"), str(tmp_path / "cut"), "--layers", "1"])
    assert capsys.readouterr().out.startswith("1 layers: ")
    whole, cut = (AutoModel.from_pretrained(folder).eval() for folder in (tmp_path / "tiny", tmp_path / "cut/layers-1"))
    ids = torch.arange(5, 15)[None]
    with torch.no_grad():
        after_one = whole(ids, output_hidden_states=True).hidden_states[1]
        assert torch.equal(cut(ids).last_hidden_state, after_one)
    [other] = (tmp_path / "cut").glob("random-*")
    assert not torch.equal(AutoModel.from_pretrained(other).embeddings.word_embeddings.weight,
                           whole.embeddings.word_embeddings.weight)  # fmt: skip


def test_lines_of_the_audit_log_are_written_and_verified(capsys, tmp_path):
    importlib.import_module(f"benchmarks.{AUDIT}").main(["--quick", "--folder", str(tmp_path)])
    assert capsys.readouterr().out.count("lines/s written") == 4 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_runs_and_its_ways_agree(name, capsys, tmp_path):
    module = importlib.import_module(f"benchmarks.{name}")
    module.main(["--quick", "--json", "--plots", str(tmp_path)])
    result = json.loads(capsys.readouterr().out)
    assert result["benchmark"] == name and result["machine"]["cores"] and result["versions"]["torch"]
    assert {line["dtype"] for line in result["lines"]} <= {"float32", "bfloat16"} and result["lines"]
    for line in result["lines"]:
        assert 0 < line["seconds"]["min"] <= line["seconds"]["median"] <= line["seconds"]["max"]
    compared = [line for line in result["lines"] if "difference" in line]
    assert all(line["difference"]["relative"] <= TOLERANCE[line["dtype"]] for line in compared)
    assert compared
    assert bool(list(tmp_path.iterdir())) == (name == "scaling")


def test_memory_is_measured_in_a_process_of_its_own():
    command = [sys.executable, "-m", "benchmarks.note_once", "--quick"]
    command += ["--peak", "notes of 32 tokens", "suffix, notes read once float32"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
    result = json.loads(ended.stdout)
    assert result["before"] > 50e6 and 0 <= result["step"] < result["before"]


def test_a_step_is_charged_for_what_it_needed_at_its_worst():
    needed = 96 * 2**20

    def step():
        torch.ones(needed // 4).sum()
        return {}

    found = step_peak(step, device="cpu")["step"]
    assert 0.9 * needed < found < 1.5 * needed


def case_of(outcomes, *, dtype="float32"):
    def build(outcome):
        return lambda: lambda: {name: torch.tensor(value) for name, value in outcome.items()}

    variants = {name: Variant(build(outcome), dtype, like="reference") for name, outcome in outcomes.items()}
    return Case("a case", variants, units=2, baselines={"reference": ("reference",)})


def test_ways_that_differ_are_not_timed():
    reference = {"loss": 2.0, "prompt": [3.0, 4.0], "tokens": [30000, 30000]}
    wrongs = ({"loss": 2.001}, {"prompt": [3.0, 4.01]}, {"prompt": [3.0]}, {"prompt": [3.0, float("nan")]})
    for wrong in (*wrongs, {"tokens": [30000, 30001]}):
        case = case_of({"reference": reference, "ours": reference | wrong})
        with pytest.raises(AssertionError, match="a case: ours is"):
            measure(case, rounds=1, device="cpu")
    with pytest.raises(AssertionError, match="nothing in common"):
        measure(case_of({"reference": reference, "ours": {"other": 1.0}}), rounds=1, device="cpu")


def test_rounding_is_allowed_by_dtype():
    outcomes = {"reference": {"loss": 2.0}, "ours": {"loss": 2.02}}
    case = case_of(outcomes, dtype="bfloat16")
    steps = {name: variant.build() for name, variant in case.variants.items()}
    assert compare(case, steps) == {"ours": pytest.approx(0.01, rel=1e-3)}
    lines, _ = measure(case, rounds=3, device="cpu")
    assert [line["variant"] for line in lines] == ["reference", "ours"]
    assert fastest(lines, case="a case", prefix="reference", than="reference") == 1.0
    assert fastest(lines, case="another", prefix="ours", than="reference") is None


def test_a_misspelt_reference_is_refused():
    with pytest.raises(ValueError, match="there is no variant"):
        Case("a case", {"ours": Variant(lambda: dict, "float32", like="pfet")})


def test_ways_take_turns():
    calls = []
    ways = {name: (lambda name=name: calls.append(name) or {}) for name in "abc"}
    seconds = interleaved(ways, rounds=2, device="cpu")
    assert "".join(calls) == "abc" + "bca" + "cab"
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2, "c": 2}
    assert ratio([2.0, 8.0, 6.0], [1.0, 2.0, 3.0]) == {"median": 3.0, "min": 2.0, "max": 4.0}


def test_aims_say_whether_they_are_met():
    assert aim("a", least=3.0, reached=3.0)["met"] and not aim("a", least=3.0, reached=2.9)["met"]
    assert aim("a", most=1.1, reached=1.0)["met"] and not aim("a", most=1.1, reached=1.2)["met"]
    assert not aim("a", least=3.0, reached=None)["met"]


def test_lengths_have_the_planned_tail():
    lengths = long_tailed_lengths(32)
    ordered = sorted(lengths)
    assert ordered != lengths and max(lengths) == 632
    assert statistics.median(lengths) == pytest.approx(109, rel=0.03)
    assert statistics.fmean(lengths) == pytest.approx(153, rel=0.05)
    assert ordered[28] == pytest.approx(317, rel=0.1)


def test_batches_hold_every_row_once_with_its_task():
    rows = rows_of_lengths([9, 5, 7, 6, 8], answer=2, vocabulary=50)
    batches = batches_of(rows, size=2, tasks=3)
    assert [row.length for row in rows] == [9, 5, 7, 6, 8] and tokens(batches) == 35
    pairs = [(row.name, task) for batch, tasks in batches for row, task in zip(batch, tasks, strict=True)]
    assert pairs == [("row 0", 0), ("row 1", 1), ("row 2", 2), ("row 3", 0), ("row 4", 1)]
    ordered = [(row, task) for batch, tasks in by_length(batches) for row, task in zip(batch, tasks, strict=True)]
    assert [row.length for row, _ in ordered] == [5, 6, 7, 8, 9]
    assert sorted((row.name, task) for row, task in ordered) == pairs


def test_useful_arithmetic_counts_weights_not_embeddings():
    size = SIZES["small"]
    assert size.weights == pytest.approx(22.6e6, rel=0.01)
    rows = rows_of_lengths([256] * 4, answer=16, vocabulary=50)
    linear = 4 * size.weights * (4 * 256 + 100)
    assert step_operations(size, rows, vocabulary=1000, vectors=100) == linear + 4 * 1000 * 512 * 64
    # Behind a note that is not run, BOS and its 239 tokens are missing from each row.
    fewer = step_operations(size, rows, vocabulary=0, vectors=0, notes_read=True)
    assert fewer == 4 * size.weights * 4 * 16


def test_a_plot_depends_on_its_points_alone(tmp_path):
    sweep = Sweep("prompts", "row", {"ours": [(1, 2.0), (2, 1.0)]})
    first = draw(sweep, tmp_path / "a").read_bytes()
    assert draw(sweep, tmp_path / "b").read_bytes() == first
    other = Sweep("prompts", "row", {"ours": [(1, 2.0), (2, 0.5)]})
    assert draw(other, tmp_path / "c").read_bytes() != first
