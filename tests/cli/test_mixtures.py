"""Methods that weigh sources as a user meets them: teachers in, a plain prompt and its weights out."""

from __future__ import annotations

import json
import re

import pytest

from tests.made_backbones import tiny_folder
from tests.made_notes import write_notes

TEACH = ("--set", "budget.steps=1", "--set", "prompt.length=4")
ADAPT = ("--set", "method.budget.steps=1", "--set", "prompt.length=4", "--shots", "2")


def plain(text):
    return re.sub(r"[\s│]+", " ", text)


@pytest.fixture
def here(tmp_path, monkeypatch, clinprompt):
    """A folder with a tiny backbone and its notes as three tasks."""
    monkeypatch.chdir(tmp_path)
    tiny_folder(tmp_path / "llama")
    write_notes(tmp_path / "notes", 8)
    for name in ("drugs", "doses", "meds"):
        made = clinprompt("data", "import", "notes", "-o", name, "--kind", "entities")
        assert made.code == 0, made.err
    return tmp_path


def test_from_teachers_to_a_prompt_that_predicts(here, clinprompt):
    taught = clinprompt("teach", "drugs", "doses", "-b", "llama", *TEACH, "--json")
    assert taught.code == 0, taught.err
    run = json.loads(taught.out)["run"]
    made = clinprompt(
        "adapt", "meds", "-b", "llama", "--method", "attention", "--teachers", run, "--out", "bank", *ADAPT
    )
    assert made.code == 0, made.err
    assert re.search(r"meds/k2-d0: weights: (drugs|doses) 0\.5\d, (drugs|doses) 0\.\d\d", plain(made.out + made.err))
    assert "among the sources" not in plain(made.out + made.err)
    again = ("adapt", "drugs", "meds", "-b", "llama", "--method", "spot", "--teachers", run, "--shots", "0")
    known = clinprompt(*again)
    assert known.code == 0 and "note: drugs: among the sources of the teachers" in plain(known.err), known.err
    write_notes(here / "new", 1, annotated=False)
    told = clinprompt(
        "predict", "new", "-p", "bank/meds.safetensors", "-b", "llama", "-o", "predicted", "--set", "answer_tokens=2"
    )
    assert told.code == 0 and (here / "predicted" / "n0.ann").is_file(), told.err


def test_a_target_that_the_metaprompt_knows_is_told_of(here, clinprompt):
    made = clinprompt("data", "import", "notes", "-o", "medications", "--kind", "entities")
    assert made.code == 0, made.err
    made = clinprompt("adapt", "meds", "medications", "--shots", "0")
    assert made.code == 0 and "note: medications: among the sources of the metaprompt" in plain(made.err), made.err


def test_experts_of_ones_own_need_no_metaprompt(here, clinprompt):
    own = ("--set", "method.experts=2", "--set", "method.rank=2", "--set", "method.segments=2")
    made = clinprompt("adapt", "meds", "-b", "llama", "--method", "routing", *own, *ADAPT)
    assert made.code == 0, made.err
    number = r"0\.\d\d"
    weights = rf"weights: expert [12] {number} / {number}, expert [12] {number} / {number}"
    assert re.search(weights, plain(made.out + made.err))


def test_sources_in_words_have_the_embedded_metaprompt_too(tmp_path, monkeypatch, clinprompt):
    monkeypatch.chdir(tmp_path)
    failed = clinprompt("adapt", "nowhere", "--method", "routing", "--set", "method.experts=sources")
    assert failed.code == 2 and "nowhere" in failed.err and "metaprompt" not in failed.err


def test_what_is_missing_is_said_in_one_paragraph(here, clinprompt):
    for arguments, said in (
        (("attention",), "the run in which `clinprompt teach` made the sources' prompts"),
        (("attention", "--teachers", "meds"), "not a finished run of `clinprompt teach`"),
        (("routing",), "method routing with `experts: sources`"),
    ):
        failed = clinprompt("adapt", "meds", "-b", "llama", "--method", *arguments, *ADAPT)
        assert failed.code == 2 and said in plain(failed.err) and "Traceback" not in failed.err
