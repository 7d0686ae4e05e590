"""The protocol of distribution shift against gain: which gains, of which targets, and what goes with what."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from clinprompt.evaluation.csv_text import csv_text
from clinprompt.stages.divergence import Divergences
from clinprompt.stages.methods import Instruction, Lora, Mpt, PromptTuning
from clinprompt.study.collection import PartResult
from clinprompt.study.divergence import Gain, gain_drawings, gain_tables, without_divergence
from clinprompt.study.expansion import parts_of
from clinprompt.study.legend import DAGGER
from clinprompt.study.recipe import SourceTraining
from clinprompt.study.study_file import Partition, Study
from tests.study.story import COMPARE, TARGETS, made_up_groups, made_up_lines

SOURCES = ("medications", "problems")
METHODS = {
    "mpt": Mpt(),
    "prompt-tuning": PromptTuning(),
    "lora": Lora(),
    "fine-tuning": Lora(rank=2),
    "x": Instruction(),
}


def far(target, pooled):
    return Divergences(target, pooled, 0.2, {"medications": pooled + 0.1, "problems": pooled - 0.1})


@pytest.fixture(scope="module")
def part():
    """Six targets, of which the last ones are the farthest and, at 5 shots, gain the most."""
    _, rows = made_up_groups(made_up_lines())
    gains = {name: float(number) for number, name in enumerate(TARGETS)}
    rows = [replace(row, difference=gains.get(row.target, 9.0)) if row.shots == "5" else row for row in rows]
    study = Study(name="made", sources=SourceTraining(), tasks=Partition(sources=SOURCES, targets=tuple(TARGETS)),
                  methods=METHODS, compare=COMPARE, shots=(0, 1, 5))  # fmt: skip
    divergences = tuple(far(name, 0.3 + 0.05 * number) for number, name in enumerate(TARGETS))
    return PartResult(parts_of(study)[0], (), {}, SimpleNamespace(differences=tuple(rows)), divergences)


def test_gains_are_over_prompt_tuning_and_stand_by_the_divergence_of_their_target(part):
    [table] = gain_tables([part], counted=False)
    assert table.pair == ("mpt", "prompt-tuning")  # LoRA and fine-tuning are no prompt without the sources
    assert [row.target for row, _ in table.rows] == list(TARGETS) and table.shots == ("1", "5", "10", "20", "full")
    _, gains = table.rows[0]
    differences = {
        (d.target, d.shots): d for d in part.result.differences if d.against == d.reference == "prompt-tuning"
    }
    own = differences["patient-summary", "5"]
    assert (gains["5"].gain, gains["5"].low, gains["5"].high) == (0.0, own.low, own.high)
    assert (gains["5"].nearest, gains["5"].from_nearest, gains["5"].pooled) == ("problems", pytest.approx(0.2), 0.3)
    assert csv_text(table.gains, kind=Gain).count("\n") == 1 + 6 * 5


def test_the_correlation_is_over_targets_and_needs_four(part):
    [table] = gain_tables([part], counted=False)
    found = table.correlation("all", "5")
    assert (found.rho, found.n, found.p) == (1.0, 6, pytest.approx(2 / 720)) and table.correlation(
        "nearest", "5"
    ).rho == 1
    [few] = gain_tables([replace(part, divergences=part.divergences[:3])], counted=False)
    assert len(few.rows) == 3 and not few.correlations


def test_partitions_with_targets_of_their_own_are_put_together(part):
    halves = [replace(part, part=replace(part.part, partition=name, title=f"tiny, {name}"), divergences=own)
              for name, own in (("without A", part.divergences[:2]), ("without B", part.divergences[2:]))]  # fmt: skip
    [table] = gain_tables(halves, counted=False)
    assert table.parts == "tiny, all partitions" and table.correlation("all", "5").n == 6
    assert [gain.part for gain in table.gains][:: len(table.shots)] == ["tiny, without A"] * 2 + ["tiny, without B"] * 4
    again = [halves[0], replace(halves[1], divergences=part.divergences)]  # a target twice: they are no sample together
    assert [table.parts for table in gain_tables(again, counted=False)] == ["tiny, without A", "tiny, without B"]
    others = [halves[0], replace(halves[1], part=replace(halves[1].part, sources=1))]
    assert len(gain_tables(others, counted=True)) == 2


def test_without_divergence_or_gain_it_is_said(part):
    gone = replace(part, divergences=())
    assert gain_tables([gone], counted=False) == [] and without_divergence([gone, part]) == [part.part.title]
    [bare] = gain_tables([replace(part, result=SimpleNamespace(differences=()))], counted=False)
    assert bare.pair is None and len(bare.rows) == 6 and not bare.gains and gain_drawings([bare]) == []


def test_the_figure_has_a_point_per_gain_and_is_written(part, tmp_path):
    tables = gain_tables([part], counted=False)
    [drawing] = gain_drawings(tables)
    assert drawing.words.count(" at 0.") == 30 and "5 shots at 0.350: +1.0 [" in drawing.words
    drawing.write(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".svg"}
    assert "divergence-embedded-mpt-prompt-tuning" in {path.stem for path in tmp_path.iterdir()}


def test_a_gain_on_examples_that_were_seen_is_marked(part):
    rows = [replace(row, leakage=3 * (row.target == "patient-summary")) for row in part.result.differences]
    tables = gain_tables([replace(part, result=SimpleNamespace(differences=rows))], counted=False)
    [drawing] = gain_drawings(tables)
    assert {gain.target for gain in tables[0].gains if gain.leakage} == {"patient-summary"}
    assert drawing.words.count(DAGGER) == 5 and DAGGER not in gain_drawings(gain_tables([part], counted=False))[0].words
