"""``clinprompt bank`` as a user types it: what it says, its JSON, its exit codes and its one paragraph."""

from __future__ import annotations

import json

import pytest
import torch

from clinprompt.prompts.card import BackboneIdentity, PromptCard
from clinprompt.prompts.prompt_file import SoftPrompt, save_prompt
from clinprompt.tasks.catalog import load_task

IDENTITY = BackboneIdentity(name="tiny", fingerprint="f" * 16, tokenizer="t" * 16, hidden=6)
CARD = PromptCard(
    name="medications", method="mpt", placement="suffix", length=4, trainable=24, backbone=IDENTITY,
    template="markers", template_hash="0" * 16, task=load_task("medications"),
)  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, changes in enumerate(({}, {}, {"placement": "prefix"}, {"method": "fine-tuning"})):
        save_prompt(
            tmp_path / f"p{number}.safetensors", SoftPrompt(torch.full((4, 6), number), CARD.model_copy(update=changes))
        )
    (tmp_path / "key").write_text("k" * 40)
    (tmp_path / "other-key").write_text("o" * 40)
    return tmp_path


def told(clinprompt, *words):
    ended = clinprompt("bank", *words, "--json")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def refused(clinprompt, *words):
    ended = clinprompt("bank", *words)
    assert ended.code == 2 and "Traceback" not in ended.err and ended.err.count("error: ") == 1
    return " ".join(ended.err.split())


def test_the_life_of_a_prompt(place, clinprompt):
    assert told(clinprompt, "add", "bank", "p0.safetensors")["added"][0]["promoted"]
    said = clinprompt("bank", "add", "bank", "p1.safetensors")
    assert said.code == 0 and "added medications@2; medications stays as it is" in said.err
    assert told(clinprompt, "promote", "bank", "medications@2")["prompt"]["version"] == 2
    assert told(clinprompt, "replace", "bank", "medications", "p0.safetensors")["prompt"]["version"] == 3
    assert "medications is again medications@2" in clinprompt("bank", "rollback", "bank", "medications").err
    listed = told(clinprompt, "list", "bank")
    assert [(one["version"], one["promoted"]) for one in listed["prompts"]] == [(1, False), (2, True), (3, False)]
    assert listed["revision"] == 5 and not listed["signed"] and listed["prompts"][0]["card"]["placement"] == "suffix"
    screen = clinprompt("bank", "list", "bank", "medications").out
    assert "medications@2" in screen and "suffix" in screen
    assert [one["version"] for one in told(clinprompt, "remove", "bank", "medications@1")["removed"]] == [1]
    assert told(clinprompt, "verify", "bank")["differences"] == []
    assert told(clinprompt, "add", "bank", "p2.safetensors", "--name", "before")["added"][0]["name"] == "before"


def test_faults_of_the_user_are_one_paragraph(place, clinprompt):
    assert "no bank here" in refused(clinprompt, "list", "bank")
    told(clinprompt, "add", "bank", "p0.safetensors")
    assert "Did you mean medications" in refused(clinprompt, "promote", "bank", "medication@1")
    assert "its placement is prefix, theirs is suffix" in refused(clinprompt, "add", "bank", "p2.safetensors")
    for words in (("add", "bank"), ("replace", "bank", "medications")):
        assert "of no use alone" in refused(clinprompt, *words, "p3.safetensors")
    assert "no prompt file" in refused(clinprompt, "add", "bank", "none.safetensors")
    assert "one name" in refused(clinprompt, "add", "bank", "p0.safetensors", "p1.safetensors", "--name", "x")
    assert "before medications@1" in refused(clinprompt, "rollback", "bank", "medications")


def test_differences_are_told_one_a_line(place, clinprompt):
    told(clinprompt, "add", "bank", "p0.safetensors", "p1.safetensors")
    (place / "bank" / "medications@1.safetensors").write_bytes(b"other")
    (place / "bank" / "medications@2.safetensors").unlink()
    (place / "bank" / "notes.txt").write_text("x")
    ended = clinprompt("bank", "verify", "bank")
    assert ended.code == 2 and "3 files of the bank" in ended.err
    for kind, name in (("changed", "medications@1"), ("missing", "medications@2"), ("extra", "notes.txt")):
        assert [line for line in ended.err.splitlines() if line.startswith(f"{kind}: {name}")]
    ended = clinprompt("bank", "verify", "bank", "--json")
    assert ended.code == 2 and [one["kind"] for one in json.loads(ended.out)["differences"]] == [
        "changed", "missing", "extra"
    ]  # fmt: skip
    ended = clinprompt("predict", ".", "-p", "bank:medications", "-o", "out")
    assert ended.code == 2 and "not the one that the manifest names" in " ".join(ended.err.split())


def test_signing(place, clinprompt):
    told(clinprompt, "add", "bank", "p0.safetensors")
    assert "not signed" in clinprompt("bank", "verify", "bank").err
    assert told(clinprompt, "sign", "bank", "--key", "key")["signature"]["algorithm"] == "hmac-sha256"
    assert "not checked: no --key given" in clinprompt("bank", "verify", "bank").err
    found = told(clinprompt, "verify", "bank", "--key", "key")
    assert found["signed"] and found["checked"]
    assert "the bank is signed" in refused(clinprompt, "add", "bank", "p1.safetensors")
    assert "signed with the key" in refused(clinprompt, "add", "bank", "p1.safetensors", "--key", "other-key")
    told(clinprompt, "add", "bank", "p1.safetensors", "--key", "key")
    assert told(clinprompt, "list", "bank", "--key", "key")["signed"]
    (place / "key").write_text("short")
    assert "5 bytes" in refused(clinprompt, "sign", "bank", "--key", "key")
    for prompt, key, word in (("bank:medications", "other-key", "signed with the key"),
                              ("p0.safetensors", "other-key", "outside a bank"),
                              ("bank:medicatons", None, "Did you mean medications")):  # fmt: skip
        words = ("predict", ".", "--reader", "plain", "-p", prompt, "-o", "out", *(("--bank-key", key) if key else ()))
        ended = clinprompt(*words)
        assert ended.code == 2 and word in " ".join(ended.err.split()), ended.err
