"""Very many notes through the command line: exit codes, the dead-letter file, and one paragraph for each mistake."""

import json

import pytest

from tests.batch_runs import COUNT, made_backbone, note_text, write_lines
from tests.made_notes import CANARY


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made_backbone(tmp_path)
    write_lines(tmp_path / "notes.jsonl")
    return tmp_path


def test_notes_that_fail_are_put_aside_and_tried_again(place, clinprompt):
    lines = (place / "notes.jsonl").read_text().splitlines()
    lines[4] = f'{{"id": "n4", "{CANARY}": '
    (place / "notes.jsonl").write_text("\n".join(lines))
    words = ("predict", "notes.jsonl", "--reader", "jsonl", "-p", "medications.safetensors", "-b", "tiny",
             "--to", "jsonl", "-o", "found.jsonl", "--answer-tokens", "3", "--shard")  # fmt: skip
    stopped = clinprompt(*words, "1000")
    assert stopped.code == 2 and "notes.jsonl line 5" in stopped.err and not (place / "found.jsonl").exists()
    ended = clinprompt(*words, "3", "--json")
    assert ended.code == 3, ended.err
    result = json.loads(ended.out)
    assert (result["notes"], result["failed"], result["dead_letters"]) == (COUNT - 1, 1, "found.jsonl.failed.jsonl")
    assert "1 notes failed" in ended.err and "notes/s" in ended.err and f"predict {COUNT} done" in ended.err
    again = clinprompt(*words, "3")
    assert again.code == 2 and "--retry-failed" in again.err
    changed = clinprompt(*words, "4", "--retry-failed")
    assert changed.code == 2 and "shard was 3 and is 4" in changed.err
    lines[4] = json.dumps({"id": "n4", "text": note_text(4)})
    (place / "notes.jsonl").write_text("\n".join(lines))
    mended = clinprompt(*words, "3", "--retry-failed", "--json")
    assert mended.code == 0 and json.loads(mended.out)["notes"] == COUNT
    for said in (stopped, ended, again, changed, mended):
        assert CANARY not in said.out + said.err


def test_mistakes_are_one_paragraph(place, clinprompt):
    words = ("predict", "notes.jsonl", "--reader", "jsonl", "-p", "medications.safetensors", "-b", "tiny", "-o", "o")
    for more, shows in (
        (("--shard", "0"), "batch.shard"),
        (("--shard-of", "9/8"), "1/8 to 8/8"),
        (("--executor", "spark"), "ray"),
        (("--retry-failed",), "never begun"),
        (("--server", "http://127.0.0.1:9"), "backbone cannot be set for a server"),
        (("--server-key", "key"), "batch.server"),
        (("--retry-failed", "--shard-of", "1/2"), "leave --shard-of out"),
    ):
        ended = clinprompt(*words, *more)
        assert ended.code == 2 and shows.casefold() in ended.err.casefold(), (more, ended.err)
        assert "Traceback" not in ended.err and not (place / "o").exists()


def test_an_output_without_a_name_is_refused(place, clinprompt):
    ended = clinprompt("predict", "notes.jsonl", "--reader", "jsonl", "-p", "medications.safetensors", "-o", ".")
    assert ended.code == 2 and "no name of an output" in ended.err


def test_the_format_is_guessed_and_kept(place, clinprompt):
    rows = (f'{number},"{note_text(number)}"\n' for number in range(3))
    (place / "notes.csv").write_text("id,report\n" + "".join(rows))
    words = ("predict", "-p", "medications.safetensors", "-b", "tiny", "--to", "jsonl", "--json",
             "--answer-tokens", "3")  # fmt: skip
    for file, count, reader in (("notes.jsonl", COUNT, "jsonl"), ("notes.csv", 3, "csv_table")):
        ended = clinprompt(*words, file, "-o", f"{file}.out")
        assert ended.code == 0 and json.loads(ended.out)["notes"] == count, ended.err
        assert f"read as {reader}: " in ended.err and "--reader names another" in ended.err
        named = clinprompt(*words, file, "-o", "named", "--reader", "plain")
        assert json.loads(named.out)["notes"] == 1 and "read as" not in named.err
        (place / "named").unlink()


def test_a_run_that_goes_on_is_read_as_it_was_begun(place, clinprompt):
    notes = place / "notes"
    notes.mkdir()
    for number in range(3):
        (notes / f"{number}.txt").write_bytes(note_text(number).encode())
    words = ("predict", "-p", "medications.safetensors", "-b", "tiny", "--to", "jsonl", "--answer-tokens", "3",
             "--shard", "1", "--json")  # fmt: skip
    shares = [clinprompt(*words, "notes", "-o", "o", "--shard-of", f"{n}/3", *more) for n, more in
              ((1, ("--reader", "plain")), (2, ()), (3, ()))]  # fmt: skip
    assert [ended.code for ended in shares] == [0, 0, 0] and len((place / "o").read_text().splitlines()) == 3
    # Begun as one text, which no guess would say of this file, and found again after half of it.
    words = (*words, "notes.jsonl", "-o", "begun")
    assert clinprompt(*words, "--reader", "plain", "--shard-of", "2/2").code == 0
    ended = clinprompt(*words)
    assert ended.code == 0 and json.loads(ended.out)["notes"] == 1 and "so this run was begun" in ended.err
