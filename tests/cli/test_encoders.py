"""Encoders as a user meets them: notes in, a prompt, scores, notes out, and a clear word where it cannot be."""

import json
import re

import pytest

from clinprompt.backbones.tiny import write_tiny
from tests.made_backbones import tiny_folder
from tests.made_notes import CANARY, write_notes

SHORT = ("--set", "method.budget.steps=2", "--set", "prompt.length=4", "--set", "backbone.head_width=8")


def plain(text):
    return re.sub(r"[\s│]+", " ", text)


@pytest.fixture
def here(tmp_path, monkeypatch, clinprompt):
    """A folder with two encoders, a decoder, notes, and the notes as relations and as entities."""
    monkeypatch.chdir(tmp_path)
    for family in ("bert", "roberta"):
        write_tiny(tmp_path / family, family=family)
    tiny_folder(tmp_path / "llama")
    write_notes(tmp_path / "notes", 8)
    write_notes(tmp_path / "new", 2, annotated=False)
    for name, kind in (("links", "relations"), ("meds", "entities")):
        made = clinprompt("data", "import", "notes", "-o", name, "--kind", kind)
        assert made.code == 0, made.err
    return tmp_path


def test_from_notes_to_notes(here, clinprompt):
    adapted = clinprompt("adapt", "links", "meds", "-b", "bert", "--method", "prompt-tuning", "--out", "bank", *SHORT)
    assert adapted.code == 0, adapted.err
    card = json.loads(clinprompt("show", "prompt", "bank/links.safetensors", "--json").out)
    assert (card["backbone"]["name"], card["template"], card["length"]) == ("bert", "reading-label", 4)
    shown = clinprompt("show", "prompt", "bank/links.safetensors")
    assert shown.code == 0 and "reading-label" in shown.out + shown.err

    command = ("evaluate", "links", "-b", "bert", "-p", "bank/links.safetensors", "--set", "resamples=100")
    scored = clinprompt(*command)
    assert scored.code == 0, scored.err
    told = plain(scored.out + scored.err)
    assert "relation-f1 end to end" in told and "relation-f1 given the heads" in told
    given = plain((ended := clinprompt(*command, "--set", "decoding.gold_heads=true")).out + ended.err)
    assert "relation-f1 given the heads" in given and "end to end" not in given
    [cell] = json.loads(clinprompt(*command, "--json").out)["cells"]
    assert [score["metric"] for score in cell["gold_heads"]] == [score["metric"] for score in cell["scores"]]
    flat = json.loads(clinprompt(*command, "--flat", "--json").out)
    assert flat["run"] != json.loads(clinprompt(*command, "--json").out)["run"]

    bank = ("-p", "bank/links.safetensors", "-p", "bank/meds.safetensors")
    predicted = clinprompt("predict", "new", *bank, "-b", "bert", "-o", "predicted", "--flat")
    assert predicted.code == 0, predicted.err
    assert CANARY not in predicted.out + predicted.err
    assert {file.name for file in (here / "predicted").glob("n*")} == {"n0.txt", "n0.ann", "n1.txt", "n1.ann"}
    for file in (here / "predicted").glob("*.ann"):
        text = file.with_suffix(".txt").read_bytes().decode()
        for line in file.read_text().splitlines():
            if line.startswith("T"):
                _, place, words = line.split("\t")
                _, start, end = place.split()
                assert re.sub(r"\s", " ", text[int(start) : int(end)]) == words


def test_trained_weights_are_scored_but_give_no_prompt(here, clinprompt):
    for method in ("hard-prompt", "soft-prompt-unfrozen"):
        adapted = clinprompt("adapt", "meds", "-b", "roberta", "--method", method, *SHORT, "--json")
        assert adapted.code == 0, adapted.err
        made = json.loads(adapted.out)
        assert made["prompts"] == [] and made["cells"] == 1
        scored = clinprompt("evaluate", "meds", "-b", "roberta", "-p", made["run"], "--set", "resamples=100")
        assert scored.code == 0 and method in scored.out + scored.err
    [*_, beside] = sorted((here / "runs").glob("adapt/*/outputs/meds/full/prompt.safetensors"))
    refused = clinprompt("predict", "new", "-p", str(beside), "-b", "roberta", "-o", "predicted")
    assert refused.code == 2 and "belongs to weights that were trained with it" in plain(refused.err)
    assert "Traceback" not in refused.err and not (here / "predicted").exists()


def test_a_bank_holds_prompts_of_several_backbones_and_none_is_mistaken(here, clinprompt):
    for backbone in ("bert", "roberta", "llama"):
        made = clinprompt(
            "adapt", "meds", "-b", backbone, "--method", "prompt-tuning", "--out", f"bank/{backbone}", *SHORT
        )
        assert made.code == 0, made.err
    for other in ("roberta", "llama"):
        refused = clinprompt("predict", "new", "-p", f"bank/{other}/meds.safetensors", "-b", "bert", "-o", "predicted")
        assert refused.code == 2 and f"was trained for backbone {other}" in plain(refused.err)
    refused = clinprompt("predict", "new", "-p", "bank/bert/meds.safetensors", "-b", "llama", "-o", "predicted")
    assert refused.code == 2 and "do not carry over" in plain(refused.err)


@pytest.mark.parametrize(
    ("backbone", "method", "more", "said"),
    [
        ("bert", "instruction", (), "needs a model that writes"),
        ("llama", "hard-prompt", (), "is a method for encoders"),
        ("llama", "soft-prompt-unfrozen", (), "is a method for encoders"),
        ("llama", "prompt-tuning", ("--set", "method.layers=every"), "prompts in every layer are for encoders"),
        ("bert", "mpt", (), "take a `metaprompt`"),
        ("bert", "prompt-tuning", ("--set", "backbone.template=chat"), "no template named 'chat'"),
        ("bert", "prompt-tuning", ("--set", "method.layers=every", "--set", "method.encoder=lstm"), "leave it out"),
        ("bert", "prompt-tuning", ("--set", "prompt.length=250"), "more than the backbone's context"),
    ],
)
def test_what_cannot_be_is_refused_in_one_paragraph(here, clinprompt, backbone, method, more, said):
    short = () if method == "instruction" else SHORT
    ended = clinprompt("adapt", "meds", "-b", backbone, "--method", method, *short, *more)
    assert ended.code == 2 and said in plain(ended.err), ended.err
    assert "Traceback" not in ended.err and CANARY not in ended.err


def test_check_tells_what_an_encoder_needs(here, clinprompt):
    found = json.loads(clinprompt("check", "-b", "bert", "--json").out)
    assert found
    shown = clinprompt("check", "-b", "bert")
    assert shown.code == 0 and "It fits" in plain(shown.out + shown.err)
    assert clinprompt("doctor").code == 0
