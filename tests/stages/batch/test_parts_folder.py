"""Runs over several shards: what they leave, what they refuse, and how they go on."""

import errno
import json
import os
import re
import resource
from unittest.mock import patch

import pytest

from clinprompt.data.lock import Lock
from clinprompt.data.readers import jsonl
from clinprompt.data.writers import FOLDERS, WRITERS
from clinprompt.errors import InputError
from clinprompt.inference.engines.local import LocalEngine
from clinprompt.stages.batch.parts_folder import PartsFolder
from clinprompt.stages.predict import predict
from tests.batch_runs import COUNT, batch_settings, counting, files_of, note_text, write_lines

SUFFIX = {"table": ".csv", "bioc": ".xml", "note_nlp": ".csv", "html": ".html", "conll": ".tsv"}
FIXED = {"fhir": {"recorded": "2026-01-31T08:00:00+00:00"}, "note_nlp": {"date": "2026-01-31"}}


@pytest.mark.parametrize("writer", WRITERS)
def test_several_shards_give_the_bytes_of_one_in_every_format(models, tiny, tmp_path, writer):
    source = tmp_path / "notes.jsonl"
    source.write_text("".join(json.dumps({"id": str(n), "text": note_text(n)}) + "\n" for n in range(COUNT)))
    written, reports = [], []
    for shard in (1000, 3):
        folder = tmp_path / f"by {shard}"
        out = folder / ("out" if writer in FOLDERS else f"out{SUFFIX.get(writer, '.json')}")
        more = {"writer": writer, "writer_options": FIXED.get(writer, {}), "batch": {"shard": shard}}
        report = predict(batch_settings(models, source, out, answer_tokens=12, **more), opened=tiny)
        written.append(files_of(folder))
        reports.append((report, report.ledger.relative_to(folder)))
    assert written[0] == written[1] and reports[0][1] == reports[1][1]
    one, many = (report.__class__(**{**_fields(report), "ledger": None}) for report, _ in reports)
    assert one == many and one.notes == COUNT and one.decoding.items > 0


def _fields(report):
    return {name: getattr(report, name) for name in report.__slots__}


def test_answers_in_words_and_sections_pass_through_the_parts(models, tiny, notes, tmp_path):
    both = tuple(models / f"{task}.safetensors" for task in ("medications", "problem-mentioned"))
    given = {"prompts": both, "mark_sections": True, "mark_ambiguous": True, "answer_tokens": 12}
    written = []
    for shard in (1000, 2):
        settings = batch_settings(models, notes, tmp_path / str(shard) / "o.jsonl", batch={"shard": shard})
        predict(settings.model_copy(update=given), opened=tiny)
        written.append(files_of(settings.out.parent))
    assert written[0] == written[1] and b'"problem-mentioned": "' in written[0]["o.jsonl"]
    assert b'"section": "' in written[0]["o.jsonl"]


class Stop(BaseException):
    """As an interrupt does, it ends a run in the middle."""


def stopped_after(calls):
    """The engine's own answers, for so many calls."""
    true, left = LocalEngine.answers, [calls]

    def answers(self, requests, generation, **more):
        left[0] -= 1
        if left[0] < 0:
            raise Stop
        return true(self, requests, generation, **more)

    return patch.object(LocalEngine, "answers", answers)


def stop(settings, tiny, calls):
    with stopped_after(calls), pytest.raises(Stop):
        predict(settings, opened=tiny)


def test_a_second_start_answers_only_what_is_left(models, tiny, notes, tmp_path):
    settings = batch_settings(models, notes, tmp_path / "o.jsonl")
    whole = batch_settings(models, notes, tmp_path / "whole" / "o.jsonl")
    predict(whole, opened=tiny)
    stop(settings, tiny, 2)
    parts = files_of(PartsFolder(settings.out).path)
    assert sorted(parts) == ["000001.jsonl", "000002.jsonl", "plan.json"] and not settings.out.exists()
    assert not any(note_text(number).encode() in part for number in range(COUNT) for part in parts.values())
    seen = []
    with patch.object(LocalEngine, "answers", counting(tmp_path / "rows")):
        report = predict(settings, opened=tiny, progress=lambda name, total: Watched(seen, name, total))
    assert (tmp_path / "rows").read_text() == "3\n2\n"  # two shards with five notes
    assert files_of(whole.out.parent) == {
        name: files_of(tmp_path)[name] for name in ("o.jsonl", "o.jsonl.ledger.jsonl")
    }
    assert not PartsFolder(settings.out).path.exists() and report.notes == COUNT
    predicted = [(total, sum(steps), last) for name, total, steps, last in seen if name == "predict"]
    assert [(total, steps) for total, steps, _ in predicted] == [(5, 5)] and predicted[0][2]["notes/s"] > 0


class Watched:
    """Keeps what is told of progress."""

    def __init__(self, seen, name, total):
        self.steps, self.last = [], {}
        seen.append((name, total, self.steps, self.last))

    def __enter__(self):
        return lambda steps=1, **values: (self.steps.append(steps), self.last.update(values))

    def __exit__(self, *_):
        return None


def test_other_settings_prompts_or_notes_are_refused(models, tiny, notes, tmp_path):
    settings = batch_settings(models, notes, tmp_path / "o.jsonl")
    stop(settings, tiny, 2)
    before = files_of(tmp_path)

    def refused(match, **changed):
        with pytest.raises(InputError, match=match):
            predict(settings.model_copy(update=changed), opened=tiny)

    refused(r"settings\.answer_tokens was 3 and is 4", answer_tokens=4)
    refused(r"shard was 3 and is 4", batch=settings.batch.model_copy(update={"shard": 4}))
    refused("the prompts are others", prompts=(models / "problem-mentioned.safetensors",))
    assert files_of(tmp_path) == before
    text = notes.read_text()
    notes.write_text(text.replace("Note 4:", "Note 44:"))
    refused(r"after they had been answered \(notes 4 to 6.*remove that folder")
    notes.write_text(text.split("\n", 1)[1])
    refused(r"after they had been answered \(notes 1 to 3")
    notes.write_text("".join(text.splitlines(keepends=True)[:3]))
    refused(r"after they had been answered \(notes 4 to 6")
    # What is not answered yet may be mended.
    notes.write_text(text.replace("Note 7:", "Note 77:") + json.dumps({"id": "n11", "text": "New."}) + "\n")
    predict(settings, opened=tiny)
    assert [document.id for document in jsonl.read(settings.out)] == [f"n{number}" for number in range(COUNT + 1)]
    assert "Note 77:" in settings.out.read_text()


def test_a_moved_corpus_and_another_format_may_go_on(models, tiny, notes, tmp_path):
    settings = batch_settings(models, notes, tmp_path / "o.csv", writer="table")
    stop(settings, tiny, 2)
    moved = notes.rename(tmp_path / "moved.jsonl")
    predict(settings.model_copy(update={"notes": moved, "writer_options": {"layout": "wide"}}), opened=tiny)
    assert len(settings.out.read_text().splitlines()) == COUNT + 1


def test_a_damaged_part_is_made_anew(models, tiny, notes, tmp_path):
    settings = batch_settings(models, notes, tmp_path / "o.jsonl")
    stop(settings, tiny, 2)
    part = PartsFolder(settings.out).path / "000001.jsonl"
    part.write_bytes(part.read_bytes().replace(b'"label"', b'"lable"').replace(b'"n1"', b'"n9"'))
    predict(settings, opened=tiny)
    assert [document.id for document in jsonl.read(settings.out)] == [f"n{number}" for number in range(COUNT)]


def test_two_runs_at_once_are_refused(models, tiny, notes, tmp_path):
    settings = batch_settings(models, notes, tmp_path / "o.jsonl")
    lock = Lock(tmp_path / ".o.jsonl.lock")
    lock.take()
    with pytest.raises(InputError, match=f"process {os.getpid()} is working on this output"):
        predict(settings, opened=tiny)
    share = settings.model_copy(update={"batch": settings.batch.model_copy(update={"share": "1/2"})})
    with pytest.raises(InputError, match="working on this output"):
        predict(share, opened=tiny)
    lock.release()
    one = Lock(tmp_path / ".o.jsonl.1-of-2.lock")
    one.take()
    with pytest.raises(InputError, match="share 1/2 of this output"):
        predict(settings, opened=tiny)
    with pytest.raises(InputError, match="share 1/2 of this output"):
        predict(share, opened=tiny)
    thirds = settings.model_copy(update={"batch": settings.batch.model_copy(update={"share": "2/3"})})
    with pytest.raises(InputError, match="share 1/2 of this output"):
        predict(thirds, opened=tiny)
    one.release()
    assert files_of(tmp_path) == {"notes.jsonl": notes.read_bytes()}


def test_the_last_share_joins_them_all(models, tiny, notes, tmp_path):
    whole = batch_settings(models, notes, tmp_path / "whole" / "o.jsonl")
    predict(whole, opened=tiny)
    waiting = []
    for share in ("3/3", "1/3", "2/3"):
        settings = batch_settings(models, notes, tmp_path / "shares" / "o.jsonl", batch={"share": share})
        report = predict(settings, opened=tiny)
        waiting.append((report.waiting, report.notes))
    assert waiting == [(3, 3), (1, 5), (0, COUNT)]
    assert files_of(tmp_path / "shares") == files_of(tmp_path / "whole")
    for share in ("0/3", "4/3", "3", "a/b"):
        with pytest.raises(InputError, match="no share of the notes"):
            predict(batch_settings(models, notes, tmp_path / "x", batch={"share": share}), opened=tiny)


@pytest.mark.parametrize("writer", ["jsonl", "brat"])
def test_a_full_disk_stops_cleanly_and_the_run_goes_on_later(models, tiny, notes, tmp_path, writer):
    whole = batch_settings(models, notes, tmp_path / "whole" / "o", writer=writer)
    predict(whole, opened=tiny)
    settings = batch_settings(models, notes, tmp_path / "full" / "o", writer=writer)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = set()
    for limit in range(100, 6000, 450):  # so little room that some write fails: in a part, in the output, in the ledger
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            predict(settings, opened=tiny)
            break
        except InputError as error:
            assert "no room to write" in str(error) and "run the same command again" in str(error)
            sizes.add(len(list(PartsFolder(settings.out).path.glob("*.jsonl"))))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not settings.out.exists()
        left = [name for name in files_of(settings.out.parent) if re.search(r"[0-9a-f]{16}\.part", name)]
        assert not left
    assert files_of(whole.out.parent) == files_of(settings.out.parent) and 0 in sizes


def test_no_room_for_the_parts_leaves_nothing(models, tiny, notes, tmp_path):
    settings = batch_settings(models, notes, tmp_path / "o.jsonl")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with patch.object(PartsFolder, "commit", side_effect=full), pytest.raises(InputError, match="No space left"):
        predict(settings, opened=tiny)
    assert files_of(tmp_path) == {"notes.jsonl": notes.read_bytes()}
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    with patch.object(PartsFolder, "commit", side_effect=denied), pytest.raises(PermissionError):
        predict(settings, opened=tiny)


def test_names_that_come_again_in_another_shard_are_found_before_anything_is_answered(models, tiny, tmp_path):
    source = write_lines(tmp_path / "notes.jsonl", 7)
    source.write_text(source.read_text() + json.dumps({"id": "N2", "text": "Twice."}) + "\n")
    with patch.object(LocalEngine, "answers", side_effect=AssertionError), pytest.raises(InputError, match="'N2'"):
        predict(batch_settings(models, source, tmp_path / "o", writer="brat"), opened=tiny)
    assert files_of(tmp_path) == {"notes.jsonl": source.read_bytes()}
    assert predict(batch_settings(models, source, tmp_path / "o.jsonl"), opened=tiny).notes == 8


def test_a_folder_of_notes_that_holds_the_output_is_read_without_it(models, tiny, tmp_path):
    for number in range(5):
        (tmp_path / f"n{number}.txt").write_text(note_text(number))
    settings = batch_settings(models, tmp_path, tmp_path / "o", writer="brat", batch={"shard": 2})
    stop(settings, tiny, 1)
    predict(settings, opened=tiny)
    assert len(list((tmp_path / "o").glob("*.ann"))) == 5
