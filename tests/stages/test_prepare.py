import json

import pytest

from clinprompt.errors import InputError
from clinprompt.schema.example import Split
from clinprompt.stages.configs import PrepareSettings
from clinprompt.stages.prepare import prepare, read_parts
from clinprompt.stages.prepared import open_prepared
from clinprompt.tasks.catalog import load_task
from tests.made_notes import write_notes

TASK = """
name: drugs
kind: entities
codec: entities
instruction: extract drugs.
labels: [drug]
metrics: [span-f1]
licence: ours
data:
  reader: brat
  root: corpus
  label_map: {Drug: drug}
  window: 45
  split: {dev: 0.2, test: 0.3, seed: 3}
  parts: {all: {path: notes}}
"""


@pytest.fixture
def root(tmp_path):
    write_notes(tmp_path / "data" / "corpus" / "notes")
    (tmp_path / "drugs.yaml").write_text(TASK)
    return tmp_path


def settings(root, **more):
    return PrepareSettings(task=str(root / "drugs.yaml"), data_root=root / "data", **more)


def test_a_corpus_becomes_parts_in_the_tasks_labels_and_windows(root):
    run = prepare(settings(root), runs=root / "runs")
    prepared = open_prepared(run.path)
    parts = {split: prepared.part(split) for split in Split}
    assert all(parts.values())
    examples = [example for part in parts.values() for example in part]
    assert {span.label for example in examples for span in example.answer.spans} == {"drug"}
    assert max(len(example.note) for example in examples) <= 45
    assert len({example.document for example in examples}) == 12
    groups = [{example.group for example in part} for part in parts.values()]
    assert sum(map(len, groups)) == 12  # no document in two parts
    assert run.summary()["projection"]["outside"]["Dose"] == 24
    assert prepared.manifest.licence == "ours"


def test_the_same_data_are_reused_and_other_data_or_another_task_are_not(root):
    first = prepare(settings(root), runs=root / "runs")
    before = (first.path / "done.json").read_bytes()
    assert prepare(settings(root), runs=root / "runs").path == first.path
    assert (first.path / "done.json").read_bytes() == before
    file = root / "data" / "corpus" / "notes" / "n3.txt"
    file.write_bytes(file.read_bytes() + b"Home.\n")
    second = prepare(settings(root), runs=root / "runs")
    assert second.path != first.path
    (root / "drugs.yaml").write_text(TASK.replace("extract drugs.", "find drugs."))
    assert prepare(settings(root), runs=root / "runs").path not in (first.path, second.path)


def test_limits_keep_whole_groups_by_name(root):
    prepared = open_prepared(prepare(settings(root, limits={"train": 3}), runs=root / "runs").path)
    whole = open_prepared(prepare(settings(root), runs=root / "runs").path)
    kept = prepared.part(Split.train)
    assert len(kept) == 3
    assert {example.id for example in kept} <= {example.id for example in whole.part(Split.train)}
    assert len(prepared.part(Split.test)) == len(whole.part(Split.test))


def test_what_is_too_long_is_left_out_of_training_and_dev_and_counted(root):
    whole = open_prepared(prepare(settings(root), runs=root / "runs").path)
    every = [example for split in Split for example in whole.part(split)]
    longest = max(len(example.note) for example in every)
    run = prepare(settings(root, limits={"characters": longest - 1}), runs=root / "runs")
    prepared = open_prepared(run.path)
    for split in (Split.train, Split.dev):
        kept = [example for example in whole.part(split) if len(example.note) < longest]
        assert list(prepared.part(split)) == kept
        assert run.summary()["too long"][split.value] == len(whole.part(split)) - len(kept)
    assert list(prepared.part(Split.test)) == list(whole.part(Split.test))
    assert "too long" not in prepare(settings(root, limits={"characters": longest}), runs=root / "runs").summary()


def test_a_limit_that_leaves_nothing_to_train_on_is_refused(root):
    with pytest.raises(InputError, match=r"not one of the \d+ examples of train has at most 1 characters"):
        prepare(settings(root, limits={"characters": 1}), runs=root / "runs")
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        settings(root, limits={"characters": 0})


def test_strict_reading_refuses_labels_outside_the_schema(root):
    task = load_task(root / "drugs.yaml")
    with pytest.raises(InputError, match="'Dose'"):
        read_parts(task, data_root=root / "data", strict=True)


def test_a_missing_corpus_says_where_it_was_looked_for(root):
    with pytest.raises(InputError, match="elsewhere"):
        prepare(settings(root).model_copy(update={"data_root": root / "elsewhere"}), runs=root / "runs")
    assert not list((root / "runs").rglob("done.json"))


def test_a_task_without_data_cannot_be_prepared(root):
    (root / "drugs.yaml").write_text(TASK.partition("data:")[0])
    with pytest.raises(InputError, match="names no data"):
        prepare(settings(root), runs=root / "runs")


def test_a_prepared_folder_that_was_changed_is_refused(root):
    folder = prepare(settings(root), runs=root / "runs").outputs
    (folder / "train.parquet").write_bytes((folder / "test.parquet").read_bytes())
    with pytest.raises(InputError, match="not the one the manifest names"):
        open_prepared(folder).part(Split.train)
    (folder / "task.json").write_text(json.dumps({"name": "x"}))
    with pytest.raises(InputError, match="cannot be read"):
        open_prepared(folder)
    with pytest.raises(InputError, match="no prepared task"):
        open_prepared(root)
