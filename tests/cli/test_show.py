from __future__ import annotations

import json

import pytest

from clinprompt.cli.show import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_listed_and_every_row_can_be_shown(clinprompt, kind):
    rows = json.loads(clinprompt("show", kind, "--json").out)[kind]
    assert rows
    screen = clinprompt("show", kind).out
    for row in rows:
        assert row["name"] in screen and all(value is not None for value in row.values())
    first = rows[0]["name"]
    assert json.loads(clinprompt("show", kind, first, "--json").out)["name"] == first
    assert first in clinprompt("show", kind, first).out


def test_descriptions_are_sentences():
    for kind in ("readers", "metrics", "codecs"):
        for row in KINDS[kind]():
            assert len(row["what"].split()) > 2, (kind, row["name"])


def test_misspelt_names_get_near_matches(clinprompt):
    ended = clinprompt("show", "metrcs")
    assert ended.code == 2 and "Did you mean metrics or" in ended.err
    ended = clinprompt("show", "metrics", "span-f2")
    assert ended.code == 2 and "span-f1" in ended.err


@pytest.mark.parametrize(("task", "place"), [("mednli", "https://physionet.org"), ("headqa", "https://github.com")])
def test_a_task_says_where_its_data_is_obtained(clinprompt, task, place):
    assert place in json.loads(clinprompt("show", "tasks", task, "--json").out)["obtain"]


def test_the_templates_of_encoders_are_shown_too(clinprompt):
    shown = {
        row["name"]: row["context"] for row in json.loads(clinprompt("show", "templates", "--json").out)["templates"]
    }
    assert {"markers", "reading-label", "reading-words"} <= shown.keys() and "question" in shown["reading-words"]
