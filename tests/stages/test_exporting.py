"""Export: every format from brat and from predictions, the loss report, prepared tasks, and refusals."""

from __future__ import annotations

import json

import pytest

from clinprompt.data.readers import READERS
from clinprompt.data.writers import WRITERS, brat, jsonl
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Relation, Span
from clinprompt.stages.exporting import check_output, export, is_prepared, rehearse
from clinprompt.stages.importing import import_data

SPANS = (
    Span("Drug", ((0, 7),), "T1"),
    Span("Drug", ((0, 7),), "T2", {"a": "b"}),
    Span("Dose", ((8, 10), (11, 13)), "T3"),
)
NOTES = [
    Document("1", "Aspirin 81 mg", SPANS, (Relation("of", "T3", "T1", "R1"),)),
    Document("2", "Fine."),
]
MADE = {"clinprompt": "0.1", "backbone": "b9", "prompts": []}
PLACES = {"bioc": "o.xml", "brat": "o", "conll": "o.tsv", "fhir": "o.json", "html": "o.html", "jsonl": "o.jsonl",
          "label_studio": "o.json", "note_nlp": "o.csv", "table": "o.parquet"}  # fmt: skip


@pytest.fixture
def notes(tmp_path):
    brat.write(NOTES, tmp_path / "notes", provenance=MADE)
    return tmp_path / "notes"


def test_every_writer_is_tried():
    assert set(PLACES) == set(WRITERS)


@pytest.mark.parametrize("writer", WRITERS)
def test_from_brat_with_its_provenance(notes, tmp_path, writer):
    out = tmp_path / PLACES[writer]
    done = export(notes, out, reader="brat", writer=writer)
    assert (done.documents, done.spans, done.relations, done.answers) == (2, 3, 1, 0)
    assert done.report == tmp_path / f"{PLACES[writer]}.loss.json"
    assert json.loads(done.report.read_text()) == {
        "format": writer, "read": {"documents": 2, "spans": 3, "relations": 1, "answers": 0}, "lost": done.lost,
    }  # fmt: skip
    files = [file for file in out.rglob("*") if file.is_file()] if out.is_dir() else [out]
    assert b"b9" in b"".join(file.read_bytes() for file in files)
    with pytest.raises(InputError, match="there already"):
        export(notes, out, reader="brat", writer=writer)
    export(notes, out, reader="brat", writer=writer, overwrite=True)


def test_conll_reports_what_it_leaves_out(notes, tmp_path):
    done = export(notes, tmp_path / "o.tsv", reader="brat", writer="conll")
    assert done.lost == {"discontinuous": 1, "nested": 1, "relations": 1}


def test_predictions_keep_answers_and_origin(tmp_path):
    source = tmp_path / "said.jsonl"
    jsonl.write(NOTES, source, provenance=MADE, answers=[{"flag": "high"}, {"flag": None}])
    read = READERS["jsonl"](source)
    assert [document.metadata for document in read] == [
        {"answer flag": "high", "provenance": json.dumps(MADE)}, {"provenance": json.dumps(MADE)},
    ]  # fmt: skip
    export(source, tmp_path / "o.json", reader="jsonl", writer="label_studio")
    tasks = json.loads((tmp_path / "o.json").read_text())
    assert tasks[0]["predictions"][0]["model_version"] == "clinprompt 0.1; backbone b9"
    assert tasks[0]["meta"] == {"answer flag": "high"}


def test_examples_and_their_answers(tmp_path):
    file = tmp_path / "q.jsonl"
    file.write_text('{"n": "It rains.", "q": "Does it?", "a": "yes"}\n{"n": "Sun.", "q": "Rain?", "a": "no"}\n')
    options = {"note": "n", "question": "q", "label": "a"}
    export(
        file,
        tmp_path / "o.csv",
        reader="jsonl",
        writer="table",
        reader_options=options,
        writer_options={"layout": "wide"},
    )
    assert (tmp_path / "o.csv").read_text().splitlines()[1] == "q-1,q-1,yes,"
    done = export(file, tmp_path / "o.xml", reader="jsonl", writer="bioc", reader_options=options)
    assert done.lost == {"answers": 2} and done.answers == 2
    assert [note.metadata for note in READERS["bioc"](tmp_path / "o.xml")] == [
        {"question": "Does it?"},
        {"question": "Rain?"},
    ]


def test_a_prepared_task_is_exported_with_its_parts(tmp_path):
    brat.write([Document(f"n{i}", "Aspirin", (Span("Drug", ((0, 7),), "T1"),)) for i in range(6)], tmp_path / "notes")
    import_data(tmp_path / "notes", tmp_path / "task", name="drugs", reader="brat")
    assert is_prepared(tmp_path / "task") and not is_prepared(tmp_path / "notes")
    export(tmp_path / "task", tmp_path / "o.jsonl", reader=None, writer="jsonl")
    found = READERS["jsonl"](tmp_path / "o.jsonl")
    assert len(found) == 6 and {note.metadata["part"] for note in found} == {"train", "dev", "test"}
    assert all(note.spans[0].surface(note.text) == "Aspirin" for note in found)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"reader": "brot"}, "brat"),
        ({"writer": "fihr"}, "fhir"),
        ({"reader_options": {"gruop": "x"}}, "group"),
        ({"writer_options": {"overwrite": True}}, "no option"),
        ({"writer": "note_nlp"}, "form"),
    ],
)
def test_refusals_write_nothing(notes, tmp_path, changed, match):
    settings = {"reader": "brat", "writer": "bioc", **changed}
    with pytest.raises(InputError, match=match):
        export(notes, tmp_path / "o.xml", **settings)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_what_a_format_refuses_is_known_beforehand(tmp_path):
    out = tmp_path / "o.csv"
    check_output("note_nlp", {}, out)
    rehearse(["1", "2"], ["Drug"], ["of"], out, writer="note_nlp", options={})
    with pytest.raises(InputError, match="note_id"):
        rehearse(["n1"], ["Drug"], [], out, writer="note_nlp", options={})
    with pytest.raises(InputError, match="blanks"):
        rehearse(["1"], ["two words"], [], tmp_path / "o", writer="brat", options={})
    assert list(tmp_path.iterdir()) == []
