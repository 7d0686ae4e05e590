from __future__ import annotations

import json

import pytest

from clinprompt.metrics.divergence import jensen_shannon
from clinprompt.stages.divergence import FILE, DivergenceSettings, divergence, read_divergences
from tests.stages.test_overlapping import note, prepared, root, rows  # noqa: F401


def words(text):
    return {word: text.split().count(word) for word in text.split()}


def test_targets_are_compared_with_all_sources_and_with_each_by_their_training_parts(root):  # noqa: F811
    (root / "target" / "train.csv").write_text(
        rows([("t1", "fever cough"), ("t2", "FEVER pain 7"), ("t3", "fever cough")])
    )
    (root / "source" / "train.csv").write_text(rows([("s1", "fever"), ("s2", "rash rash")]))
    (root / "near").mkdir()
    text = (root / "source.yaml").read_text().replace("source", "near")
    (root / "near.yaml").write_text(text)
    (root / "near" / "train.csv").write_text(rows([("n1", "fever cough pain")]))
    (root / "near" / "test.csv").write_text(rows([("n2", note(3))]))
    settings = DivergenceSettings(
        targets=(prepared(root, "target").path,),
        sources=tuple(prepared(root, name).path for name in ("source", "near")),
    )
    run = divergence(settings, runs=root / "runs")
    [found] = read_divergences(run.outputs)
    own = words("fever fever cough pain")  # the third note is the first one again
    assert found.pooled == pytest.approx(jensen_shannon(own, words("fever fever rash rash cough pain")))
    assert found.sources == pytest.approx({
        "source": jensen_shannon(own, words("fever rash rash")), "near": jensen_shannon(own, words("fever cough pain")),
    })  # fmt: skip
    assert found.nearest == "near" and 0 < found.sources["near"] < found.pooled < found.sources["source"] < 1
    assert found.halves == pytest.approx(jensen_shannon(words("fever cough"), words("fever pain")))
    files = [path.read_text() for path in run.path.rglob("*.*") if path.is_file()]
    assert not any(word in text for text in files for word in ("fever", "cough", "rash"))  # numbers, no words
    assert divergence(settings, runs=root / "runs").path == run.path


def test_tasks_without_words_are_left_out(root):  # noqa: F811
    (root / "target" / "train.csv").write_text(rows([("t1", "12 34")]))
    run = divergence(
        DivergenceSettings(targets=(prepared(root, "target").path,), sources=(prepared(root, "source").path,)),
        runs=root / "runs",
    )
    assert json.loads((run.outputs / FILE).read_text()) == {"targets": []}
    assert run.summary() == {"targets": 0, "sources": 1}
