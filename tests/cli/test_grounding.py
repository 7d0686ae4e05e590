"""The switch between grounded and free answers on the command line."""

import json
from unittest.mock import patch

import pytest

from clinprompt.inference.constraint import Unconstrainable
from tests.made_backbones import tiny_folder
from tests.made_notes import write_notes


@pytest.fixture
def bank(tmp_path, monkeypatch, clinprompt):
    monkeypatch.chdir(tmp_path)
    write_notes(tmp_path / "notes")
    tiny_folder(tmp_path / "tiny")
    assert clinprompt("data", "import", "notes", "-o", "data").code == 0
    short = ("--method", "prompt-tuning", "--set", "method.budget.steps=2", "--set", "prompt.length=4")
    assert clinprompt("adapt", "data", *short, "-b", "tiny", "--out", "bank").code == 0
    return tmp_path


def predicted(clinprompt, out, *more):
    ended = clinprompt(
        "predict", "notes", "-p", "bank/data.safetensors", "-b", "tiny", "-o", out, "--answer-tokens", "30",
        "--json", *more,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    return json.loads(ended.out), ended.err


def ambiguous_marks(folder):
    return sum(file.read_text().count("\tambiguous ") for file in folder.glob("*.ann"))


def test_answers_are_grounded_unless_they_shall_be_free(bank, clinprompt):
    found, _ = predicted(clinprompt, "grounded")
    assert set(found["grounding"]) == {"constrained"}
    assert found["decoding"]["unlocated"] == 0
    assert found["decoding"]["unreadable"] <= found["decoding"]["truncated"]  # cut before the first item was whole
    assert not ambiguous_marks(bank / "grounded")
    predicted(clinprompt, "marked", "--mark-ambiguous")
    assert ambiguous_marks(bank / "marked") == found["decoding"]["ambiguous"]
    found, _ = predicted(clinprompt, "free", "--free")
    assert set(found["grounding"]) == {"checked"} and found["decoding"]["unreadable"] > 0
    reason = Unconstrainable("the tokenizer is of a kind without constraints")
    with patch("clinprompt.stages.opened.grammars_of", return_value=reason):
        found, said = predicted(clinprompt, "checked")
    assert set(found["grounding"]) == {"checked"} and "written freely and checked afterwards" in said
    said = " ".join(clinprompt("evaluate", "--help").out.split())
    assert "--grounded" in said and "--free" in said and "--likelihood" in said
