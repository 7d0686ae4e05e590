"""The three i2b2 readers on files of the published layout (the corpora are given on application only)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from clinprompt.data.readers import i2b2_2009, i2b2_2010, i2b2_2012
from clinprompt.errors import InputError

SAMPLES = Path(__file__).parents[2] / "samples"


def said(document) -> list[tuple[str, str]]:
    return [(span.label, span.surface(document.text)) for span in document.spans]


def test_2010_concepts_assertions_and_relations():
    first, second = i2b2_2010.read(SAMPLES / "i2b2_2010/good")
    assert said(first) == [
        ("problem", "Prostate Cancer"),
        ("treatment", "aspirin"),
        ("problem", "fever"),
        ("test", "A head CT"),
        ("problem", "a\nsmall bleed"),
    ]
    assert [dict(span.attributes) for span in first.spans[:3]] == [
        {"assertion": "present"},
        {},
        {"assertion": "absent"},
    ]
    assert [(link.label, link.head, link.tail) for link in first.relations] == [
        ("TrAP", "T2", "T1"),
        ("TeRP", "T4", "T5"),
    ]
    assert said(second) == [("problem", "fever")]


def test_2010_texts_in_another_folder(tmp_path):
    shutil.copytree(SAMPLES / "i2b2_2010/good/concept", tmp_path / "reference/concepts")
    shutil.copytree(SAMPLES / "i2b2_2010/good/txt", tmp_path / "test_data")
    found = i2b2_2010.read(tmp_path / "reference", texts="../test_data")
    assert [len(document.spans) for document in found] == [5, 1]
    with pytest.raises(InputError, match="texts"):
        i2b2_2010.read(tmp_path / "reference")


def test_2010_names_that_are_there_twice(tmp_path):
    for folder in ("beth", "partners"):
        shutil.copytree(SAMPLES / "i2b2_2010/good", tmp_path / folder)
    with pytest.raises(InputError, match="two files have the name"):
        i2b2_2010.read(tmp_path)


@pytest.mark.parametrize(
    ("reader", "path", "left"),
    [
        (i2b2_2009, "i2b2_2009/malformed/words", 2),
        (i2b2_2010, "i2b2_2010/malformed/words", 1),
        (i2b2_2012, "i2b2_2012/malformed/words.xml", 1),
    ],
)
def test_mentions_that_differ_are_counted_when_asked(reader, path, left):
    (document,) = reader.read(SAMPLES / path, differing="leave out")
    assert dict(document.metadata) == {"mentions that differ from the text": str(left)}


def test_2009_entries():
    _, note = i2b2_2009.read(SAMPLES / "i2b2_2009/good")
    assert said(note) == [
        ("medication", "Aspirin"),
        ("dosage", "81 mg"),
        ("mode", "p.o."),
        ("frequency", "daily"),
        ("reason", "chest pain"),
        ("medication", "Coumadin"),
        ("reason", "anticoagulation"),
        ("medication", "Lasix"),
        ("dosage", "40 mg"),
        ("frequency", "Monday Friday"),
    ]
    assert len(note.spans[9].fragments) == 2
    links = {(link.label, link.head, link.tail) for link in note.relations}
    assert ("reason", "T7", "T6") in links and ("frequency", "T10", "T8") in links and len(links) == 7


def test_2009_two_lines_of_one_mention():
    _, note = i2b2_2009.read(SAMPLES / "i2b2_2009/good")
    assert dict(note.span("T8").attributes) == {"list or narrative": "list;narrative", "event": "stop"}
    assert dict(note.span("T1").attributes) == {
        "event": "start",
        "temporal": "present",
        "certainty": "factual",
        "list or narrative": "list",
    }


def test_2012_events_times_and_links():
    first, second = i2b2_2012.read(SAMPLES / "i2b2_2012/good")
    assert (
        said(first)
        == said(second)
        == [
            ("OCCURRENCE", "Admission"),
            ("PROBLEM", "fever"),
            ("TREATMENT", "R&R surgery"),
            ("DATE", "10/17/95"),
            ("DATE", "two days ago"),
            ("SECTIME", "10/17/95"),
        ]
    )
    assert dict(first.span("E1").attributes) == {"tag": "EVENT", "modality": "FACTUAL", "polarity": "NEG"}
    assert dict(first.span("S0").attributes) == {"tag": "SECTIME", "type": "ADMISSION", "dvalue": "1995-10-17"}
    assert [(link.label, link.head, link.tail) for link in first.relations] == [
        ("OVERLAP", "E0", "T0"),
        ("BEFORE", "E2", "S0"),
    ]


def test_2012_offsets_from_one_when_the_text_does_not_begin_with_a_line_break():
    first, second = i2b2_2012.read(SAMPLES / "i2b2_2012/good")
    assert first.text == "\n" + second.text
    assert first.span("E0").fragments == ((1, 10),) and second.span("E0").fragments == ((0, 9),)
