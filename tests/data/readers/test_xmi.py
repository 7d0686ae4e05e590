from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from clinprompt.data.readers.xmi import read

SAMPLE = Path(__file__).parents[2] / "samples" / "xmi" / "good"
E3C = "e3c_english/data_annotation/English/layer1"


@pytest.fixture
def note():
    return read(SAMPLE)[0]


def test_offsets_count_utf16_units(note):
    assert "😀" in note.text and "\r\n" in note.text
    assert [(span.label, span.surface(note.text)) for span in note.spans] == [
        ("EVENT", "puffiness"),
        ("EVENT", "oedema"),
        ("CLINENTITY", "facial puffiness"),
        ("CLINENTITY", "puffiness and oedema"),
        ("TIMEX3", "4 days"),
    ]


def test_features_are_attributes_and_links_are_relations(note):
    assert dict(note.span("23").attributes) == {"concept": "C1", "discontinuous": "DISCONTINUOUS"}
    # Its value looks like the id of a link, and is none.
    assert dict(note.span("24").attributes) == {"value": "30"}
    assert {(link.label, link.head, link.tail) for link in note.relations} == {
        ("BEFORE", "20", "21"),
        ("CONTAINS", "20", "24"),
        ("CONTAINS", "24", "20"),
        ("Cause", "21", "20"),
    }
    assert dict(note.metadata) == {"docTime": "2012-11-19"}


def test_layers_are_chosen_and_the_links_between_them_counted():
    note = read(SAMPLE, layers=["EVENT"], concept="")[0]
    assert {span.label for span in note.spans} == {"EVENT"}
    assert note.metadata["xmi links to layers that are not read"] == "1"
    assert [span.label for span in read(SAMPLE, layers=["EVENT"], label="polarity")[0].spans] == ["POS", "NEG"]


def test_e3c_english(shared_data):
    notes = read(shared_data / E3C)
    assert len(notes) == len({note.group for note in notes}) == 84
    labels = Counter(span.label for note in notes for span in note.spans)
    assert labels == {"EVENT": 4885, "CLINENTITY": 1024, "BODYPART": 968, "ACTOR": 682, "RML": 480, "TIMEX3": 380}
    assert sum("discontinuous" in span.attributes for note in notes for span in note.spans) == 65
    assert sum(len(note.relations) for note in notes) == 4350 + 114 + 502 + 541
    assert not any(key.startswith("xmi ") for note in notes for key in note.metadata)
    assert all(span.surface(note.text) == span.surface(note.text).strip() for note in notes for span in note.spans)
