"""No word of a note leaves the data: a canary in every note, then the whole job, then a look into every other file."""

import pytest

from tests.made_backbones import tiny_folder
from tests.made_notes import CANARY, write_notes

HOLDS_DATA = (".parquet", ".jsonl", ".txt", ".ann")
ALWAYS_CLEAN = ("log.txt", "metrics.jsonl", "config.yaml", "inputs.json", "environment.json", "done.json")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_notes(tmp_path / "notes")
    tiny_folder(tmp_path / "tiny")
    return tmp_path


@pytest.mark.parametrize("method", ["prompt-tuning", "lora"])
def test_no_word_of_a_note_is_in_logs_records_or_on_the_screen(place, clinprompt, method):
    commands = [
        ("data", "import", "notes", "-o", "data", "--window", "45"),
        ("data", "describe", "data", "--json"),
        ("adapt", "data", "-b", "tiny", "--method", method, "--set", "method.budget.steps=2", "--out", "bank"),
        ("evaluate", "data", "-b", "tiny", "-p", "RUN", "--set", "answer_tokens=4", "--set", "resamples=100"),
    ]
    if method == "prompt-tuning":
        commands += [
            ("predict", "notes", "-p", "bank/data.safetensors", "-b", "tiny", "-o", "spans", "--answer-tokens", "4"),
            ("predict", "notes", "-p", "bank/data.safetensors", "-b", "tiny", "-o", "p.jsonl", "--to", "jsonl",
             "--answer-tokens", "4", "--json"),
        ]  # fmt: skip
    for command in commands:
        run = next(place.glob("runs/adapt/*"), place)
        ended = clinprompt(*(str(run) if word == "RUN" else word for word in command))
        assert ended.code == 0, ended.err
        assert CANARY not in ended.out + ended.err, command
    files = [path for path in place.rglob("*") if path.is_file() and place / "notes" not in path.parents]
    found = {path.name for path in files}
    assert found.issuperset((*ALWAYS_CLEAN, "predictions.jsonl", "scores.json", "manifest.json"))
    leaks = [path for path in files if CANARY.encode() in path.read_bytes()]
    assert [path for path in leaks if path.suffix not in HOLDS_DATA or path.name in ALWAYS_CLEAN] == []
    if method == "prompt-tuning":
        ledgers = {path for path in files if path.name.endswith("ledger.jsonl")}
        assert len(ledgers) == 2 and not ledgers & set(leaks)
        assert {path.suffix for path in leaks} >= {".txt", ".jsonl"}  # the canary is really in the data
