"""Questions, inference and summaries that are given on application only, on synthetic files of the same layout."""

from __future__ import annotations

import pytest

from clinprompt.errors import InputError
from clinprompt.schema.example import Split, TaskKind
from clinprompt.stages.prepare import read_parts
from clinprompt.tasks.catalog import CATALOG_ROOT, load_task
from clinprompt.tasks.formulations.generative import formulate, read_back
from clinprompt.tasks.template import TEMPLATES

from ..made_answer_corpora import bioasq, emrqa, mednli, mimic, progress_notes, radnli
from ..made_span_corpora import i2b2_2010

GATED = sorted(
    path.stem
    for path in (CATALOG_ROOT / "gated").glob("*.yaml")
    if load_task(path).kind not in (TaskKind.entities, TaskKind.relations)  # those: test_gated_catalog.py
)


LAYOUTS = {
    "i2b2-2010-assertion-of-problem": i2b2_2010,
    "bioasq-factoid": bioasq,
    "bioasq-yesno": bioasq,
    "emrqa": emrqa,
    "mednli": mednli,
    "mimic-cxr-impression": mimic,
    "n2c2-2022-progress-notes": progress_notes,
    "radnli": radnli,
}


def test_every_gated_task_is_tried():
    assert set(LAYOUTS) == set(GATED)


@pytest.mark.parametrize("name", GATED)
def test_without_the_data_one_paragraph_says_where_to_apply(name, tmp_path):
    task = load_task(name)
    assert task.name == name and task.licence and task.description and task.group and task.data and task.data.apply
    with pytest.raises(InputError) as caught:
        read_parts(task, data_root=tmp_path)
    message = str(caught.value)
    assert "://" in message and task.data.root in message and "\n" not in message


@pytest.mark.parametrize("name", GATED)
def test_files_of_the_same_layout_are_read_and_written_as_answers(name, tmp_path):
    LAYOUTS[name](tmp_path)
    task = load_task(name)
    parts, _ = read_parts(task, data_root=tmp_path)
    assert set(parts) == set(Split)
    examples = [example for part in parts.values() for example in part]
    groups = [{example.group for example in part} for part in parts.values()]
    assert sum(map(len, groups)) == len(set.union(*groups))
    said = {example.answer.label for example in examples}
    assert said == ({"present", "absent"} if task.about else set(task.labels) or {None})
    for example in examples:
        found = read_back(formulate(example, task, TEMPLATES["plain"]).answer, example, task).answer
        assert (found.label, found.text) == (example.answer.label, example.answer.text)


def test_pairs_about_one_premise_are_one_group(tmp_path):
    mednli(tmp_path)
    parts, _ = read_parts(load_task("mednli"), data_root=tmp_path)
    assert [example.group for example in parts[Split.test]] == ["test-0"] * 3 + ["test-3"] * 3


def test_reports_of_one_patient_are_one_group(tmp_path):
    mimic(tmp_path)
    parts, _ = read_parts(load_task("mimic-cxr-impression"), data_root=tmp_path)
    found = [example for part in parts.values() for example in part]
    assert len(found) == 60 + 2 and len({example.group for example in found}) == 60
