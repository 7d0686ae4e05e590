from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clinprompt.data.guess import guess
from clinprompt.data.readers import READERS
from clinprompt.data.shapes import JSON_SHAPES, RECORD_SHAPES, SUFFIX_SHAPES, XML_SHAPES
from clinprompt.errors import InputError

SAMPLES = Path(__file__).parents[1] / "samples"
ALIKE = {"scinli": "jsonl"}
"""Formats that another reader reads as well."""

UNREADABLE_HERE = ("hub",)
"""Readers that need an extra; their guess is looked at, and not read with."""


def plans():
    for folder in sorted(SAMPLES.iterdir()):
        if (folder / "expected.json").is_file():
            yield folder.name, json.loads((folder / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("name", "plan"), list(plans()), ids=[name for name, _ in plans()])
def test_the_good_sample_of_every_reader_is_recognised_and_read_whole(name, plan):
    found = guess(SAMPLES / name / plan["path"])
    assert found.reader == ALIKE.get(name, name) and found.why
    if name not in UNREADABLE_HERE:
        assert len(READERS[found.reader](found.path, **found.options)) == plan["records"]


def test_every_shape_is_of_a_reader():
    named = {reader for shapes in (XML_SHAPES, JSON_SHAPES, RECORD_SHAPES) for reader, _, _ in shapes}
    assert named | set(SUFFIX_SHAPES.values()) <= set(READERS)


def write(folder, name, text):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text.encode())
    return folder / name


@pytest.mark.parametrize(
    ("name", "text", "reader", "options"),
    [
        ("n.jsonl", '{"input": "a", "output": "b"}\n', "jsonl", {"note": "input", "text": "output"}),
        ("n.json", '{"input": "a", "output": "b"}\n{"input": "c", "output": "d"}\n', "jsonl",
         {"note": "input", "text": "output"}),
        ("q.csv", 'Which?,x,y,z,w,A\n"And, now?",x,y,z,w,D\n', "csv_table",
         {"header": False, "note": "1", "options": ["2", "3", "4", "5"], "label": "6"}),
        ("r.tsv", 'index\tsentence1\tsentence2\tlabel\n0\tHe said "no\tb\tyes\n', "csv_table",
         {"note": "sentence1", "hypothesis": "sentence2", "label": "label", "id": "index", "quotes": False}),
        ("n.csv", 'id,text\n1,"No, ""well"""\n', "csv_table", {"note": "text", "id": "id"}),
        ("c.txt", "No O\nasthma B-Disease\n", "conll", {"separator": "space"}),
        ("c.bio", "-DOCSTART- O\n\nNo   O\nasthma  B-Disease\n", "conll", {"separator": "blank"}),
        ("n.txt", "No O\nasthma today\n", "plain", {}),
    ],
)  # fmt: skip
def test_a_file_by_its_content(tmp_path, name, text, reader, options):
    found = guess(write(tmp_path, name, text))
    assert (found.reader, dict(found.options)) == (reader, options)
    assert guess(tmp_path).reader == reader


def test_a_parquet_file(tmp_path):
    pq.write_table(pa.Table.from_pylist([{"note_id": "1", "text": "a", "label": "x"}]), tmp_path / "n.parquet")
    assert dict(guess(tmp_path / "n.parquet").options) == {"note": "text", "label": "label", "id": "note_id"}


def test_files_about_the_data_do_not_count(tmp_path):
    for name in ("README.md", "LICENSE", "SOURCE.md", ".hidden.csv", "Licence.txt"):
        write(tmp_path, name, "x")
    file = write(
        tmp_path, "data/dev.json", '{"question": "?", "opa": "a", "opb": "b", "opc": "c", "opd": "d", "cop": 1}\n'
    )
    found = guess(tmp_path)
    assert (found.reader, found.path) == ("medmcqa", file)


def test_several_files_of_a_reader_of_one(tmp_path):
    for name in ("train.json", "test.json"):
        write(tmp_path, name, '{"exams": {}}')
    with pytest.raises(InputError, match=r"holds 2 files of the format 'headqa'.*Name the file"):
        guess(tmp_path)


def test_several_kinds_of_files(tmp_path):
    write(tmp_path, "a.csv", "text\na\n")
    write(tmp_path, "a.json", "{}")
    with pytest.raises(InputError, match=r"several kinds of files \(\.csv, \.json\)"):
        guess(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [("n.csv", "zanzibarquince,b\n1,2\n"), ("n.json", '{"zanzibarquince": 1}'), ("n.xml", "<zanzibarquince/>"),
     ("n.csv", ""), ("n.json", "[]"), ("n.json", "{}"), ("n.doc", "x"), ("n.tsv", "zanzibarquince\n")],
)  # fmt: skip
def test_what_is_not_known_is_not_guessed(tmp_path, name, text):
    file = write(tmp_path, name, text)
    for path in (file, tmp_path):
        with pytest.raises(InputError, match="--reader") as caught:
            guess(path)
        assert "zanzibarquince" not in str(caught.value)


@pytest.mark.parametrize(("name", "text"), [("n.json", '{"a": zanzibarquince'), ("n.xml", "<a>zanzibarquince")])
def test_damaged_files_are_faults(tmp_path, name, text):
    with pytest.raises(InputError, match=r"line 1") as caught:
        guess(write(tmp_path, name, text))
    assert "zanzibarquince" not in str(caught.value)


def test_a_text_that_is_not_utf8(tmp_path):
    (tmp_path / "n.txt").write_bytes(b"Fi\xe8vre")
    with pytest.raises(InputError, match="UTF-8"):
        guess(tmp_path)


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="not there"):
        guess(tmp_path / "nowhere")


CORPORA = [
    ("covid_qa", "squad", 1380),
    ("medqa_usmle", "jsonl", 1273),
    ("mmlu_medical", "csv_table", 1089),
    ("scifact_rte/RTE-scifact/train.tsv", "csv_table", 564),
    ("medquad", "medquad", 2231),
    ("aci_bench/data/challenge_data/train.csv", "aci_bench", 67),
    ("sumpubmed", "text_pairs", 100),
    ("mts_dialog/Main-Dataset/MTS-Dialog-TrainingSet.csv", "mts_dialog", 1201),
    ("medmcqa", "medmcqa", 4183),
    ("pubmedqa/data/ori_pqal.json", "pubmedqa", 1000),
    ("meqsum", "meqsum", 1000),
    ("scinli/SciNLI_dataset/dev.jsonl", "jsonl", 2000),
    ("maccrobat", "brat", 200),
    ("psytar/data/all", "conll", 5591),
    ("e3c_english/preprocessed_data", "conll", 1520),
    ("bc5cdr/pubtator", "pubtator", 1500),
]


@pytest.mark.parametrize(("path", "reader", "records"), CORPORA)
def test_published_corpora_are_recognised(shared_data, path, reader, records):
    found = guess(shared_data / path)
    assert found.reader == reader
    assert len(READERS[reader](found.path, **found.options)) == records
