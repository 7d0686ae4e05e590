"""How notes are read that nobody has annotated: text stays text, records are told by their fields."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clinprompt.data.new_notes import guess_notes
from clinprompt.errors import InputError


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    "files",
    [
        {"a.txt": "No O\nasthma B-Disease\n"},  # columns, to who looks for a corpus
        {"a.txt": "FINDINGS: none.\nIMPRESSION: none.\n"},
        {"a.txt": "Asthma.", "a.ann": ""},
        {"notes/a.txt": "Asthma.", "summaries/a.txt": "Asthma."},
        {"a.txt": "Asthma.", "more.jsonl": "{}"},
        {"README.txt": "Asthma."},
        {"a.md": "Asthma."},
        {},
    ],
)
def test_what_was_plain_stays_plain(tmp_path, files):
    found = guess_notes(write(tmp_path, files))
    assert (found.reader, found.options, found.path) == ("plain", {}, tmp_path)


@pytest.mark.parametrize("name", ["a.txt", "A.TXT", "a.md", "a", "nowhere.jsonl"])
def test_a_file_of_text(tmp_path, name):
    write(tmp_path, {} if name == "nowhere.jsonl" else {name: "FINDINGS: none.\nIMPRESSION: none.\n"})
    assert guess_notes(tmp_path / name).reader == "plain"


def test_records_without_their_answers(tmp_path):
    line = json.dumps({"note_id": "1", "report": "Asthma.", "label": "yes", "summary": "Ill."})
    write(tmp_path, {"n.jsonl": line + "\n{damaged\n" + line, "README.txt": "About.", "q.csv": "question,text\na,b\n"})
    found = guess_notes(tmp_path / "n.jsonl")
    assert (found.reader, dict(found.options)) == ("jsonl", {"note": "report", "id": "note_id"}) and found.why
    assert dict(guess_notes(tmp_path / "q.csv").options) == {"note": "text", "question": "question"}
    (tmp_path / "q.csv").unlink()
    assert guess_notes(tmp_path).reader == "jsonl"
    pq.write_table(pa.Table.from_pylist([{"id": "1", "text": "Asthma."}]), tmp_path / "n.parquet")
    assert guess_notes(tmp_path / "n.parquet").reader == "csv_table"


def test_records_that_are_not_known_are_no_text(tmp_path):
    write(tmp_path, {"n.csv": "a,b\n1,2\n"})
    with pytest.raises(InputError, match="--reader"):
        guess_notes(tmp_path / "n.csv")
