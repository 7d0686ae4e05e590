"""Small pieces of a study's report against what is worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clinprompt.study.ablation import EFFECTS, ablations
from clinprompt.study.archive import Archive, GangRecord, Gap
from clinprompt.study.group_table import GroupLine, GroupTable
from clinprompt.study.paper_table import escaped
from clinprompt.study.replicates import resampled
from clinprompt.study.similarity import Similarity, cosines
from clinprompt.study.study_file import Ablation

FOUR = ("plain", "decomposed", "distilled", "both")


def test_effects_of_the_ablation_are_half_the_differences():
    scores = np.array([50.0, 54.0, 57.0, 65.0])
    effects = {name: float(np.dot(weights, scores)) for name, weights in EFFECTS.items()}
    assert effects == {"decomposition": (4 + 8) / 2, "distillation": (7 + 11) / 2, "interaction": 8 - 4}


def test_the_ablation_rests_on_the_same_documents_for_all_four():
    rng = np.random.default_rng(0)
    shared = rng.integers(0, 2, size=(1, 40, 1)).astype(float)

    def value(counts):
        return 100 * counts[..., 0] / 40

    def drawn(extra):
        counts = shared.copy()
        counts[:, :extra] = 1.0
        return resampled(((1, 0),), counts, value, resamples=200)

    replicates = {(name, "t", "5"): drawn(extra) for name, extra in zip(FOUR, (0, 0, 10, 10), strict=True)}
    lines = [
        GroupLine(name, "g", "5", float(replicates[name, "t", "5"].scores.mean()), 0, 0, 1, 40, 40, 1, 1, 1)
        for name in FOUR
    ]
    names = dict(zip(("neither", "decomposition", "distillation", "both"), FOUR, strict=True))
    [table] = ablations(Ablation(**names), GroupTable({"g": ("t",)}, tuple(lines)), replicates)
    nothing, gain, interaction = table.effects
    assert (nothing.points, nothing.low, nothing.high) == (0, 0, 0)  # identical answers: no interval at all
    assert gain.points > 0 and gain.low <= gain.points <= gain.high
    assert interaction.points == 0
    assert not ablations(Ablation(**names), GroupTable({"g": ("t",)}, tuple(lines[:3])), replicates)
    assert not ablations(None, GroupTable({"g": ("t",)}, tuple(lines)), replicates)


def test_intervals_of_effects_are_wider_than_their_resamples_where_runs_are_few():
    rng = np.random.default_rng(2)

    def drawn(runs):
        counts = rng.integers(0, 2, size=(len(runs), 40, 1)).astype(float)
        return resampled(runs, counts, lambda sums: 2.5 * sums[..., 0], resamples=2000)

    names = dict(zip(("neither", "decomposition", "distillation", "both"), FOUR, strict=True))
    for others in (((1, 0), (2, 1)), ((1, 0), (3, 1))):  # pairs of runs, or not
        four = [drawn(((1, 0), (2, 1)) if name != "both" else others) for name in FOUR]
        scores = [float(one.scores.mean()) for one in four]
        lines = [
            GroupLine(name, "g", "5", score, 0, 0, 1, 40, 40, 2, 2, 1) for name, score in zip(FOUR, scores, strict=True)
        ]
        [table] = ablations(
            Ablation(**names),
            GroupTable({"g": ("t",)}, tuple(lines)),
            {(name, "t", "5"): one for name, one in zip(FOUR, four, strict=True)},
        )
        for effect in table.effects:
            values = np.tensordot(EFFECTS[effect.name], [one.values for one in four], axes=1)
            low, high = np.quantile(values, [0.025, 0.975])
            assert effect.low < low and high < effect.high and effect.low > -200


def test_cosines_and_the_nearest_other_source():
    moved = {"a": torch.tensor([[1.0, 0.0]]), "b": torch.tensor([[3.0, 4.0]]), "t": torch.tensor([[0.0, -2.0]])}
    values = cosines(moved, ("a", "b"))
    assert values == pytest.approx(np.array([[1, 0.6], [0.6, 1], [0, -0.8]]))
    assert Similarity(("a", "b", "t"), ("a", "b"), values).nearest["a"] == ("b", pytest.approx(0.6))
    assert cosines({"a": torch.zeros(2)}, ("a",)) == [[0.0]]


def test_a_gap_closes_when_its_gang_finishes_and_half_a_line_is_passed_over(tmp_path):
    archive = Archive(tmp_path)
    for reason in ("first", "second"):
        archive.add_gap(Gap("k", "part", "mpt", 1, reason, "InputError", when="2026-01-01T10:00:00.000+00:00"))
    lost = Gap(
        "k", "part", "mpt", 1, "diverged", "diverged", target="t", shots="5", when="2026-01-01T10:05:00.000+00:00"
    )
    archive.add_gap(lost)
    with (tmp_path / "gaps.jsonl").open("a") as stream:
        stream.write('{"key": "half')
    assert [gap.reason for gap in archive.gaps()] == ["second", "diverged"]
    (tmp_path / "gangs").mkdir()
    (tmp_path / "gangs" / "k.json").write_text(
        '{"key": "k", "part": "p", "method": "mpt", "seed": 1, "adapt": "a", "evaluate": "e", "elsewhere": [],'
        ' "rates": [], "began": "2026-01-01T10:04:00.000+00:00"}'
    )
    assert [gap.reason for gap in archive.gaps()] == ["diverged"]
    assert "t, 5 shots, draw 0: diverged" in str(archive.gaps()[0])
    archive.add_gap(Gap("k", "part", "mpt", 1, "later", "InputError", when="2026-01-01T11:00:00.000+00:00"))
    assert [gap.reason for gap in archive.gaps()] == ["later", "diverged"]  # done once, gone and run again


def test_a_record_that_does_not_say_when_it_began_closes_the_gap_of_its_gang(tmp_path):
    archive = Archive(tmp_path)
    for target in ("", "t"):
        archive.add_gap(Gap("k", "p", "mpt", 1, "failed", "InputError", target, when="2026-01-01T10:00:00+00:00"))
    archive.write_gang(GangRecord("k", "p", "mpt", 1, "a", "e"), {})
    assert [gap.target for gap in archive.gaps()] == ["t"]


def test_latex_shows_special_signs():
    assert escaped("a_b & 5% {x} #1 \\ ~") == r"a\_b \& 5\% \{x\} \#1 \textbackslash{} \textasciitilde{}"
