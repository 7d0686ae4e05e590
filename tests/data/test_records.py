from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.readers.jsonl import read, read_predictions
from clinprompt.data.records import document_of
from clinprompt.data.writers.jsonl import write, write_predictions
from clinprompt.errors import InputError
from clinprompt.schema.prediction import DecodeReport, Prediction
from tests.data.drawn import documents, examples, maps

counts = st.integers(0, 5)
reports = st.builds(DecodeReport, counts, counts, counts, counts, counts)
predictions = st.builds(
    Prediction,
    example=st.text(max_size=5),
    answer=examples().map(lambda example: example.answer),
    report=reports,
    raw=st.text(max_size=9),
    provenance=maps,
)


@given(document=documents(loose=True))
def test_documents_with_groups_and_metadata_come_back(document):
    with tempfile.TemporaryDirectory() as folder:
        write([document], Path(folder) / "d.jsonl")
        assert read(Path(folder) / "d.jsonl") == [document]


@given(made=st.lists(predictions, max_size=3))
def test_predictions_come_back(made):
    with tempfile.TemporaryDirectory() as folder:
        write_predictions(made, Path(folder) / "p.jsonl")
        assert read_predictions(Path(folder) / "p.jsonl") == made


GOOD = {"id": "n", "text": "aspirin 81 mg", "spans": [{"id": "T1", "label": "Drug", "start": 0, "end": 7}]}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"id": 7}, "id: "),
        ({"text": None}, "text: "),
        ({"aspirin": 1}, "not known"),
        ({"spans": [{"label": "Drug", "start": 0}]}, "either start and end or fragments"),
        ({"spans": [{"label": "Drug", "start": 0, "end": 7, "fragments": [[0, 7]]}]}, "either"),
        ({"spans": [{"label": "Drug", "start": -7, "end": 7}]}, "greater than"),
        ({"spans": [{"label": "Drug", "start": 0.0, "end": 7}]}, r"spans\.0\.start"),
        ({"spans": [{"label": "Drug", "fragments": []}]}, "no fragment"),
        ({"spans": [*GOOD["spans"], *GOOD["spans"]]}, "same id"),
        ({"spans": [{"label": "Drug", "start": 0, "end": 7, "surface": "Aspirin"}]}, "span 1"),
        ({"relations": [{"label": "x", "head": "T1", "tail": "T2"}]}, "T2"),
        ({"metadata": {"aspirin": 1}}, "metadata…"),
        ({"unit": "byte"}, "codepoint"),
    ],
)
def test_another_form_is_refused_without_its_words(change, what):
    with pytest.raises(InputError, match=what.replace("metadata…", r"metadata\.…")) as caught:
        document_of(GOOD | change, where="d.jsonl line 4")
    assert "d.jsonl line 4" in str(caught.value)
    assert "spirin" not in str(caught.value)


def test_the_form_of_a_document():
    assert document_of(GOOD, where="x").span("T1").surface(GOOD["text"]) == "aspirin"
