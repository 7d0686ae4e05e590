from __future__ import annotations

import json

import pytest

from clinprompt.prompts import bank as bank_module
from clinprompt.prompts.bank import PromptBank
from clinprompt.prompts.manifest import FILE
from tests.made_banks import edited, names, refused


def test_a_signed_bank_is_changed_with_its_key_only(bank, prompt_file):
    key, other = b"k" * 32, b"o" * 32
    bank.add([prompt_file()])
    assert bank.manifest.signature is None
    assert "not signed" in refused(PromptBank(bank.folder, key=key).listed)
    PromptBank(bank.folder).sign(key)
    assert names(bank) == [("medications@1", True)] and bank.manifest.signature is not None
    for call in (lambda: bank.add([prompt_file()]), lambda: bank.remove("medications")):
        assert "the bank is signed" in refused(call)
    trusted = PromptBank(bank.folder, key=key)
    trusted.replace("medications", prompt_file(plus=1.0))
    assert trusted.find("medications").version == 2 and PromptBank(bank.folder, key=key).verify() == []
    assert "signed with the key" in refused(PromptBank(bank.folder, key=other).listed)
    edited(bank, lambda whole: whole["prompts"]["medications"].update(promoted=[1]))
    assert names(bank)[0] == ("medications@1", True)  # without the key nobody can tell
    for call in (trusted.listed, trusted.verify, lambda: trusted.open("medications")):
        assert "changed after it was signed" in refused(call)


def test_only_a_sound_bank_is_signed(bank, prompt_file):
    bank.add([prompt_file()])
    path = bank.find("medications").path
    path.write_bytes(path.read_bytes() + b"x")
    assert "changed: medications@1" in refused(bank.sign, b"k" * 32)
    assert bank.manifest.signature is None


def test_a_forged_bank_is_not_made_a_true_one_by_signing_it_again(bank, prompt_file):
    bank.add([prompt_file()])
    key = b"k" * 32
    bank.sign(key)
    forged = json.loads((bank.folder / FILE).read_text())
    forged["revision"] += 1
    (bank.folder / FILE).write_text(json.dumps(forged))
    assert "changed after it was signed" in refused(PromptBank(bank.folder).sign, key)
    assert "changed after it was signed" in refused(PromptBank(bank.folder, key=key).listed)


def test_what_the_manifest_names_stays_when_the_writer_is_stopped_behind_it(bank, prompt_file, monkeypatch):
    bank.add([prompt_file()])
    true = bank_module.write_manifest

    def stopped(*arguments, **options):
        true(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(bank_module, "write_manifest", stopped)
    with pytest.raises(KeyboardInterrupt):
        bank.replace("medications", prompt_file(plus=1.0))
    monkeypatch.undo()
    assert PromptBank(bank.folder).find("medications").version == 2
    assert PromptBank(bank.folder).verify() == []
