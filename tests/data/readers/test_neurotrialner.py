from __future__ import annotations

from pathlib import Path

import pytest

from clinprompt.data.readers.neurotrialner import read

SAMPLES = Path(__file__).parents[2] / "samples" / "neurotrialner"
SPLITS = "neurotrialner/data_splits/stratified_entities/ct_neuro_"


def said(document) -> list[tuple[str, str]]:
    return [(span.label, span.surface(document.text)) for span in document.spans]


def test_three_forms_say_the_same():
    plain = read(SAMPLES / "good/train.json")[0]
    (table,), (bigbio,) = read(SAMPLES / "forms/merged.csv"), read(SAMPLES / "forms/bigbio.json")
    assert said(plain) == said(table) == [("OTHER", "FMT"), ("OTHER", "Oral capsules"), ("CTRL", "placebo")]
    assert table == bigbio
    assert plain.text.split() == ["Trial", "of", "FMT", "|", "Oral", "capsules", ",", "placebo", "zanzibarquince"]


@pytest.mark.parametrize(
    ("path", "trials", "entities"),
    [
        (SPLITS + "train_data_787.json", 787, 7081),
        (SPLITS + "dev_data_153.json", 153, 1568),
        (SPLITS + "test_data_153.json", 153, 1444),
        (SPLITS + "test_merged_153.csv", 153, 1444),
        ("neurotrialner/bigbio/test.json", 153, 1444),
    ],
)
def test_published_counts(shared_data, path, trials, entities):
    found = read(shared_data / path)
    assert len(found) == len({document.id for document in found}) == trials
    assert sum(len(document.spans) for document in found) == entities


def test_the_published_forms_say_the_same(shared_data):
    tokens = {document.id: document for document in read(shared_data / (SPLITS + "test_data_153.json"))}
    table = {document.id: document for document in read(shared_data / (SPLITS + "test_merged_153.csv"))}
    bigbio = read(shared_data / "neurotrialner/bigbio/test.json")
    for document in bigbio:
        assert table[document.id] == document
        assert [span.label for span in tokens[document.id].spans] == [span.label for span in document.spans]
