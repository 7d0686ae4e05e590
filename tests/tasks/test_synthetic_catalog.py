"""The synthetic tasks: files load, data are read, answers survive their codec."""

from __future__ import annotations

import pytest

from clinprompt.data.projection import Tally
from clinprompt.data.readers import READERS
from clinprompt.schema.document import Document
from clinprompt.schema.example import Example, TaskKind
from clinprompt.stages.prepare import project_items
from clinprompt.tasks.catalog import CATALOG_ROOT, load_task
from clinprompt.tasks.formulations.generative import formulate, read_back
from clinprompt.tasks.task import Task
from clinprompt.tasks.template import TEMPLATES

from ..annotated import relation_keys, span_keys

NAMES = sorted(path.stem for path in (CATALOG_ROOT / "synthetic").glob("*.yaml"))
TASKS = {name: load_task(name) for name in NAMES}
PARTS = {"train", "dev", "test"}


def part(task: Task, name: str, **limit: int) -> list:
    return READERS[task.data.reader](None, **{**task.data.options, **task.data.parts[name], **limit})


def as_examples(record: Document | Example, task: Task) -> list[Example]:
    return list(project_items(task, [record], tally=Tally(), strict=False))


def test_all_kinds_have_a_source_and_a_far_target():
    names = ("source", "far", "near", "attributes")
    groups = {group: [task for task in TASKS.values() if task.group == group] for group in names}
    assert sum(map(len, groups.values())) == len(TASKS)
    assert {task.kind for task in groups["source"]} == {task.kind for task in groups["far"]} == set(TaskKind)
    assert len(groups["source"]) >= 8 and len(groups["near"]) >= 2
    assert all(task.data.options["site"] == ("A" if task.group == "source" else "B") for task in TASKS.values())


def test_near_targets_have_the_words_of_their_source():
    for name in (name for name in NAMES if TASKS[name].group == "near"):
        near, source = TASKS[name], TASKS[name.removesuffix("-site-b")]
        assert (near.labels, near.verbalizer, near.instruction) == (
            source.labels,
            source.verbalizer,
            source.instruction,
        )


def test_seeds_are_used_once():
    seeds = [options["seed"] for task in TASKS.values() for options in task.data.parts.values()]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("name", NAMES)
def test_parts_have_their_sizes_and_share_no_patient(name):
    task = TASKS[name]
    assert task.name == name and task.licence and task.description
    assert set(task.data.parts) == PARTS
    records = {key: part(task, key) for key in PARTS}
    sizes = {key: len(rows) for key, rows in records.items()}
    assert sizes == {"train": 300 if task.group == "source" else 200, "dev": 60, "test": 100}
    groups = [{record.group for record in rows} for rows in records.values()]
    assert len(set.union(*groups)) == sum(map(len, groups))


@pytest.mark.parametrize("name", NAMES)
def test_gold_answers_survive_the_codec(name):
    task, numbered = TASKS[name], 0
    for example in (made for record in part(task, "test", n=40) for made in as_examples(record, task)):
        pair = formulate(example, task, TEMPLATES["markers"])
        read = read_back(pair.answer, example, task)
        assert read.report.unreadable == read.report.unlocated == 0
        numbered += "#" in pair.answer
        if task.kind is TaskKind.relations:
            assert relation_keys(read.answer) == relation_keys(example.answer)
        elif task.kind is TaskKind.entities:
            assert span_keys(read.answer) == span_keys(example.answer)
            if task.attributes:
                said = [
                    {span.key: span.attributes for span in answer.spans} for answer in (read.answer, example.answer)
                ]
                assert said[0] == said[1]
        else:
            assert (read.answer.label, read.answer.text) == (example.answer.label, example.answer.text)
    # Only "right cyst. right and left mass" must say which "right" begins the discontinuous mention.
    assert numbered <= (6 if name == "located-findings" else 0)
