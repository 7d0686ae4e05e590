from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from clinprompt.errors import InputError
from clinprompt.evaluation.csv_text import csv_text
from clinprompt.metrics.effects import typical_difference
from clinprompt.metrics.intervals import Variation, percentile_interval, stretch
from clinprompt.metrics.signed_ranks import holm, signed_rank_p
from clinprompt.study.difference import BETTER, Difference, differences
from clinprompt.study.group_table import group_table
from clinprompt.study.replicates import replicates
from clinprompt.study.table import lines
from clinprompt.tasks.catalog import load_task
from tests.study.made_cells import made_cell
from tests.study.story import COMPARE, made_up_lines, made_up_replicates

TASK = load_task("cause-of-event-site-b")
TASKS = {TASK.name: TASK}


def counts(seed: int, *, documents: int = 12, shift: int = 0) -> dict[str, list[float]]:
    """Hits, predicted and gold per document; the same seed gives documents of the same difficulty."""
    hits = np.random.default_rng(seed).integers(0, 8, documents) + shift
    return {f"d{number:02d}": [float(hit), 10.0, 10.0] for number, hit in enumerate(hits)}


def compared(cells, compare, *, resamples=400):
    table = lines(cells, TASKS, resamples=resamples)
    drawn = replicates(cells, TASKS, resamples=resamples)
    return differences(table, group_table(table, drawn), drawn, compare)


def test_a_method_minus_its_equal_is_exactly_nothing(tmp_path):
    cells = [
        made_cell(tmp_path, TASK, method, seed, counts(seed), draw=draw)
        for method, order in (("a", (1, 2)), ("b", (2, 1)))
        for seed in order
        for draw in (0, 1)
    ]
    group, single = compared(cells, {"a": ("b",)})
    for found in (group, single):
        assert (found.difference, found.low, found.high) == (0.0, 0.0, 0.0)
        assert not found.significant and not found.apart and found.paired_runs
        assert found.verdict == "no difference shown"
    assert (group.group, group.target) == (TASK.group, "") and single.target == TASK.name


def test_a_constant_gain_has_no_width_though_documents_differ(tmp_path):
    """One hit more of ten in every document: 10 points in every resample, while each score varies by itself."""
    cells = [
        made_cell(tmp_path, TASK, "a", 1, counts(3, shift=1)),
        made_cell(tmp_path, TASK, "b", 1, counts(3)),
    ]
    [_, found] = compared(cells, {"a": ("b",)})
    assert (found.difference, found.low, found.high) == pytest.approx((10.0, 10.0, 10.0))
    assert found.significant and not found.apart and found.verdict == "significantly higher"
    assert replace(found, p=0.13).verdict == "higher by its interval only"
    [_, back] = compared(cells, {"b": ("a",)})
    assert back.high == pytest.approx(-10.0) and back.verdict == "significantly lower"


def test_the_paired_interval_equals_the_naive_one_and_is_narrower_than_the_unpaired(tmp_path):
    """Documents of shared difficulty and noise of each method's own, two runs with the same seeds."""
    rng = np.random.default_rng(4)
    ease = rng.beta(2, 2, 40)
    hits = {
        (method, seed): rng.binomial(30, np.clip(ease + gain, 0, 1))
        for method, gain in (("a", 0.05), ("b", 0.0))
        for seed in (1, 2)
    }
    cells = [
        made_cell(tmp_path, TASK, method, seed, {f"d{n:02d}": [int(hit), 30, 30] for n, hit in enumerate(own)})
        for (method, seed), own in hits.items()
    ]
    [_, found] = compared(cells, {"a": ("b",)}, resamples=2000)
    naive, unpaired = [], []
    shares = {key: own / 30 * 100 for key, own in hits.items()}  # equal sizes: F1 is the mean share of hits
    for _ in range(2000):
        documents, others = rng.integers(0, 40, (2, 40))
        runs, more = rng.integers(1, 3, (2, 2))
        own = np.mean([shares["a", run][documents].mean() for run in runs])
        naive.append(own - np.mean([shares["b", run][documents].mean() for run in runs]))
        unpaired.append(own - np.mean([shares["b", run][others].mean() for run in more]))
    gains = np.mean([shares["a", run] - shares["b", run] for run in (1, 2)], axis=0)  # each document's
    runs = np.array([shares["a", run].mean() - shares["b", run].mean() for run in (1, 2)])
    factor = stretch([Variation(gains.var() / 40, 40), Variation(runs.var() / 2, 2)])
    low, high = percentile_interval(np.array(naive))
    stretched = (
        found.difference - factor * (found.difference - low),
        found.difference + factor * (high - found.difference),
    )
    assert (found.low, found.high) == pytest.approx(stretched, abs=0.5)
    out_low, out_high = percentile_interval(np.array(unpaired))
    assert (high - low) < 0.5 * (out_high - out_low)
    assert found.low < found.difference < found.high


def test_runs_of_other_seeds_are_drawn_apart_and_documents_still_together(tmp_path):
    runs = {("a", 1): 0, ("a", 2): 2, ("b", 1): 0, ("b", 3): 2}
    cells = [made_cell(tmp_path, TASK, *place, counts(6, shift=shift)) for place, shift in runs.items()]
    [_, found] = compared(cells, {"a": ("b",)}, resamples=2000)
    assert not found.paired_runs and found.difference == 0.0
    # Runs differ by 20 points: means of two drawn runs by -20, -10, 0, 10 or 20, whichever documents were drawn. Two
    # runs show half of their variance, and two spreads of one degree of freedom each have t's tail of two.
    stretched = 20 * np.sqrt(2) * 4.302653 / 1.959964
    assert (found.low, found.high) == pytest.approx((-stretched, stretched))
    assert found.p > 0.9


def test_the_better_of_several_references_has_a_row_of_its_own(tmp_path):
    cells = [
        made_cell(tmp_path, TASK, "mpt", 1, counts(3, shift=2)),
        made_cell(tmp_path, TASK, "text", 1, counts(3)),
        made_cell(tmp_path, TASK, "vocabulary", 1, counts(3, shift=1)),
        made_cell(tmp_path, TASK, "mpt", 1, counts(3, shift=2), shots="full"),
        made_cell(tmp_path, TASK, "text", 1, counts(3), shots="full"),
    ]
    found = [row for row in compared(cells, {"mpt": ("text", "vocabulary")}) if row.target]
    rows = [(row.shots, row.reference, row.against, round(row.difference, 6)) for row in found]
    assert rows == [
        ("5", "text", "text", 20.0),
        ("5", "vocabulary", "vocabulary", 10.0),
        ("5", BETTER, "vocabulary", 10.0),
        ("full", "text", "text", 20.0),
    ]
    assert found[2].minus == "better of the references: vocabulary" and found[0].minus == "text"


def test_a_reference_that_sees_no_examples_is_compared_with_every_shot_count(tmp_path):
    cells = [
        *(made_cell(tmp_path, TASK, "mpt", seed, counts(seed, shift=2), shots=shots)
          for shots in ("5", "full") for seed in (1, 2)),
        *(made_cell(tmp_path, TASK, "lora", seed, counts(seed), shots="full") for seed in (1, 2)),
        made_cell(tmp_path, TASK, "instruction", 1, counts(1), shots="0"),
    ]  # fmt: skip
    found = compared(cells, {"mpt": ("instruction", "lora"), "instruction": ("mpt",)})
    rows = [
        (row.method, row.shots, row.against, row.paired_runs) for row in found if row.target and row.reference != BETTER
    ]
    assert rows == [
        ("mpt", "5", "instruction", False), ("mpt", "full", "instruction", False), ("mpt", "full", "lora", True)
    ]  # fmt: skip
    assert all(row.difference > 0 for row in found)


def test_a_missing_target_leaves_out_its_groups_and_keeps_the_other_targets():
    own = [found for found in made_up_lines() if (found.method, found.target) != ("lora", "lab-flag")]
    drawn = made_up_replicates(own)
    found = differences(own, group_table(own, drawn), drawn, COMPARE)
    assert {row.group for row in found if not row.target and row.against == "lora"} == {"near"}
    assert "lab-flag" not in {row.target for row in found if row.against == "lora"}
    assert "lab-flag" in {row.target for row in found if row.against == "prompt-tuning"}
    assert "0" not in {row.shots for row in found}  # only mpt has a score without examples


def test_scores_of_other_documents_are_not_subtracted(tmp_path):
    cells = [
        made_cell(tmp_path, TASK, "a", 1, counts(1)),
        made_cell(tmp_path, TASK, "b", 1, counts(1, documents=9)),
    ]
    with pytest.raises(InputError, match="scores of 12 and of 9 documents"):
        compared(cells, {"a": ("b",)})


def test_the_csv_has_a_head_even_without_rows_and_no_negative_nought(tmp_path):
    cells = [made_cell(tmp_path, TASK, method, 1, counts(1)) for method in "ab"]
    found = compared(cells, {"a": ("b",)})
    [row, _] = csv.DictReader(io.StringIO(csv_text(found, kind=Difference)))
    assert (row["difference"], row["significant"], row["reference"]) == ("0.00", "False", "b")
    head = csv_text((), kind=Difference).splitlines()
    assert len(head) == 1 and head[0].startswith("group,target,shots,method,reference,against,difference,low,high")


def test_p_values_of_a_target_and_of_its_group_of_one(tmp_path):
    """Ten of twelve documents gain one hit of ten: 2 of the 1,024 ways to exchange those ten are as far from 0."""
    gains = {name: [hit[0] + (number < 10), 10.0, 10.0] for number, (name, hit) in enumerate(counts(3).items())}
    cells = [made_cell(tmp_path, TASK, "a", 1, gains), made_cell(tmp_path, TASK, "b", 1, counts(3))]
    group, single = compared(cells, {"a": ("b",)}, resamples=5000)
    assert group.p == single.p == single.p_holm == pytest.approx(2 / 1024)
    assert (single.wins, single.ties, single.losses) == (10, 2, 0) and single.p_tasks is single.typical is None
    assert (group.wins, group.ties, group.losses) == (1, 0, 0) and group.p_tasks == group.p_holm == 1.0
    assert group.typical == pytest.approx(group.difference)


def test_p_values_of_groups_are_wilcoxons_and_holm_counts_each_comparison_once():
    own = made_up_lines()
    drawn = made_up_replicates(own)
    found = differences(own, group_table(own, drawn), drawn, COMPARE)
    rows = [row for row in found if row.group == "all" and not row.target]
    scores = {(line.method, line.shots, line.target): line.score for line in own}
    for row in rows:
        gains = [
            scores[row.method, row.shots, target] - scores[row.against, row.shots, target]
            for target in dict.fromkeys(line.target for line in own)
        ]
        assert row.p_tasks == pytest.approx(signed_rank_p(gains)) and row.wins + row.ties + row.losses == 6
        assert row.typical == pytest.approx(typical_difference(gains))
    family = [row for row in rows if row.reference == row.against]
    assert [row.p_holm for row in family] == pytest.approx(holm([row.p_tasks for row in family]))
    chosen = [row for row in rows if row.reference == BETTER]
    same = {(row.shots, row.method, row.against): row.p_holm for row in family}
    assert chosen and all(row.p_holm == same[row.shots, row.method, row.against] for row in chosen)


def test_holm_of_targets_goes_over_the_targets_of_one_comparison():
    own = made_up_lines()
    drawn = made_up_replicates(own)
    found = differences(own, group_table(own, drawn), drawn, COMPARE)
    rows = [r for r in found if r.target and (r.shots, r.method, r.reference) == ("5", "mpt", "lora")]
    assert len(rows) == 6 and [row.p_holm for row in rows] == pytest.approx(holm([row.p for row in rows]))


def test_seeds_that_disagree_make_the_p_value_larger(tmp_path):
    """Every document gains in each run, but by 1, 2 and 6 hits of ten: three runs cannot tell that from nothing."""
    rows = {}
    for name, gains in (("steady", (3, 3, 3)), ("shaky", (0, 1, 8))):
        (tmp_path / name).mkdir()
        cells = [made_cell(tmp_path / name, TASK, "b", seed, counts(3)) for seed in (1, 2, 3)]
        cells += [
            made_cell(tmp_path / name, TASK, "a", seed, counts(3, shift=gain))
            for seed, gain in zip((1, 2, 3), gains, strict=True)
        ]
        rows[name] = compared(cells, {"a": ("b",)}, resamples=4000)[1]
    assert rows["steady"].difference == pytest.approx(rows["shaky"].difference)
    assert rows["steady"].p < 0.01 and rows["steady"].significant
    assert rows["shaky"].p > 0.05 and not rows["shaky"].significant
