from __future__ import annotations

from pathlib import Path

import pytest

from clinprompt.data.readers.brat import read
from clinprompt.errors import InputError, InputErrors

SAMPLE = Path(__file__).parents[2] / "samples" / "brat" / "good"


@pytest.fixture
def note():
    return read(SAMPLE)[0]


def test_the_text_is_kept_to_the_character(note):
    assert note.text == (SAMPLE / "p1_note.txt").read_bytes().decode()
    assert "\r\n" in note.text and "\u00a0" in note.text


def test_fragments_come_in_text_order_however_written(note):
    assert note.span("T4").surface(note.text) == "left arm pain"
    assert note.span("T7").surface(note.text) == "right arm"
    assert len(note.span("T7").fragments) == 2


def test_events_become_their_trigger(note):
    links = {(link.label, link.head, link.tail) for link in note.relations}
    assert links == {("same", "T5", "T4"), ("Frequency", "T1", "T3"), ("Dose", "T1", "T2")}
    assert dict(note.span("T5").attributes) == {"brat event": "E2", "Negated": ""}
    assert dict(note.span("T6").attributes) == {"Certainty": "likely true"}


def test_normalisations_and_notes_stay_with_their_span(note):
    assert dict(note.span("T1").attributes) == {
        "brat event": "E1",
        "Planned": "",
        "concept": "RxNorm:1191",
        "concept name": "aspirin",
        "note AnnotatorNotes": "check",
    }


def test_other_lines_are_kept_as_they_are(note):
    assert dict(note.metadata) == {"brat lines": "A3\tWeight R1 low\n*\tEquiv T4 T5"}


def test_what_is_said_twice_of_one_span_is_joined(tmp_path):
    lines = ["T1\tDrug 0 7\tAspirin", "E1\tDrug:T1", "E2\tDrug:T1", "A1\tTime E1 now", "A2\tTime E2 later"]
    lines += ["N1\tReference T1 A:1", "N2\tReference E1 B:2\tacid", "#1\tNote E1\tone", "#2\tNote E2\ttwo"]
    lines += ["N3\tOther T1 C:3", "#3\tNote R4\tof no span", "#\twithout an id"]
    write_pair(tmp_path, "a", "Aspirin daily", *lines)
    (note,) = read(tmp_path)
    assert dict(note.spans[0].attributes) == {
        "brat event": "E1 E2",
        "Time": "now;later",
        "concept": "A:1,B:2",
        "concept name": "\nacid",
        "note Note": "one\ntwo",
    }
    assert note.metadata["brat lines"].split("\n") == lines[-3:]


@pytest.mark.parametrize("name", ["p1_note.txt", "p1_note.ann"])
def test_one_pair_by_either_file(name):
    (note,) = read(SAMPLE / name)
    assert note.id == "p1_note" and len(note.spans) == 8


def write_pair(folder: Path, name: str, text: str, *lines: str) -> None:
    (folder / f"{name}.txt").write_bytes(text.encode())
    (folder / f"{name}.ann").write_bytes("\n".join(lines).encode())


def test_faults_of_all_files_come_together(tmp_path):
    write_pair(tmp_path, "a", "Aspirin daily", "T1\tDrug 0 7\tAspirin", "T1\tDrug 8 13\tdaily", "R1\tof Arg1:T1")
    write_pair(tmp_path, "b", "Aspirin daily", "T1\tDrug 1 7\tAspirin", "E1\tDose:T1", "A1\tx T8")
    with pytest.raises(InputErrors) as caught:
        read(tmp_path)
    assert [fault.where.rsplit("/", 1)[1] for fault in caught.value.faults] == [
        "a.ann line 2",
        "a.ann line 3",
        "b.ann line 1",
    ]
    assert "Aspirin" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (["T1\tDrug 0 7\tAspirin", "E1\tDose:T1"], "type of E1"),
        (["T1\tDrug 0 7\tAspirin", "E1\tDrug:T4"], "T4"),
        (["T1\tDrug 0 7\tAspirin", "A1\tNegated T3"], "T3"),
        (["T1\tDrug 0 4;2 7\tAspi pirin"], "overlapping"),
        (["T1\tDrug 3 3\t"], "empty"),
        (["T1\tDrug 0 7"], "form"),
        (["X1\tDrug 0 7\tAspirin"], "form"),
    ],
)
def test_broken_annotation(tmp_path, lines, what):
    write_pair(tmp_path, "a", "Aspirin daily", *lines)
    with pytest.raises(InputError, match=what) as caught:
        read(tmp_path)
    assert "a.ann" in str(caught.value)


def test_byte_offsets_are_noticed(tmp_path):
    text = "caffè: aspirin daily"
    write_pair(tmp_path, "a", text, "T1\tDrug 8 15\taspirin")
    with pytest.raises(InputError, match="not bytes"):
        read(tmp_path)


@pytest.mark.parametrize("surface", ["left arm", "left  arm", "left arm\tcomment"])
def test_line_breaks_in_mentions_are_blanks(tmp_path, surface):
    write_pair(tmp_path, "a", "left\r\narm", f"T1\tPart 0 9\t{surface}")
    assert read(tmp_path)[0].spans[0].fragments == ((0, 9),)


def test_annotation_files_with_crlf(tmp_path):
    write_pair(tmp_path, "a", "Aspirin daily", "T1\tDrug 0 7\tAspirin\r", "A1\tsure T1 yes\r", "")
    (note,) = read(tmp_path)
    assert dict(note.spans[0].attributes) == {"sure": "yes"}


def test_group_needs_a_match():
    with pytest.raises(InputError, match="p1_note"):
        read(SAMPLE, group="patient([0-9]+)")
    with pytest.raises(InputError, match="regular expression"):
        read(SAMPLE, group="(")
