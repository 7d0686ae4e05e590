"""Notes that cannot be read or answered: put aside, told, tried again."""

import json
from unittest.mock import patch

import pytest

from clinprompt.data.readers import jsonl
from clinprompt.errors import InputError
from clinprompt.inference.engines.local import LocalEngine
from clinprompt.stages.batch.parts_folder import PartsFolder
from clinprompt.stages.predict import predict
from tests.batch_runs import COUNT, batch_settings, files_of, note_text
from tests.made_notes import CANARY

LONG = f"{CANARY} " * 900
ROOM = 1800
"""Tokens for an answer that leave room for short notes only."""


@pytest.fixture
def folder(tmp_path):
    """Notes of which one is not UTF-8 and one is too long."""
    place = tmp_path / "notes"
    place.mkdir()
    for number in range(COUNT):
        (place / f"n{number:02}.txt").write_bytes(note_text(number).encode())
    (place / "n04.txt").write_bytes(b"\xff\xfe " + CANARY.encode())
    (place / "n08.txt").write_text(LONG)
    return place


@pytest.fixture
def speaking():
    """A backbone that says the same of every note, and fails where a note says so."""
    from clinprompt.backbones.protocol import RawAnswer

    def answers(self, requests, generation, *, watch):
        texts = [self.backbone.tokenizer.decode(list(request.row.context)) for request in requests]
        if any("patient 6" in text for text in texts):
            raise RuntimeError(f"the kernel did not like {CANARY}")
        watch(len(requests))
        return [RawAnswer(" none", 2, False) for _ in requests]

    return patch.object(LocalEngine, "answers", answers)


def long_settings(models, folder, out, **batch):
    given = {"window": 40, "answer_tokens": ROOM, "long_notes": {"window_tokens": 2000}}
    return batch_settings(models, folder, out, **given, batch=batch)


def test_notes_that_fail_are_put_aside_and_the_others_are_answered(models, tiny, folder, tmp_path, speaking):
    settings = batch_settings(models, folder, tmp_path / "o.jsonl")
    with speaking:
        report = predict(settings, opened=tiny)
    assert (report.notes, report.failed) == (COUNT - 2, 2)
    assert report.dead_letters == tmp_path / "o.jsonl.failed.jsonl"
    failed = [json.loads(line) for line in report.dead_letters.read_text().splitlines()]
    assert [(one["place"], one["id"]) for one in failed] == [(5, str(folder / "n04.txt")), (7, "n06")]
    assert "not UTF-8 at byte 0" in failed[0]["reason"] and failed[1]["reason"] == "RuntimeError"
    assert CANARY not in report.dead_letters.read_text()
    assert [document.id for document in jsonl.read(settings.out)] == [
        f"n{number:02}" for number in range(COUNT) if number not in (4, 6)
    ]
    assert len(report.ledger.read_text().splitlines()) == COUNT - 2


def test_a_note_without_room_is_put_aside_before_anything_is_asked(models, tiny, folder, tmp_path):
    from clinprompt.inference.long_notes import LongNotes

    true = LongNotes.plan

    def plan(self, question, **given):
        if len(question.example.note) > 1000:
            raise InputError("the prompt, the task's words and the answer leave no room for the note")
        return true(self, question, **given)

    (folder / "n04.txt").unlink()
    with patch.object(LongNotes, "plan", plan):
        report = predict(batch_settings(models, folder, tmp_path / "o.jsonl"), opened=tiny)
    [line] = report.dead_letters.read_text().splitlines()
    assert json.loads(line)["id"] == "n08" and "no room" in line and report.notes == COUNT - 2


def test_failed_notes_are_tried_again_and_take_their_places(models, tiny, folder, tmp_path, speaking):
    settings = batch_settings(models, folder, tmp_path / "out" / "o", writer="brat")
    with speaking:
        predict(settings, opened=tiny)
    with pytest.raises(InputError, match="--retry-failed"):
        predict(settings, opened=tiny)
    again = settings.model_copy(update={"batch": settings.batch.model_copy(update={"retry_failed": True})})
    (folder / "n04.txt").write_bytes(note_text(4).encode())
    with speaking:
        report = predict(again, opened=tiny)
    assert (report.notes, report.failed) == (COUNT - 1, 1)
    assert (settings.out / "n04.txt").read_bytes() == note_text(4).encode() and not (settings.out / "n06.txt").exists()
    with patch.object(LocalEngine, "answers", lambda *_, **__: pytest.fail("more than failed notes are answered")):
        kept = (folder / "n01.txt").read_bytes()
        (folder / "n01.txt").write_text("Another.")
        with pytest.raises(InputError, match=r"answered \(notes 1 to 3"):
            predict(again, opened=tiny)
        (folder / "n01.txt").write_bytes(kept)
        kept = (folder / "n07.txt").read_bytes()
        (folder / "n07.txt").write_text("Another.")
        with pytest.raises(InputError, match="the note n07, which was answered, is another now"):
            predict(again, opened=tiny)
        (folder / "n07.txt").write_bytes(kept)
    with speaking:
        (folder / "n06.txt").write_text("Well now.")
        report = predict(again, opened=tiny)
        assert (report.notes, report.failed, report.dead_letters) == (COUNT, 0, None)
        assert not PartsFolder(settings.out).path.exists()
        with pytest.raises(InputError, match="no note of this output failed"):
            predict(again, opened=tiny)
        fresh = batch_settings(models, folder, tmp_path / "fresh" / "o", writer="brat")
        predict(fresh, opened=tiny)
    assert files_of(fresh.out.parent) == files_of(settings.out.parent)


def test_the_first_failure_ends_the_run_when_that_is_asked_for(models, tiny, folder, tmp_path, speaking):
    stop = batch_settings(models, folder, tmp_path / "o.jsonl", batch={"stop_on_failure": True})
    with speaking, pytest.raises(InputError, match="not UTF-8"):
        predict(stop, opened=tiny)
    assert not PartsFolder(stop.out).path.exists()
    (folder / "n04.txt").write_bytes(note_text(4).encode())
    with speaking, pytest.raises(RuntimeError):
        predict(stop, opened=tiny)
    (folder / "n06.txt").write_text("Well now.")
    with speaking:
        assert predict(stop, opened=tiny).failed == 0


def test_too_many_failures_end_the_run(models, tiny, folder, tmp_path, speaking):
    def refused(match, notes, **batch):
        with pytest.raises(InputError, match=match) as caught:
            predict(batch_settings(models, notes, tmp_path / "o.jsonl", batch=batch), opened=tiny)
        assert CANARY not in str(caught.value)

    with speaking:
        refused("more than 0 notes could not be read", folder, most_failed=0)
        refused("more than 1 notes could not be read or answered; the first: RuntimeError", folder, most_failed=1)
        PartsFolder(tmp_path / "o.jsonl").remove()
    with patch.object(LocalEngine, "answers", side_effect=ValueError(CANARY)):
        refused("none of the 10 notes of shard 1 could be answered; the first: ValueError", folder, shard=10)
    assert not (tmp_path / "o.jsonl").exists()


@pytest.mark.parametrize("reader", ["jsonl", "csv_table", "brat"])
def test_records_that_cannot_be_read_are_told_once_with_their_lines(models, tiny, tmp_path, reader):
    lines = [json.dumps({"id": f"n{number}", "text": note_text(number)}) for number in range(7)]
    options, notes = {}, tmp_path / "notes.jsonl"
    if reader == "jsonl":
        lines[2], lines[5] = "{", json.dumps({"id": "n5", "txt": CANARY})
        notes.write_bytes("\n".join(lines).encode() + b'\n{"id": "\xff"}\n')
        bad = ["line 3", "line 6", "line 8"]
    elif reader == "csv_table":
        notes, options = tmp_path / "notes.csv", {"note": "text", "id": "id"}
        rows = [f'n{number},"Well, {number}",x' for number in range(7)]
        rows[3] = f"n3,{CANARY}"
        notes.write_text("\n".join(["id,text,more", *rows, ""]))
        bad = ["line 5"]
    else:
        notes = tmp_path / "brat"
        notes.mkdir()
        for number in range(7):
            (notes / f"n{number}.txt").write_text(note_text(number))
            (notes / f"n{number}.ann").write_text("T1 broken\n" if number == 4 else "")
        bad = ["n4.ann line 1"]
    settings = batch_settings(models, notes, tmp_path / "o.jsonl", reader=reader, reader_options=options)
    report = predict(settings, opened=tiny)
    failed = [json.loads(line) for line in report.dead_letters.read_text().splitlines()]
    if reader == "csv_table":  # the reader leaves a file at its first broken row
        assert len(failed) == 1
    assert [one["id"].removeprefix(f"{notes}").strip(" /") for one in failed] == bad
    assert CANARY not in report.dead_letters.read_text()
    assert report.notes == len(jsonl.read(settings.out)) == {"jsonl": 5, "csv_table": 3, "brat": 6}[reader]
