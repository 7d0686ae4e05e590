from __future__ import annotations

import json

import pytest

from tests.made_notes import CANARY, write_notes


@pytest.fixture
def place(tmp_path, monkeypatch, clinprompt):
    monkeypatch.chdir(tmp_path)
    for name, count in (("one", 12), ("two", 16)):
        write_notes(tmp_path / name, count)
        assert clinprompt("data", "import", name, "-o", f"tasks/{name}").code == 0
    return tmp_path


def test_parts_are_compared_and_no_note_is_shown(place, clinprompt):
    ended = clinprompt("data", "overlap", "tasks/one", "tasks/two", "--json")
    assert ended.code == 0 and CANARY not in ended.out + ended.err
    pairs = json.loads(ended.out)["pairs"]
    across = [pair for pair in pairs if pair["first"][0] != pair["second"][0]]
    assert sum(pair["groups"] for pair in across) == sum(pair["normalised"] for pair in across) == 12
    assert not [pair for pair in pairs if pair["first"][0] == pair["second"][0] and pair["groups"]]
    everything = json.loads(clinprompt("data", "overlap", "tasks/one", "tasks/two", "--all", "--json").out)["pairs"]
    assert len(everything) == 15 and len(pairs) < 15
    shown = clinprompt("data", "overlap", "tasks/one", "tasks/two")
    assert "15 pairs of parts compared" in shown.err + shown.out and "one/train" in shown.out


def test_the_share_decides_what_is_near(place, clinprompt):
    def near(share):
        pairs = json.loads(clinprompt("data", "overlap", "tasks/one", "--share", share, "--all", "--json").out)["pairs"]
        return sum(pair["near_second"] for pair in pairs)

    assert near("0.05") >= near("0.5") >= near("1") == 0
    assert clinprompt("data", "overlap", "tasks/one", "--share", "0").code == 2


def test_names_of_the_catalogue_and_names_of_nothing(place, clinprompt):
    ended = clinprompt("data", "overlap", "impression", "impression-site-b", "--json")
    assert ended.code == 0 and json.loads(ended.out)["share"] == 0.5
    refused = clinprompt("data", "overlap", "tasks/three")
    assert refused.code == 2 and "no such folder, and no task" in refused.err and "Traceback" not in refused.err
