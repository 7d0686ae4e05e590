"""Encoders as a user meets them: notes in, a prompt, scores, notes out, and a clear word where it cannot be."""

import json
import re
import shutil
from pathlib import Path

import pytest

from clinprompt.backbones.tiny import write_tiny
from clinprompt.stages.adapted import read_adapted
from tests.made_backbones import change_json, tiny_folder
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

    for more in (("--decoding", "choices"), ("--free",), ("--set", "decoding.stop=[e]")):
        refused = clinprompt(*command, *more)
        assert refused.code == 2 and "for decoders, which write answers" in plain(refused.err), refused.err

    bank = ("-p", "bank/links.safetensors", "-p", "bank/meds.safetensors")
    for more in (("--decoding", "beams"), ("--free",), ("--answer-tokens", "8")):
        refused = clinprompt("predict", "new", *bank, "-b", "bert", "-o", "predicted", *more)
        assert refused.code == 2 and "for decoders, which write answers" in plain(refused.err), refused.err
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


def test_trained_weights_are_scored_and_read_notes_from_their_run_but_give_no_prompt(here, clinprompt):
    for method in ("fine-tuning", "hard-prompt", "soft-prompt-unfrozen"):
        command = ("adapt", "meds", "-b", "roberta", "--method", method, "--out", "bank", *SHORT)
        adapted = clinprompt(*command)
        assert adapted.code == 0, adapted.err
        said = plain(adapted.out + adapted.err)
        assert "nothing was copied to bank of meds/full: the trained weights stay in the run's folder" in said
        assert "meds/full: answers begin at a probability of " in said and not (here / "bank").exists()
        made = json.loads(clinprompt(*command, "--json").out)
        assert made["prompts"] == [] and made["cells"] == 1
        [cell] = read_adapted(Path(made["run"]) / "outputs")
        assert cell.rate == 1e-4
        scored = clinprompt("evaluate", "meds", "-b", "roberta", "-p", made["run"], "--set", "resamples=100")
        assert scored.code == 0 and method in scored.out + scored.err
        predicted = clinprompt("predict", "new", "-p", made["run"], "-b", "roberta", "-o", f"predicted/{method}")
        assert predicted.code == 0 and (here / f"predicted/{method}/n0.ann").exists(), predicted.err
    [*_, beside] = sorted((here / "runs").glob("adapt/*/outputs/meds/full/prompt.safetensors"))
    shutil.copy(beside, here / "alone.safetensors")
    for prompts in (("-p", "alone.safetensors"), ("-p", str(beside), "-p", str(beside))):
        refused = clinprompt("predict", "new", *prompts, "-b", "roberta", "-o", "refused")
        assert refused.code == 2 and "belongs to weights that were trained with it" in plain(refused.err)
        assert "Traceback" not in refused.err and not (here / "refused").exists()


def test_every_command_tells_which_families_there_are(here, clinprompt):
    change_json(here / "bert" / "config.json", model_type="distilbert", architectures=["DistilBertForMaskedLM"])
    for command in (("check",), ("adapt", "meds", "--method", "prompt-tuning")):
        refused = clinprompt(*command, "-b", "bert")
        assert refused.code == 2 and "(model type distilbert)" in plain(refused.err)
        assert "deberta-v2, electra, megatron-bert" in plain(refused.err)


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
    llama = ("-p", "bank/llama/meds.safetensors", "-b", "llama")
    for command in (("predict", "new", "-o", "predicted", "--flat"), ("evaluate", "meds", "--flat"),
                    ("evaluate", "meds", "--set", "decoding.gold_heads=true")):  # fmt: skip
        refused = clinprompt(*command, *llama)
        assert refused.code == 2 and "for encoders, and llama is a decoder" in plain(refused.err), refused.err


@pytest.mark.parametrize(
    ("backbone", "method", "more", "said"),
    [
        ("bert", "instruction", (), "needs a model that writes"),
        ("llama", "hard-prompt", (), "is a method for encoders"),
        ("llama", "soft-prompt-unfrozen", (), "is a method for encoders"),
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
