from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.data.readers.brat import read
from clinprompt.data.writers.brat import write
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Relation, Span
from tests.data.drawn import documents, values


def test_the_form_is_the_one_other_tools_read(tmp_path):
    text = "left\r\nor right arm"
    spans = (
        Span("Side", ((0, 4), (15, 18)), "T1", {"Negated": "", "Sure": "very much"}),
        Span("Part", ((0, 8),), "T2"),
    )
    document = Document("n", text, spans, (Relation("of", "T1", "T2", "R1"),))
    assert write([document], tmp_path / "out") == {}
    assert (tmp_path / "out" / "n.txt").read_bytes() == text.encode()
    assert (tmp_path / "out" / "n.ann").read_text().split("\n") == [
        "T1\tSide 0 4;15 18\tleft arm",
        "T2\tPart 0 8\tleft  or",
        "R1\tof Arg1:T1 Arg2:T2",
        "A1\tNegated T1",
        "A2\tSure T1 very much",
        "",
    ]


SAMPLE = Path(__file__).parents[2] / "samples" / "brat" / "good"
COUNTED_ANEW = re.compile(r"^[ANM#][0-9]+")


def normal(annotations: str) -> list[str]:
    """The lines without their order between kinds, the ids that are counted anew, and blanks at their ends."""
    return sorted(COUNTED_ANEW.sub(lambda match: match[0][0], line.rstrip()) for line in annotations.split("\n"))


def in_order(annotations: str, kinds: str) -> list[str]:
    return [line.rstrip() for line in annotations.split("\n") if line[:1] and line[0] in kinds]


@pytest.mark.parametrize(("path", "same_ids"), [("maccrobat/MACCROBAT2020", 166), ("ncbi_disease/standoff/devel", 100)])
def test_every_line_of_a_corpus_comes_back(shared_data, tmp_path, path, same_ids):
    documents = read(shared_data / path)
    assert write(documents, tmp_path / "out") == {}
    assert read(tmp_path / "out") == documents
    same = 0
    for document in documents:
        source, copy = (folder / document.id for folder in (shared_data / path, tmp_path / "out"))
        assert source.with_suffix(".txt").read_bytes() == copy.with_suffix(".txt").read_bytes()
        before, after = (file.with_suffix(".ann").read_text("utf-8") for file in (source, copy))
        assert normal(before) == normal(after)
        for kind in "TER*":
            assert in_order(before, kind) == in_order(after, kind)
        same += all(in_order(before, kind) == in_order(after, kind) for kind in "AN#")
    assert same == same_ids


def test_events_notes_and_normalisations_come_back(tmp_path):
    note = read(SAMPLE)[0]
    assert write([note], tmp_path / "out") == {}
    assert read(tmp_path / "out") == [note]
    assert (tmp_path / "out" / "p1_note.ann").read_text().split("\n")[8:] == [
        "E1\tDrug:T1 Frequency:T3 Dose:T2",
        "E2\tSign:T5",
        "R1\tsame Arg1:E2 Arg2:T4",
        "A1\tPlanned E1",
        "A2\tNegated E2",
        "A4\tCertainty T6 likely true",
        "N1\tReference T1 RxNorm:1191\taspirin",
        "#1\tAnnotatorNotes E1\tcheck",
        "A3\tWeight R1 low",
        "*\tEquiv T4 T5",
        "",
    ]


REMARKS = st.fixed_dictionaries(
    {},
    optional={
        "concept": st.sampled_from(("MeSH:D001", "A:1,B:|2", "D003", "not: one")),
        "note N": st.lists(values, min_size=1, max_size=2).map("\n".join),
        "note Odd:type": values,
    },
)


@settings(max_examples=25)
@given(document=documents(identity="n"), data=st.data())
def test_events_notes_and_concepts_of_any_document_come_back(document, data):
    spans, relations = [], []
    for place, span in enumerate(document.spans, 1):
        said = {**span.attributes, **data.draw(REMARKS)}
        if said.get("concept", "D").startswith(("MeSH", "A:1")) and data.draw(st.booleans()):
            said["concept name"] = data.draw(values.filter(bool)) + "\n" * said["concept"].count(",")
        events = data.draw(st.sampled_from(((), (f"E{place}",), (f"E{place}", f"E{place}0"))))
        if events:
            said["brat event"] = " ".join(events)
            tails = data.draw(st.lists(st.sampled_from(document.spans), max_size=2))
            relations += [
                Relation("Role", span.id, tail.id, f"{events[-1]}.{number}") for number, tail in enumerate(tails, 1)
            ]
        spans.append(replace(span, attributes=said))
    relations += document.relations
    kept = {"brat lines": "*\tEquiv T1 T2\n#9\tNote R1\tx"} if len(spans) > 1 and document.relations else {}
    document = replace(document, spans=tuple(spans), relations=tuple(relations), metadata=kept)
    with tempfile.TemporaryDirectory() as folder:
        assert write([document], Path(folder) / "out") == {}
        (back,) = read(Path(folder) / "out")
    assert replace(back, relations=()) == replace(document, relations=())
    assert sorted(back.relations, key=lambda link: link.id) == sorted(relations, key=lambda link: link.id)


def test_roles_that_come_again_are_numbered_and_names_follow_their_concepts(tmp_path):
    attributes = {"brat event": "E1", "concept": "A:1,B:2", "concept name": "one\ntwo", "note N": "x\ny"}
    spans = (Span("Drug", ((0, 7),), "T1", attributes), Span("Day", ((8, 13),), "T2", {"brat event": "E2"}))
    relations = tuple(Relation("At", "T1", "T2", f"E1.{place}") for place in (1, 2))
    document = Document("n", "aspirin daily", spans, relations)
    assert write([document], tmp_path / "out") == {}
    assert read(tmp_path / "out") == [document]
    written = (tmp_path / "out" / "n.ann").read_text().split("\n")
    assert written[2:-1] == [
        "E1\tDrug:T1 At:E2 At2:E2",
        "E2\tDay:T2",
        "N1\tReference T1 A:1\tone",
        "N2\tReference T1 B:2\ttwo",
        "#1\tN E1\tx",
        "#2\tN E1\ty",
    ]


def test_lines_that_point_nowhere_and_events_without_ids_are_counted(tmp_path):
    spans = (Span("Drug", ((0, 7),), "T1", {"brat event": "E1"}), Span("Day", ((8, 13),), "T2", {"brat event": "E1"}))
    metadata = {"brat lines": "*\tEquiv T1 T2\n*\tEquiv T1 T9\n#1\tNote R1\tof T7\n#2\tNote R2\tx"}
    document = Document("n", "aspirin daily", spans, (Relation("at", "T1", "T2", "R1"),), metadata=metadata)
    assert write([document], tmp_path / "out") == {"events": 2, "lines": 2}
    (back,) = read(tmp_path / "out")
    assert back.metadata["brat lines"] == "*\tEquiv T1 T2\n#1\tNote R1\tof T7"
    renamed = Document("n", "aspirin daily", (Span("Drug", ((0, 7),), "x"),), metadata={"brat lines": "*\tEquiv T1"})
    assert write([renamed], tmp_path / "other") == {"ids": 1, "lines": 1}


def test_what_brat_cannot_hold_is_counted(tmp_path):
    spans = (Span("Drug", ((0, 7),), "d1"), Span("Dose", ((8, 13),), "d2"))
    document = Document("n", "aspirin 81 mg", spans, (Relation("dose", "d2", "d1", "x"),), "p1", {"site": "a"})
    assert write([document], tmp_path / "out") == {"groups": 1, "ids": 3, "metadata": 1}
    (back,) = read(tmp_path / "out")
    assert [span.key for span in back.spans] == [span.key for span in spans]
    assert [(link.label, link.head, link.tail) for link in back.relations] == [("dose", "T2", "T1")]


@pytest.mark.parametrize("name", ["..", "a/../b", "/etc/x", "a//b", "", "a\\b", "a\nb", "a/", "x" * 300])
def test_ids_that_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="file name"):
        write([Document(name, "Well.", group="g")], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_all_faults_are_shown_and_nothing_is_written(tmp_path):
    bad = [Document(f"n{i}", "Pain", (Span("two words", ((0, 4),), "T1"),)) for i in range(2)]
    with pytest.raises(InputError) as caught:
        write([*bad, Document("N0", "x")], tmp_path / "out")
    assert str(caught.value).count("label") >= 2
    assert "Pain" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["", "seen twice"])
def test_an_attribute_that_is_called_note_is_an_attribute(tmp_path, value):
    document = Document(id="n", text="pain", spans=(Span("Problem", ((0, 4),), "T1", {"note": value}),))
    write([document], tmp_path / "out")
    assert [one.spans for one in read(tmp_path / "out")] == [document.spans]
    assert [one.spans[0].attributes for one in read(tmp_path / "out")] == [{"note": value}]
