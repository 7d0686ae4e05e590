from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from clinprompt.data.lock import Lock
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Span
from clinprompt.schema.example import Answer, Example, Split
from clinprompt.stages import renew as stage
from clinprompt.stages.banked import open_bank
from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.corrections import SEEN, Correction, Corrections
from clinprompt.stages.methods import Budget
from clinprompt.stages.prepared import open_prepared, write_prepared
from clinprompt.stages.progress import silent
from clinprompt.stages.renew import RenewSettings, renew
from clinprompt.stages.told import told
from tests.made_findings import made_bank
from tests.made_notes import CANARY

QUICK = Budget(steps=2, batch=2, rates=(0.01,), keep="best", dev_every=1, warmup=0)
STILL = QUICK.model_copy(update={"rates": (1e-12,)})


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return made_bank(tmp_path_factory.mktemp("renew"))


def corrected(folder, task, *, notes=5):
    """Corrections of so many notes."""
    kept = Corrections(folder)
    for n in range(notes):
        text = f"{CANARY} takes drug{n} {n + 1} mg."
        start = text.index("drug")
        spans = (Span("drug", ((start, start + 5),), "T1"), Span("dose", ((start + 6, start + 10),), "T2"))
        kept.save(task, Correction(Document(f"n{n}", text, spans)))
    return kept


@pytest.fixture
def given(bank, tmp_path):
    folder, opened = bank
    task = open_bank(folder).find("meds").card.task
    kept = corrected(tmp_path / "corrections", task)
    settings = RenewSettings(
        bank=folder, name="meds@1", corrections=kept.folder, backbone=BackboneSettings(path=opened.identity.name),
        budget=QUICK, answer_tokens=8, resamples=100, folds=3,
    )  # fmt: skip
    return settings, opened, kept, task


def test_a_new_version_waits_beside_the_old_one_with_both_scores(given):
    settings, opened, kept, _ = given
    made = renew(settings, opened=opened)
    bank = open_bank(settings.bank)
    new = bank.find(made.prompt)
    assert made.before == "meds@1" and not new.promoted and bank.find("meds").reference == "meds@1"
    assert (made.notes, made.examples, made.unseen) == (5, 5, 5)
    assert (made.compared.notes, made.compared.examples, made.compared.folds) == (5, 5, 3)
    assert made.compared.low <= made.compared.difference <= made.compared.high
    assert new.card.lineage.sources == ("meds@1",) and new.card.scores[0]["notes"] == 5
    assert not list((kept.folder / stage.WORK).iterdir())
    assert not torch.equal(bank.open(made.prompt).vectors, bank.open("meds@1").vectors)
    bank.remove(made.prompt)


def test_notes_that_a_version_has_seen_never_score_it(given):
    settings, opened, kept, task = given
    first = renew(settings, opened=opened)
    again = renew(settings.model_copy(update={"name": first.prompt}), opened=opened)
    assert again.unseen == 0 and again.compared is None
    text = "New: drug9 8 mg."
    kept.save(task, Correction(Document("new", text, (Span("drug", ((5, 10),), "T1"),))))
    more = renew(settings.model_copy(update={"name": first.prompt}), opened=opened)
    assert (more.notes, more.unseen, more.compared.notes, more.compared.folds) == (6, 1, 1, 1)
    for one in (first, again, more):
        open_bank(settings.bank).remove(one.prompt)


def test_a_kill_right_after_the_version_was_added_does_not_make_its_notes_new_again(given, monkeypatch):
    settings, opened, kept, task = given
    own = stage.add_prompts

    def add_and_die(*given, **options):
        own(*given, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "add_prompts", add_and_die)
    with pytest.raises(KeyboardInterrupt):
        renew(settings, opened=opened)
    monkeypatch.setattr(stage, "add_prompts", own)
    found = max((one for one in open_bank(settings.bank).listed() if one.name == "meds"), key=lambda one: one.version)
    assert found.version > 2
    assert kept.unseen(task.name, found) == []
    again = renew(settings.model_copy(update={"name": found.reference}), opened=opened)
    assert again.unseen == 0 and again.compared is None
    for one in (found.reference, again.prompt):
        open_bank(settings.bank).remove(one)


def test_a_note_that_is_corrected_again_meanwhile_is_new_but_scores_nothing(given, monkeypatch):
    settings, opened, kept, task = given
    [name, *_] = kept.ids(task.name)
    own = stage.adapt

    def adapt(config, **options):
        old = kept.read(task.name, name)
        kept.save(task, replace(old, document=replace(old.document, spans=old.document.spans[:1])))
        return own(config, **options)

    monkeypatch.setattr(stage, "adapt", adapt)
    first = renew(settings, opened=opened)
    monkeypatch.setattr(stage, "adapt", own)
    assert kept.unseen(task.name, open_bank(settings.bank).find(first.prompt)) == [name]
    again = renew(settings.model_copy(update={"name": first.prompt}), opened=opened)
    assert again.unseen == 0 and again.compared is None
    found = open_bank(settings.bank).find(again.prompt)
    assert kept.unseen(task.name, found) == []
    kept.save(task, kept.read(task.name, name))  # to save it once more as it is changes nothing
    assert kept.unseen(task.name, found) == []
    for one in (first, again):
        open_bank(settings.bank).remove(one.prompt)


def test_a_record_of_another_form_is_named(given):
    settings, opened, kept, task = given
    (kept.folder / task.name / SEEN).write_text('{"meds@1": ["0123456789abcdef"]}')
    with pytest.raises(InputError, match=rf"{task.name}/{SEEN}.*taken for new"):
        renew(settings, opened=opened)


def test_a_version_is_scored_by_prompts_that_have_not_seen_the_note(given, monkeypatch):
    settings, opened, *_ = given
    trained, asked = [], []

    def adapt(config, **options):
        for path in config.targets:
            prepared = open_prepared(path)
            parts = [prepared.part(split) for split in (Split.train, Split.dev)]
            assert all(parts)  # something to learn from and something to choose by
            trained.append({example.note for part in parts for example in part})
        return own_adapt(config, **options)

    def answers(settings, opened, prompt, task, examples):
        asked.append({example.note for example in examples})
        return own_answers(settings, opened, prompt, task, examples)

    own_adapt, own_answers = stage.adapt, stage._answers
    monkeypatch.setattr(stage, "adapt", adapt)
    monkeypatch.setattr(stage, "_answers", answers)
    made = renew(settings, opened=opened)
    everything, *folds = asked
    assert len(trained) == 4 and trained[-1] == everything == set.union(*folds)
    assert all(not seen & held and seen | held == everything for seen, held in zip(trained, folds, strict=False))
    open_bank(settings.bank).remove(made.prompt)


def test_without_learning_the_new_version_is_the_old_one(given):
    settings, opened, *_ = given
    made = renew(settings.model_copy(update={"budget": STILL}), opened=opened)
    bank = open_bank(settings.bank)
    assert torch.allclose(bank.open(made.prompt).vectors, bank.open("meds@1").vectors, rtol=0, atol=1e-9)
    assert made.compared.old == made.compared.new and made.compared.difference == 0
    bank.remove(made.prompt)


@pytest.mark.parametrize("notes", [1, 2])
def test_the_fewest_notes_make_a_version(given, tmp_path, notes):
    settings, opened, _, task = given
    kept = corrected(tmp_path / "few", task, notes=notes)
    made = renew(settings.model_copy(update={"corrections": kept.folder}), opened=opened)
    assert (made.compared is None) == (notes == 1)
    open_bank(settings.bank).remove(made.prompt)


def earlier(folder, task, *, texts):
    """Prepared data with the old answer: no spans."""
    examples = [(Split.train, Example(f"old{n}", {"note": text}, Answer(), f"old{n}")) for n, text in enumerate(texts)]
    write_prepared(folder, task, examples, reader="made")
    return folder


def test_earlier_examples_are_practised_beside_the_corrections(given, monkeypatch, tmp_path):
    settings, opened, kept, task = given
    notes = {kept.read(task.name, name).document.text for name in kept.ids(task.name)}
    old = earlier(tmp_path / "old", task, texts=("Slept well.", "No pain.", sorted(notes)[0]))
    trained = []

    def adapt(config, **options):
        for path in config.targets:
            prepared = open_prepared(path)
            trained.append([[example.note for example in prepared.part(one)] for one in (Split.train, Split.dev)])
        return own_adapt(config, **options)

    own_adapt = stage.adapt
    monkeypatch.setattr(stage, "adapt", adapt)
    made = renew(settings.model_copy(update={"replay": old, "replay_share": 0.5}), opened=opened)
    assert made.replayed == 2  # the corrected note is not practised as it was
    for train, dev in trained:
        replayed = [note for note in train if note not in notes]
        assert len(replayed) == len(train) / 2 and set(replayed) <= {"Slept well.", "No pain."}
        assert set(dev) <= notes and not set(dev) & set(train)
    assert {note for train, dev in trained[-1:] for note in [*train, *dev]} == notes | {"Slept well.", "No pain."}
    open_bank(settings.bank).remove(made.prompt)


def test_two_at_once_do_not_take_each_others_files(given):
    settings, opened, kept, task = given
    work = kept.folder / stage.WORK
    with Lock(work / f".{task.name}.lock").waited_for(0):
        (work / task.name).mkdir()
        with pytest.raises(InputError, match="is working on a new version of meds"):
            renew(settings, opened=opened)
        stage.remove_left(kept.folder)
        assert (work / task.name).exists()
    stage.remove_left(kept.folder)
    assert not list(work.iterdir())


def test_what_cannot_be_replayed_is_refused(given, tmp_path):
    settings, opened, kept, task = given
    [note, *_] = (kept.read(task.name, name).document.text for name in kept.ids(task.name))
    only = earlier(tmp_path / "only", task, texts=(note,))
    with pytest.raises(InputError, match="nothing is left to replay") as refused:
        renew(settings.model_copy(update={"replay": only}), opened=opened)
    assert CANARY not in str(refused.value)
    other = earlier(tmp_path / "other", task.model_copy(update={"labels": ("drug",), "verbalizer": {}}), texts=("x",))
    with pytest.raises(InputError, match="of another task: its labels differ"):
        renew(settings.model_copy(update={"replay": other}), opened=opened)
    with pytest.raises(InputError, match="no prepared task"):
        renew(settings.model_copy(update={"replay": tmp_path}), opened=opened)


def test_nothing_to_learn_from_is_refused(given, tmp_path):
    settings, opened, _, _ = given
    with pytest.raises(InputError, match="there are no corrections of this task"):
        renew(settings.model_copy(update={"corrections": tmp_path / "none"}), opened=opened)


def test_what_a_failed_run_read_is_removed(given, monkeypatch):
    settings, opened, kept, _ = given
    monkeypatch.setattr(stage, "adapt", lambda *given, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        renew(settings, opened=opened)
    assert not list((kept.folder / stage.WORK).iterdir())


def test_a_broken_correction_is_named_without_its_text(given):
    settings, opened, kept, task = given
    [name, *_] = kept.ids(task.name)
    path = kept.folder / task.name / f"{name}.json"
    path.write_text(json.dumps({"document": {"id": "x", "text": CANARY, "spans": 3}}))
    with pytest.raises(InputError, match=name) as refused:
        renew(settings, opened=opened)
    assert CANARY not in str(refused.value)


def test_progress_is_told_in_a_file(tmp_path):
    file = tmp_path / "status.json"
    with told(silent, file)("score", 4) as advance:
        assert json.loads(file.read_text()) == {"name": "score", "done": 0, "total": 4}
        advance(4)
    assert json.loads(file.read_text())["done"] == 4
