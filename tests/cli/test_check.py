from __future__ import annotations

import json
import re

import pytest
from transformers import AutoModelForCausalLM

from clinprompt.backbones import memory
from clinprompt.training.method import METHODS
from tests.made_backbones import tiny_folder

GIB = 2**30


@pytest.fixture
def free(monkeypatch):
    """Sets the free memory of every device, in GiB."""

    def put(gib: float) -> None:
        monkeypatch.setattr(memory, "free_memory", lambda device: int(gib * GIB))

    put(1000)
    return put


def told(ended):
    return json.loads(ended.out)


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch):
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *_, **__: pytest.fail("weights were read"))


def test_a_folder_and_a_published_name(clinprompt, free, tmp_path):
    folder = tiny_folder(tmp_path / "tiny")
    ended = clinprompt("check", "--backbone", str(folder), "--members", "3", "--length", "5", "--json")
    found = told(ended)
    assert ended.code == 0 and found["fits"] and found["remedies"] == []
    assert found["parts_bytes"]["prompts, gradients, optimiser"] == 4 * 3 * 5 * 32 * 4
    assert found["total_bytes"] == sum(found["parts_bytes"].values())
    ended = clinprompt("check", "--backbone", "Llama-3.1-8B", "--predict")
    assert ended.code == 0 and "8,030,261,248 parameters" in ended.out and "14.96" in ended.out
    assert "It fits" in ended.err


def test_what_does_not_fit_says_what_would_and_it_does(clinprompt, free):
    free(12)
    asked = ("check", "--backbone", "Llama-3.1-8B", "--dtype", "bfloat16", "--json")
    ended = clinprompt(*asked)
    found = told(ended)
    assert ended.code == 2 and not found["fits"]
    [remedy] = found["remedies"]
    mended = clinprompt(*asked, *remedy.split())
    assert mended.code == 0 and told(mended)["fits"]


def test_single_changes_are_named_one_by_one(clinprompt, free):
    free(28)
    asked = ("check", "--backbone", "Llama-3.1-8B", "--members", "21", "--json")
    found = told(clinprompt(*asked))
    assert found["remedies"] == ["--batch 4", "--recompute", "--weights int8", "--weights nf4"]
    assert all(told(clinprompt(*asked, *remedy.split()))["fits"] for remedy in found["remedies"])


def test_what_can_never_fit_says_how_much_would_be_needed(clinprompt, free):
    free(10)
    ended = clinprompt("check", "--backbone", "gpt-oss-20b", "--placement", "prefix")
    assert ended.code == 2
    assert (
        "GiB of free memory and --placement suffix --batch 1 --recompute." in ended.err and "--weights" not in ended.err
    )


def test_weights_that_are_quantised_already_and_unknown_names_are_refused(clinprompt, free):
    ended = clinprompt("check", "--backbone", "gpt-oss-20b", "--weights", "nf4")
    assert ended.code == 2 and "quantised already (mxfp4)" in ended.err
    assert clinprompt("check", "--backbone", "no-such-backbone").code == 2
    assert clinprompt("check", "--device", "warp").code == 2


def test_the_dtype_halves_the_weights(clinprompt, free, tmp_path):
    folder = str(tiny_folder(tmp_path / "tiny"))
    single, half = (
        told(clinprompt("check", "-b", folder, "--dtype", dtype, "--json")) for dtype in ("float32", "bfloat16")
    )
    assert single["parts_bytes"]["weights"] == 2 * half["parts_bytes"]["weights"] == 4 * single["parameters"]


def test_an_encoder_frozen_and_unfrozen(clinprompt, free):
    asked = ("check", "--backbone", "GatorTron-3.9B", "--length", "32", "--tokens", "256", "--json")
    frozen, unfrozen = (told(clinprompt(*asked, *more)) for more in ((), ("--unfrozen",)))
    assert frozen["parameters"] == 3_906_242_560 and frozen["parts_bytes"]["weights"] == 2 * 3_906_242_560
    gradients = "weights' gradients, optimiser, copies"
    assert unfrozen["parts_bytes"][gradients] == 5 * unfrozen["parts_bytes"]["weights"]
    assert gradients not in frozen["parts_bytes"]
    free(20)
    ended = clinprompt(*asked, "--unfrozen")
    assert ended.code == 2 and told(ended)["remedies"] == ["--frozen"]
    screen = clinprompt("check", "--backbone", "GatorTron-345M").out
    assert "354,217,984 parameters" in screen and "keys and values" not in screen


def test_the_network_that_makes_a_prompt_and_prompts_in_every_layer(clinprompt, free):
    asked = ("check", "--backbone", "GatorTron-345M", "--length", "32", "--members", "3", "--json")
    plain, lstm, every = (
        told(clinprompt(*asked, *more))["parts_bytes"]["prompts, heads, gradients, optimiser"]
        for more in ((), ("--encoder", "lstm"), ("--layers", "every"))
    )
    assert (lstm - plain) / (3 * 4 * 4 * 1024**2) == pytest.approx(14, rel=0.001)
    assert every - plain == 3 * 4 * 4 * 32 * 1024 * 23
    both = clinprompt(*asked, "--encoder", "mlp", "--layers", "every")
    assert both.code == 2 and "of the input only" in both.err


def test_what_only_the_other_kind_of_backbone_can_do_is_refused(clinprompt, free):
    for more in (("--weights", "nf4"), ("--recompute",)):
        ended = clinprompt("check", "--backbone", "GatorTron-345M", *more)
        assert ended.code == 2 and "full weights and without recomputing" in ended.err
    ended = clinprompt("check", "--backbone", "Llama-3.1-8B", "--unfrozen")
    assert ended.code == 2 and "for encoders" in ended.err
    [recommended] = re.findall(r"--method ([\w-]+)", " ".join(ended.err.split()))
    assert METHODS[recommended].weights == "all" and METHODS[recommended].backbones == "any"
