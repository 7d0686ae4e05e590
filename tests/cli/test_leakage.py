from __future__ import annotations

import json

import pytest

from tests.made_notes import CANARY, write_notes


@pytest.fixture
def place(tmp_path, monkeypatch, clinprompt):
    monkeypatch.chdir(tmp_path)
    for name, count, share in (("one", 12, 0.3), ("two", 16, 0.1)):
        write_notes(tmp_path / name, count)
        assert clinprompt("data", "import", name, "-o", f"tasks/{name}", "--split", f"dev=0.1,test={share}").code == 0
    return tmp_path


def test_what_was_seen_is_told_and_written_without_text(place, clinprompt):
    ended = clinprompt("data", "leakage", "tasks/one", "--source", "tasks/two", "--out", "found", "--json")
    assert ended.code == 0, ended.err
    own, source = json.loads(ended.out)["lines"]
    assert (own["role"], source["role"]) == ("own", "source") and source["n"] == own["n"] > 2
    assert source["exact"] > 0 and source["leaked"] >= source["exact"]
    written = (place / "found" / "leakage.csv").read_text() + (place / "found" / "leakage.json").read_text()
    assert CANARY not in written + ended.out + ended.err and written.startswith("target,scored,role,seen,n,exact")
    shown = clinprompt("data", "leakage", "tasks/one", "--source", "tasks/two")
    assert "source: two" in shown.out + shown.err


def test_a_pretraining_text_is_read_by_a_reader(place, clinprompt):
    (place / "text").mkdir()
    for file in (place / "one").glob("*.txt"):
        (place / "text" / file.name).write_text(file.read_text())
    lines = json.loads(clinprompt("data", "leakage", "tasks/one", "--pretraining", "text", "--json").out)["lines"]
    assert lines[-1]["seen"] == "text" and lines[-1]["leaked"] == lines[-1]["n"] > 0
    texts = [file.read_bytes().decode() for file in sorted((place / "text").iterdir())]
    (place / "text.jsonl").write_text(
        "".join(json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(texts))
    )
    ended = clinprompt("data", "leakage", "tasks/one", "--pretraining", "text.jsonl", "--json")
    assert json.loads(ended.out)["lines"][-1]["leaked"] == lines[-1]["leaked"] and "read as jsonl" in ended.err


@pytest.mark.parametrize(
    "options, said",
    [
        (("tasks/none",), "holds no prepared task"),
        (("tasks/one", "--part", "tset"), "dev"),
        (("tasks/one", "--pretraining", "nowhere"), "does not exist"),
        (("tasks/one", "--pretraining", "one", "--reader", "palin"), "plain"),
    ],
)
def test_bad_input_is_told_in_a_line(place, clinprompt, options, said):
    ended = clinprompt("data", "leakage", *options)
    assert ended.code == 2 and said in ended.err + ended.out and "Traceback" not in ended.err
