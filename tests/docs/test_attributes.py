"""The page on attributes: its task files load and its import commands do what they say."""

from __future__ import annotations

import re
import shlex
import sys

import yaml

from clinprompt.cli import main
from clinprompt.stages.prepared import open_prepared
from clinprompt.tasks.catalog import load_task, task_from
from tests.made_notes import write_notes


def page(repository):
    return (repository / "docs" / "guides" / "attributes.md").read_text(encoding="utf-8")


def test_both_task_files_are_whole(repository):
    blocks = re.findall(r"```yaml\n(.*?)```", page(repository), flags=re.DOTALL)
    together, alone = (task_from(yaml.safe_load(block), where="the page") for block in blocks)
    assert list(together.forms()) == ["problem", "problem, absent", "problem, possible"]
    assert alone.about is not None and alone.labels == together.attributes["assertion"].values


def test_the_import_commands_make_both_tasks(repository, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for number, file in enumerate(sorted(write_notes(tmp_path / "notes").glob("*.ann"))):
        file.write_text(file.read_text() + ("A1\tNegated T1\n" if number % 2 else ""))
    lines = [line for line in page(repository).splitlines() if line.startswith("clinprompt data import")]
    for line in lines:
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        try:
            main.run()
        except SystemExit as ended:
            assert not ended.code, capsys.readouterr().err
    assert open_prepared(tmp_path / "tasks/asserted").task.attributes["assertion"].values == ("present", "absent")
    assert open_prepared(tmp_path / "tasks/assertion-of").task.labels == ("present", "absent")


def test_the_tasks_that_it_names_ask_for_attributes(repository):
    listed = page(repository).split("## Tasks of the catalogue")[1].split("##")[0]
    names = re.findall(r"`([a-z0-9-]+)`", listed)
    assert len(names) == 7
    assert all(task.attributes or task.about for task in map(load_task, names))
