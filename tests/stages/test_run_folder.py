from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from clinprompt.errors import InputError
from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.run_folder import RunFolder, open_run


class Settings(BaseModel):
    steps: int = 3
    rate: float = 1e-4
    corpus: Path = Path("corpus")


def begin(tmp_path: Path, **changes: object) -> RunFolder:
    corpus = tmp_path / "corpus"
    if not corpus.exists():
        corpus.mkdir()
        (corpus / "notes.jsonl").write_text("{}\n")
    given = {
        "stage": "teach", "version": 1, "config": Settings(corpus=corpus), "inputs": {"corpus": corpus}, **changes,
    }  # fmt: skip
    return open_run(tmp_path / "runs", **given)


def finish(run: RunFolder, text: str = "x") -> RunFolder:
    (run.outputs / "prompt.txt").write_text(text)
    run.finish({"f1": 71.5})
    return run


def test_a_run_writes_what_went_in_and_done_last(tmp_path):
    with begin(tmp_path) as run:
        assert run.state == "fresh" and not (run.path / "done.json").exists()
        run.metric(step=1, loss=0.5)
        run.metric(step=2, loss=float("nan"))
        finish(run)
    assert yaml.safe_load((run.path / "config.yaml").read_text())["rate"] == 1e-4
    entry = json.loads((run.path / "inputs.json").read_text())["inputs"]["corpus"]
    assert entry["path"] == "../corpus" and entry["files"] == 1 and len(entry["sha256"]) == 64
    (session,) = json.loads((run.path / "environment.json").read_text())["sessions"]
    assert session["device"] == "cpu" and session["cores"] >= 1 and "numpy" in session["packages"]
    assert run.metrics() == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": "nan"}]
    assert run.summary() == {"f1": 71.5}
    assert json.loads((run.path / "done.json").read_text())["outputs"]["files"] == 1
    assert "finished" in (run.path / "log.txt").read_text()


def test_the_same_inputs_give_the_same_folder_and_a_done_run_is_reused(tmp_path):
    first = finish(begin(tmp_path))
    again = begin(tmp_path)
    assert again.done and again.path == first.path and again.summary() == {"f1": 71.5}


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"stage": "adapt"},
        {"config": Settings(steps=4)},
        {"fingerprints": {"backbone": "a17e"}},
        {"inputs": {}},
    ],
)
def test_any_other_input_gives_another_folder(tmp_path, changes):
    with begin(tmp_path) as first, begin(tmp_path, **changes) as other:
        assert first.path != other.path


def test_what_is_kept_where_renames_no_run(tmp_path):
    plain = BackboneSettings()
    first = finish(begin(tmp_path, config=plain))
    for changes in ({"note_memory": 7000}, {"note_folder": tmp_path / "notes"}):
        again = begin(tmp_path, config=plain.model_copy(update=changes))
        assert again.done and again.path == first.path
    assert not begin(tmp_path, config=plain.model_copy(update={"dtype": "bfloat16"})).done


def test_content_counts_and_place_does_not(tmp_path):
    ids = []
    for name, text in (("a", "one"), ("b", "one"), ("c", "two")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "note.txt").write_text(text)
        (folder / ".hidden").write_text(name)
        with begin(tmp_path, config=Settings(corpus=folder), inputs={"corpus": folder}) as run:
            ids.append(run.id)
    assert ids[0] == ids[1] != ids[2]


def test_the_name_of_a_file_counts(tmp_path):
    ids = set()
    for name in ("train.txt", "test.txt"):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text("same")
        with begin(tmp_path, config=Settings(), inputs={"corpus": folder}) as run:
            ids.add(run.id)
    assert len(ids) == 2


def test_an_error_leaves_an_interrupted_run_without_its_message(tmp_path):
    with pytest.raises(RuntimeError), begin(tmp_path) as run:
        run.metric(step=1)
        raise RuntimeError("Mr Smith has diabetes")
    log = (run.path / "log.txt").read_text()
    assert "RuntimeError" in log and "Smith" not in log
    assert not (run.path / "done.json").exists()
    with begin(tmp_path) as resumed:
        assert resumed.state == "interrupted" and resumed.metrics() == [{"step": 1}]
        assert len(json.loads((resumed.path / "environment.json").read_text())["sessions"]) == 2
        resumed.keep_metrics(lambda row: row["step"] < 1)
        assert resumed.metrics() == []


def test_force_keeps_the_old_run_until_the_new_one_is_done(tmp_path):
    old = finish(begin(tmp_path), "old")
    aside = old.path.parent / f".{old.id}.previous"
    for _ in range(2):  # a second attempt must not lose the finished run either
        with begin(tmp_path, force=True) as run:
            assert run.state == "fresh" and not (run.outputs / "prompt.txt").exists()
            assert (aside / "outputs" / "prompt.txt").read_text() == "old"
    finish(begin(tmp_path), "new")
    assert not aside.exists()
    assert (old.outputs / "prompt.txt").read_text() == "new"


def test_two_workers_cannot_share_a_run(tmp_path):
    with begin(tmp_path), pytest.raises(InputError, match=f"process {os.getpid()} is working"):
        begin(tmp_path)
    with begin(tmp_path) as run:
        assert run.state == "interrupted"


def test_checkpoints_go_when_the_run_is_done(tmp_path):
    with begin(tmp_path) as run:
        run.checkpoints.mkdir()
        (run.checkpoints / "step-1").write_text("x")
        run.finish()
    assert not run.checkpoints.exists() and begin(tmp_path).done


def test_an_input_must_exist_and_be_finished(tmp_path):
    with pytest.raises(InputError, match="'corpus' does not exist"):
        begin(tmp_path, inputs={"corpus": tmp_path / "nowhere"})
    with begin(tmp_path) as teacher:
        pass
    with pytest.raises(InputError, match="'teachers' is a run that has not finished"):
        begin(tmp_path, stage="distill", inputs={"teachers": teacher.path})


def test_of_a_run_only_the_outputs_count(tmp_path):
    teacher = finish(begin(tmp_path), "same")
    inputs = {"config": Settings(), "inputs": {"teachers": teacher.path}}
    with begin(tmp_path, stage="distill", **inputs) as first:
        pass
    finish(begin(tmp_path, force=True), "same")  # another day, another log: the same prompts
    with begin(tmp_path, stage="distill", **inputs) as second:
        assert second.id == first.id
    finish(begin(tmp_path, force=True), "other")
    with begin(tmp_path, stage="distill", **inputs) as third:
        assert third.id != first.id


def test_a_killed_process_leaves_a_run_to_resume(tmp_path):
    script = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from pydantic import BaseModel
        from clinprompt.stages.run_folder import open_run

        class Settings(BaseModel):
            steps: int = 3

        run = open_run(Path(sys.argv[1]), stage="teach", version=1, config=Settings(), inputs={})
        run.metric(step=1)
        with (run.path / "metrics.jsonl").open("a") as stream:
            stream.write('{"step": 2, "lo')
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    source = str(Path(__file__).parents[2] / "src")
    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env={**os.environ, "PYTHONPATH": source}, check=False
    )
    assert ended.returncode == -signal.SIGKILL

    class Settings(BaseModel):
        steps: int = 3

    (lock,) = (tmp_path / "teach").glob(".*.lock")
    assert lock.read_text().isdigit()  # the dead process still has its name on the door
    with open_run(tmp_path, stage="teach", version=1, config=Settings(), inputs={}) as run:
        assert run.state == "interrupted" and not (run.path / "done.json").exists()
        assert run.metrics() == [{"step": 1}]
        assert (run.path / "metrics.jsonl").read_text() == '{"step": 1}\n'
    assert not lock.exists()
