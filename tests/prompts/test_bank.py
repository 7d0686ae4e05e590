from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from clinprompt.data.lock import Lock
from clinprompt.prompts import bank as bank_module
from clinprompt.prompts.bank import LOCK, PromptBank
from clinprompt.prompts.manifest import FILE
from clinprompt.prompts.prompt_file import load_metaprompt, load_prompt, read_card
from tests.made_banks import edited, names, refused


def test_the_first_version_is_promoted_and_later_ones_wait(bank, prompt_file, vectors, identity):
    [first] = bank.add([prompt_file()])
    assert (first.reference, first.promoted) == ("medications@1", True)
    [second] = bank.add([prompt_file(plus=1.0)])
    assert (second.reference, second.promoted) == ("medications@2", False)
    assert torch.equal(bank.open("medications").vectors, vectors)
    assert torch.equal(bank.open("medications@2", backbone=identity).vectors, vectors + 1)
    assert bank.promote("medications@2").reference == "medications@2"
    assert torch.equal(PromptBank(bank.folder).open("medications").vectors, vectors + 1)
    assert bank.verify() == []


def test_the_card_in_the_bank_has_the_name_and_version_there_and_else_nothing_is_changed(bank, prompt_file, card):
    bank.add([prompt_file()], name="meds-site-b")
    [one] = bank.add([prompt_file(plus=2.0)], name="meds-site-b")
    assert one.card == card.model_copy(update={"name": "meds-site-b", "version": 2})
    assert read_card(one.path) == one.card == bank.open("meds-site-b@2").card
    assert one.bytes == one.path.stat().st_size
    assert one.card.model_dump_json() == read_card(one.path).model_dump_json()  # the order of mappings too


def test_replace_adds_and_promotes_and_rollback_goes_back_step_by_step(bank, prompt_file):
    bank.add([prompt_file()])
    bank.replace("medications", prompt_file(plus=1.0))
    bank.add([prompt_file(plus=2.0)])
    bank.promote("medications@3")
    bank.promote("medications@3")  # once more changes nothing
    assert bank.rollback("medications").version == 2
    assert bank.rollback("medications").version == 1
    message = refused(bank.rollback, "medications")
    assert "before medications@1" in message and "medications@3" in message and "bank promote" in message
    assert "names a version" in refused(bank.rollback, "medications@2")
    assert "versions never change" in refused(bank.replace, "medications@2", prompt_file())
    assert "Did you mean medications" in refused(bank.replace, "medication", prompt_file())


def test_a_removed_version_is_gone_and_its_number_is_not_given_again(bank, prompt_file):
    bank.add([prompt_file(), prompt_file(plus=1.0), prompt_file(plus=2.0)])
    bank.promote("medications@3")
    bank.promote("medications@1")
    [gone] = bank.remove("medications@3")
    assert not gone.path.exists() and names(bank) == [("medications@1", True), ("medications@2", False)]
    assert "before medications@1" in refused(bank.rollback, "medications")  # 3 left the history, and 1 is there once
    assert "promoted version" in refused(bank.remove, "medications@1")
    assert "no version 3" in refused(bank.open, "medications@3")
    assert len(bank.remove("medications")) == 2
    assert names(bank) == [] and "medications" in refused(bank.open, "medications")
    assert bank.add([prompt_file()])[0].reference == "medications@4"
    assert sorted(path.name for path in bank.folder.iterdir()) == [FILE, "medications@4.safetensors"]


def test_names_are_answered_with_near_ones_and_odd_ones_refused(bank, prompt_file):
    bank.add([prompt_file(), prompt_file("impression")])
    assert "Did you mean medications" in refused(bank.find, "medicatons")
    assert "Allowed: medications@1" in refused(bank.find, "medications@2")
    for odd in ("../x@1", "medications@0", "medications@-1", "medications@", "@1", "", "a/b", "medications@1@1", "a\n"):
        assert "names no prompt" in refused(bank.find, odd)
    for odd in ("../x", ".hidden", "a b", "a@2", "x" * 65, "a\n"):
        assert "cannot be called" in refused(bank.add, [prompt_file()], name=odd)
    assert "in case only" in refused(bank.add, [prompt_file()], name="Medications")


def test_a_version_must_be_able_to_stand_in_for_the_others(bank, prompt_file, identity):
    bank.add([prompt_file()])
    changes = {
        "backbone": {"backbone": identity.model_copy(update={"fingerprint": "a" * 16})},
        "tokenizer": {"backbone": identity.model_copy(update={"tokenizer": "b" * 16})},
        "template": {"template_hash": "9" * 16},
        "placement": {"placement": "prefix"},
    }
    for what, change in changes.items():
        for call in (lambda file: bank.add([file]), lambda file: bank.replace("medications", file)):
            message = refused(call, prompt_file(plus=1.0, **change))
            assert f"its {what} is" in message and "--name" in message and "\n" not in message
            assert all(other == what or f"its {other} is" not in message for other in changes)
        bank.add([prompt_file(plus=1.0, **change)], name=f"other-{what}")
    assert names(bank)[0] == ("medications@1", True) and len(names(bank)) == 5


def test_a_prompt_is_refused_for_another_use(bank, prompt_file, identity):
    bank.add([prompt_file()])
    other = identity.model_copy(update={"fingerprint": "a" * 16, "name": "other"})
    assert "do not carry over" in refused(bank.open, "medications", backbone=other)
    words = identity.model_copy(update={"tokenizer": "b" * 16})
    assert "tokenizer" in refused(bank.open, "medications", backbone=words)
    message = refused(bank.open, "medications", template=("chat", "8" * 16))
    assert "another template (markers, 0000000000000000)" in message and "chat, 8888" in message
    assert "place is suffix" in refused(bank.open, "medications", placement="prefix")
    fits = {"backbone": identity, "template": ("markers", "0" * 16), "placement": "suffix"}
    assert bank.open("medications", **fits).card.version == 1


def test_what_is_no_sound_prompt_is_not_added_and_of_several_files_none(bank, prompt_file, card, vectors, tmp_path):
    bank.add([prompt_file("impression")])
    before = (bank.folder / FILE).read_bytes()
    note = tmp_path / "note.safetensors"
    note.write_text("no prompt")
    broken = prompt_file(plus=float("nan"))
    longer = prompt_file("longer", length=9)
    for wrong, word in ((note, "not a clinprompt prompt"), (broken, "not finite"), (longer, "shape [4, 6]")):
        assert word in refused(bank.add, [prompt_file(), wrong])
        assert (bank.folder / FILE).read_bytes() == before and bank.verify() == []
    assert "no prompt file" in refused(bank.add, [tmp_path / "none"])


def test_a_metaprompt_is_kept_whole(bank, tmp_path, card, vectors):
    from clinprompt.maths.decomposition import TaskFactors
    from clinprompt.prompts.prompt_file import Metaprompt, save_metaprompt

    factors = {name: TaskFactors(torch.randn(4, 2), torch.randn(2, 6)) for name in card.tasks}
    heads = {"start": torch.randn(3)}
    made = Metaprompt(vectors, factors, card.model_copy(update={"name": "metaprompt", "task": None}), heads)
    save_metaprompt(tmp_path / "m.safetensors", made)
    [one] = bank.add([tmp_path / "m.safetensors"])
    found = load_metaprompt(one.path)
    assert torch.equal(found.factors["impression"].cols, factors["impression"].cols)
    assert torch.equal(found.heads["start"], heads["start"])


def test_a_changed_file_is_never_opened_and_verify_tells_all(bank, prompt_file):
    bank.add([prompt_file(name, plus=plus) for name in ("a", "b", "c") for plus in (0.0, 1.0)])
    content = bytearray(bank.find("a@2").path.read_bytes())
    content[-1] ^= 1
    bank.find("a@2").path.write_bytes(content)
    bank.find("b@1").path.unlink()
    (bank.folder / "c@3.safetensors").write_bytes(b"x")
    (bank.folder / "below").mkdir()
    link = bank.find("c@1").path
    link.rename(bank.folder.parent / "elsewhere")
    link.symlink_to(bank.folder.parent / "elsewhere")
    assert load_prompt(bank.find("a@2").path).card.version == 2  # as a plain file it is sound
    assert "not the one that the manifest names" in refused(bank.open, "a@2")
    assert "file of b@1 is missing" in refused(bank.open, "b")
    assert bank.open("a").card.version == 1
    assert [(one.kind, one.file.partition(".")[0]) for one in bank.verify()] == [
        ("changed", "a@2"), ("missing", "b@1"), ("changed", "c@1"), ("extra", "below"), ("extra", "c@3")
    ]  # fmt: skip
    assert all("\n" not in str(one) and one.file in str(one) for one in bank.verify())


def test_a_file_that_may_not_be_read_is_not_called_missing(bank, prompt_file):
    bank.add([prompt_file(name) for name in ("a", "b")])
    true, shut = Path.open, bank.find("a").path

    def opened(path, *words, **more):
        if path == shut:
            raise PermissionError(13, "Permission denied", str(path))
        return true(path, *words, **more)

    with patch.object(Path, "open", opened):
        said = refused(bank.open, "a")
        assert "is there and cannot be read: Permission denied" in said and "chmod a+r" in said
        assert [(one.kind, one.file) for one in bank.verify()] == [("unreadable", "a@1.safetensors")]
        assert bank.open("b").card.version == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: whole["prompts"].update({"../x": whole["prompts"]["medications"]}),
        lambda whole: whole["prompts"].update({"other": whole["prompts"]["medications"]}),
        lambda whole: whole["prompts"]["medications"].update(promoted=[2]),
        lambda whole: whole["prompts"]["medications"].update(promoted=[]),
        lambda whole: whole["prompts"]["medications"]["versions"]["1"].update(sha256="0"),
        lambda whole: whole["prompts"]["medications"]["versions"].update({"7": {}}),
        lambda whole: whole.update(prompts=[]),
        lambda whole: whole.update(more=1),
    ],
)
def test_a_damaged_manifest_is_refused(bank, prompt_file, change):
    bank.add([prompt_file()])
    edited(bank, change)
    for call in (bank.listed, bank.verify, lambda: bank.open("medications"), lambda: bank.add([prompt_file()])):
        message = refused(call)
        assert "damaged" in message and FILE in message and "\n" not in message


def test_other_manifests_are_refused(bank, prompt_file):
    assert "no bank here" in refused(bank.listed)
    bank.add([prompt_file()])
    edited(bank, lambda whole: whole.update(format=2))
    assert "another format" in refused(bank.listed)
    for content in (b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000):
        (bank.folder / FILE).write_bytes(content)
        assert "damaged" in refused(bank.listed)


def test_a_forged_hash_does_not_bring_another_card_in(bank, prompt_file):
    bank.add([prompt_file()])
    edited(bank, lambda whole: whole["prompts"]["medications"]["versions"]["1"]["card"].update(placement="prefix"))
    assert "not the one in the manifest" in refused(bank.open, "medications")


def test_a_folder_with_other_files_does_not_become_a_bank(bank, prompt_file):
    bank.folder.mkdir()
    (bank.folder / "notes.txt").write_text("x")
    assert "holds other files" in refused(bank.add, [prompt_file()])
    assert [path.name for path in bank.folder.iterdir()] == ["notes.txt"]
    assert "cannot be changed" in refused(PromptBank(bank.folder / "notes.txt" / "x").add, [prompt_file()])
    assert "no bank here" in refused(PromptBank(bank.folder / "notes.txt").listed)
    for call in (bank.promote, bank.rollback, bank.remove):
        assert "no bank here" in refused(call, "medications")


def test_what_a_killed_writer_left_is_swept_and_its_number_given_to_the_next(bank, prompt_file, monkeypatch):
    bank.add([prompt_file()])
    for left in (f".{FILE}.part", ".0a1b.part"):
        (bank.folder / left).write_bytes(b"half")
    (bank.folder / "medications@2.safetensors").write_bytes(b"whole, but named by no manifest")
    assert [one.file for one in bank.verify()] == ["medications@2.safetensors"]
    bank.replace("medications", prompt_file(plus=1.0))
    assert bank.verify() == [] and bank.find("medications").version == 2
    assert not [path for path in bank.folder.iterdir() if path.name.endswith(".part")]


def test_a_full_disk_changes_nothing(bank, prompt_file, monkeypatch):
    bank.add([prompt_file()])
    before = {path.name: path.read_bytes() for path in bank.folder.iterdir()}

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bank_module, "write_manifest", full)
    assert "cannot be changed: No space left" in refused(bank.add, [prompt_file(plus=1.0)])
    assert {path.name: path.read_bytes() for path in bank.folder.iterdir()} == before


def test_writers_wait_for_each_other_and_then_say_who_it_is(bank, prompt_file, monkeypatch):
    bank.add([prompt_file()])
    monkeypatch.setattr(bank_module, "WAIT", 0.05)
    with Lock(bank.folder / LOCK).waited_for(0):
        assert "is working on this bank" in refused(bank.promote, "medications@1")
        assert bank.open("medications").card.version == 1  # readers do not wait
    bank.promote("medications@1")


def test_a_reader_that_meets_a_removal_takes_the_new_version(bank, prompt_file, monkeypatch):
    bank.add([prompt_file(), prompt_file(plus=1.0)])
    reader, find = PromptBank(bank.folder), PromptBank.find
    turns = iter([True])

    def late(self, reference):
        found = find(self, reference)
        if self is reader and next(turns, False):
            bank.promote("medications@2")
            bank.remove("medications@1")
        return found

    monkeypatch.setattr(PromptBank, "find", late)
    assert reader.open("medications").card.version == 2
    assert not list(turns)
