"""Readers that name fields: csv_table and jsonl, and what they share."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clinprompt.data.choices import chosen_key, lettered
from clinprompt.data.fields import Fields, grouped_by_note, with_distinct_ids
from clinprompt.data.readers import csv_table, jsonl
from clinprompt.errors import InputError, InputErrors
from clinprompt.schema.document import Document


def write(folder, name, text):
    (folder / name).write_bytes(text.encode())
    return folder / name


def test_columns_without_header_by_number(tmp_path):
    file = write(tmp_path, "q.csv", '"Which, now?",a,b,c,d,B\nNext?,"x\ny",z,,,A\n')
    first, second = csv_table.read(file, note="1", options=["2", "3", "4", "5"], label="6", header=False)
    assert (first.note, first.answer.label, first.choices[1]) == ("Which, now?", "B", ("B", "b"))
    assert second.inputs["options"] == "A: x\ny B: z"
    assert (first.id, second.id) == ("q-1", "q-2")


def test_line_numbers_count_lines_of_the_file(tmp_path):
    file = write(tmp_path, "q.csv", 'note,label\r\n"a\r\nb",x\r\n\r\nc,y,z\r\n')
    with pytest.raises(InputError, match="line 5"):
        csv_table.read(file, note="note", label="label")


def test_delimiter_label_map_and_group(tmp_path):
    file = write(tmp_path, "q.txt", "note|label|patient\nwell|1|p1\nill|0|p1\n")
    found = csv_table.read(
        file, note="note", label="label", group="patient", delimiter="|", label_map={"1": "yes", "0": "no"}
    )
    assert [(e.answer.label, e.group) for e in found] == [("yes", "p1"), ("no", "p1")]
    with pytest.raises(InputError, match="delimiter"):
        csv_table.read(file, note="note", delimiter="||")


def test_an_option_missing_in_the_middle_is_a_fault(tmp_path):
    file = write(tmp_path, "q.csv", "note,a,b,c,key\nq,x,,z,A\n")
    with pytest.raises(InputError, match="middle"):
        csv_table.read(file, note="note", options=["a", "b", "c"], label="key")


def test_two_columns_of_one_name(tmp_path):
    with pytest.raises(InputError, match="same name"):
        csv_table.read(write(tmp_path, "q.csv", "note,note\na,b\n"), note="note")


def test_json_fields_of_every_kind(tmp_path):
    rows = [
        {
            "title": "T",
            "abstract": ["one", "two"],
            "ok": True,
            "score": 3,
            "opts": {"x": "left", "y": "right"},
            "key": "y",
        },
        {
            "title": "U",
            "abstract": ["three"],
            "ok": False,
            "score": 4.5,
            "opts": {"x": "up", "y": "down"},
            "key": "x",
        },
    ]
    file = write(tmp_path, "r.jsonl", "".join(json.dumps(row) + "\n\n" for row in rows))
    first, second = jsonl.read(file, note=["title", "abstract"], question="score", options="opts", label="key")
    assert (first.note, first.inputs["question"], first.answer.label) == ("T\none\ntwo", "3", "y")
    assert first.inputs["options"] == "x: left y: right"
    assert (second.id, second.inputs["question"]) == ("r-3", "4.5")
    assert [e.answer.label for e in jsonl.read(file, note="title", label="ok")] == ["true", "false"]


@pytest.mark.parametrize(
    ("form", "value", "key"),
    [
        ("letter", "B", "B"),
        ("letter", "C", None),
        ("one-based", "1", "A"),
        ("one-based", "0", None),
        ("one-based", "3", None),
        ("zero-based", "1", "B"),
        ("zero-based", "²", None),
        ("text", "no", "B"),
        ("text", "maybe", None),
    ],
)
def test_keys(form, value, key):
    assert chosen_key(lettered(["yes", "no"]), value, form=form) == key


def test_right_text_that_stands_twice_is_no_key():
    assert chosen_key(lettered(["no", "no"]), "no", form="text") is None


def test_unknown_key_form_and_missing_note_field():
    with pytest.raises(InputError, match="one-based"):
        Fields(note="q", key="roman")
    with pytest.raises(InputError, match="note"):
        Fields(note="")


def test_repeated_ids_get_numbers(tmp_path):
    file = write(tmp_path, "q.csv", "id,note\n7,a\n7,b\n7#2,c\n7,d\n")
    found = csv_table.read(file, note="note", id="id", text="note")
    assert [example.id for example in found] == ["7", "7#2", "7#2#2", "7#3"]
    assert [example.group for example in found] == ["7", "7", "7#2", "7"]
    assert with_distinct_ids(found) == found


def test_broken_lines_come_together(tmp_path):
    file = write(tmp_path, "r.jsonl", '{"note": "a"}\n[1]\n{"note": null}\n{"x": 1}\n{"note": "\\ud83d"}\n')
    with pytest.raises(InputErrors) as caught:
        jsonl.read(file, note="note")
    assert [fault.where[-1] for fault in sorted(caught.value.faults, key=lambda f: f.where)] == [
        "2",
        "3",
        "4",
        "5",
    ]


def test_escaped_emoji_is_a_character(tmp_path):
    assert jsonl.read(write(tmp_path, "r.jsonl", '{"note": "\\ud83d\\ude00"}'), note="note")[0].text == "😀"


def test_rows_with_the_same_note_are_one_group_unless_a_column_says_otherwise(tmp_path):
    file = write(tmp_path, "q.csv", "pair,note,patient\n1,well,p\n2,ill,p\n3,well,q\n4,,q\n5,,q\n")
    found = csv_table.read(file, note="note", id="pair", label="patient")
    assert [example.group for example in found] == ["1", "2", "1", "4", "5"]
    assert grouped_by_note(found) == found
    assert [e.group for e in csv_table.read(file, note="note", group="patient")] == ["p", "p", "q", "q", "q"]
    records = write(tmp_path, "r.jsonl", '{"note": "a", "n": 1}\n{"note": "a", "n": 2}\n')
    assert [(e.id, e.group) for e in jsonl.read(records, note="note", id="n")] == [("1", "1"), ("2", "1")]


def test_a_parquet_file_is_a_table(tmp_path):
    rows = [
        {"note_id": 1, "note_text": "No fever 😀,\r\nno pain", "ok": True, "codes": ["a", "b"]},
        {"note_id": 2, "note_text": "Ill", "ok": False, "codes": ["c"]},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "n.parquet")
    first, second = csv_table.read(tmp_path, note="note_text", question="codes", label="ok", id="note_id")
    assert (first.id, first.note, first.answer.label) == ("1", rows[0]["note_text"], "true")
    assert (first.inputs["question"], second.answer.label) == ("a\nb", "false")


def test_a_column_of_notes_gives_documents(tmp_path):
    pq.write_table(pa.Table.from_pylist([{"t": "No\r\nfever", "p": 7}, {"t": "Ill", "p": 7}]), tmp_path / "n.parquet")
    expected = [Document(id="n-1", text="No\r\nfever", group="7"), Document(id="n-2", text="Ill", group="7")]
    assert csv_table.read(tmp_path / "n.parquet", note="t", group="p") == expected
    records = write(tmp_path, "r.jsonl", '{"t": "a"}\n')
    assert jsonl.read(records, note="t") == [Document(id="r-1", text="a")]


def test_faults_of_a_parquet_file(tmp_path):
    write(tmp_path, "bad.parquet", "note,label\na,b\n")
    with pytest.raises(InputError, match=r"not a Parquet file.*bad\.parquet"):
        csv_table.read(tmp_path / "bad.parquet", note="note")
    pq.write_table(pa.Table.from_pylist([{"note": "a"}, {"note": None}]), tmp_path / "n.parquet")
    with pytest.raises(InputError, match=r"holds no text \(.*n\.parquet row 2"):
        csv_table.read(tmp_path / "n.parquet", note="note")
