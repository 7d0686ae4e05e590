import csv
import io
import json

import numpy as np
import pytest

from clinprompt.evaluation.csv_text import csv_text
from clinprompt.metrics.intervals import bootstrap_interval, pooled_interval
from clinprompt.metrics.spans import span_f1
from clinprompt.study.table import Cell, Line, lines
from clinprompt.tasks.catalog import load_task

TASK = load_task("medications").model_copy(update={"metrics": ("span-f1",)})
VALUE = span_f1().value


@pytest.fixture
def cell(tmp_path):
    def made(method, seed, counts, *, draw=0, shots="5", trainable=10, unreadable=0, unlocated=0):
        folder = tmp_path / f"{method}-{seed}-{draw}"
        folder.mkdir()
        (folder / "counts.json").write_text(json.dumps({"span-f1": counts}))
        record = {
            "task": TASK.name, "shots": shots, "draw": draw, "trainable": trainable,
            "scores": [{"metric": "span-f1", "n": 4}],
            "report": {"unreadable": unreadable, "unlocated": unlocated},
        }  # fmt: skip
        return Cell(method, seed, record, folder)

    return made


def test_a_line_of_two_runs_has_their_mean_spread_and_rates(cell):
    cells = [
        cell("mpt", 1, {"p": [2, 2, 2], "q": [0, 2, 2]}, unreadable=1, unlocated=2),
        cell("mpt", 2, {"q": [2, 2, 2], "p": [2, 2, 2]}, draw=1, trainable=12),
        cell("trivial", 0, {"p": [0, 0, 2], "q": [0, 0, 2]}, shots="full", trainable=0),
    ]
    mpt, trivial = lines(cells, {TASK.name: TASK}, resamples=400)
    assert (mpt.method, mpt.target, mpt.shots, mpt.metric) == ("mpt", TASK.name, "5", "span-f1")
    assert mpt.score == 75.0 and mpt.spread == pytest.approx(np.std([50, 100], ddof=1))
    assert (mpt.n, mpt.documents, mpt.seeds, mpt.draws, mpt.trainable) == (4, 2, 2, 2, 12)
    assert mpt.unreadable == pytest.approx(100 * 1 / 8) and mpt.unlocated == pytest.approx(100 * 2 / 8)
    assert mpt.low < mpt.score < mpt.high
    assert (trivial.score, trivial.low, trivial.high, trivial.spread, trivial.trainable) == (0, 0, 0, 0, 0)


def test_the_interval_of_one_run_is_that_of_its_documents(cell):
    counts = {"p": [2, 2, 2], "q": [0, 2, 2], "r": [1, 1, 3]}
    [line] = lines([cell("mpt", 1, counts)], {TASK.name: TASK}, resamples=500)
    assert (line.low, line.high) == bootstrap_interval(np.array(list(counts.values()), float), VALUE, resamples=500)


def test_documents_are_matched_by_name_not_by_order(cell):
    """Two runs equal on every document have no spread between runs, in whatever order counts were written."""
    counts = {"p": [2, 2, 2], "q": [0, 2, 2], "r": [1, 1, 3]}
    backwards = dict(reversed(counts.items()))
    [line] = lines([cell("mpt", 1, counts), cell("mpt", 2, backwards)], {TASK.name: TASK}, resamples=500)
    assert (line.low, line.high) == bootstrap_interval(np.array(list(counts.values()), float), VALUE, resamples=500)


def test_methods_and_shot_counts_are_lines_of_their_own(cell):
    counts = {"p": [1, 1, 1]}
    cells = [cell("a", 1, counts), cell("b", 1, counts), cell("a", 2, counts, shots="full"), cell("a", 3, counts)]
    found = [(line.method, line.shots, line.seeds) for line in lines(cells, {TASK.name: TASK}, resamples=100)]
    assert found == [("a", "5", 2), ("b", "5", 1), ("a", "full", 1)]


def test_csv_has_a_row_per_line_and_two_decimals(cell):
    table = lines([cell("a", 1, {"p": [1, 3, 3], "q": [1, 1, 1]})], {TASK.name: TASK}, resamples=100)
    [row] = csv.DictReader(io.StringIO(csv_text(table, kind=Line)))
    assert row["score"] == "50.00" and row["method"] == "a" and row["trainable"] == "10"
    assert len(row) == 20 and all(row[name] != "" for name in ("low", "high", "n", "documents"))
    assert row["shown"] == row["source"] == ""


def test_a_line_says_how_many_examples_were_shown_and_which_sources_its_runs_began_with(cell):
    counts = {"p": [1, 1, 1]}
    cells = [cell("few", 1, counts), cell("few", 2, counts), cell("spot", 1, counts), cell("spot", 2, counts)]
    for one, (shown, source) in zip(cells, [(2, ""), (5, ""), (None, "b"), (None, "a")], strict=True):
        one.record.update(shown=shown, source=source)
    found = [(line.shown, line.source) for line in lines(cells, {TASK.name: TASK}, resamples=100)]
    assert found == [(3.5, ""), (None, "a; b")]


def test_pooled_runs_that_disagree_widen_the_interval():
    same = np.array([[[1, 2, 2]] * 6] * 4, float)
    apart = np.array([[[share, 2, 2]] * 6 for share in (0, 2, 0, 2)], float)
    assert pooled_interval(same, VALUE, resamples=300) == (50.0, 50.0)
    low, high = pooled_interval(apart, VALUE, resamples=300)
    assert (low, high) == (0.0, 100.0)
