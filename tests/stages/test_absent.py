"""Data that is not there is told in one paragraph: what, where from, where to."""

from __future__ import annotations

import pytest

from clinprompt.errors import InputError
from clinprompt.stages.absent import absent_data, absent_of
from clinprompt.stages.prepare import read_parts
from clinprompt.tasks.catalog import catalog, load_task

from ..made_answer_corpora import headqa


def test_public_data_says_where_it_is_obtained(tmp_path):
    task = load_task("headqa")
    with pytest.raises(InputError) as caught:
        read_parts(task, data_root=tmp_path)
    message = str(caught.value)
    assert "https://github.com/aghie/head-qa" in message and str(tmp_path / "headqa") in message and "\n" not in message
    headqa(tmp_path)
    assert absent_data(task.data, data_root=tmp_path) is None
    (tmp_path / "headqa/HEAD_EN/test_HEAD_EN.json").unlink()
    assert "test_HEAD_EN.json" in str(absent_data(task.data, data_root=tmp_path))


def test_all_tasks_are_looked_at(tmp_path):
    found = absent_of(catalog(), data_root=tmp_path)
    assert set(found) == {name for name in catalog() if load_task(name).data.reader != "synthetic"}
    assert all(str(tmp_path) in str(fault) for fault in found.values())
