"""Prompts that ask about mentions, through the whole stage of prediction."""

from dataclasses import replace
from unittest.mock import patch

import pytest
import torch

from clinprompt.backbones.protocol import RawAnswer
from clinprompt.data.readers import brat
from clinprompt.errors import InputError
from clinprompt.inference.engines.local import LocalEngine
from clinprompt.prompts.prompt_file import SoftPrompt, save_prompt
from clinprompt.stages.cards import prompt_card
from clinprompt.stages.configs import BackboneSettings, PredictSettings
from clinprompt.stages.importing import import_data
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.predict import predict
from clinprompt.stages.prepared import open_prepared
from clinprompt.tasks.task import Task
from tests.made_backbones import tiny_folder
from tests.made_notes import DRUGS, write_notes

ABOUT = Task(
    name="said", kind="question-answering", codec="labels", instruction="say what is asserted.",
    labels=("present", "absent"), metrics=("accuracy",),
    about={"attribute": "assertion", "of": ("Drug",), "usual": "present"},
)  # fmt: skip


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return open_backbone(BackboneSettings(path=str(tiny_folder(tmp_path_factory.mktemp("tiny"), seed=7))))


@pytest.fixture(scope="module")
def bank(opened, tmp_path_factory):
    """A prompt of an entity task and one that asks about its mentions."""
    folder = tmp_path_factory.mktemp("bank")
    import_data(write_notes(folder / "notes"), folder / "data", name="drugs", reader="brat", window=45)
    drugs = open_prepared(folder / "data")
    for prepared in (drugs, replace(drugs, task=ABOUT)):
        vectors = torch.randn(4, 32, generator=torch.Generator().manual_seed(1)) * 0.3
        card = prompt_card(
            opened, prepared, method="prompt-tuning", vectors=vectors, placement="suffix", trainable=1, run="r", seed=1
        )
        save_prompt(folder / f"{prepared.task.name}.safetensors", SoftPrompt(vectors, card))
    return folder


@pytest.fixture
def settings(bank, tmp_path):
    return PredictSettings(
        prompts=(bank / "said.safetensors",), notes=write_notes(tmp_path / "notes", 3), reader="brat",
        out=tmp_path / "out", answer_tokens=8, window=60,
    )  # fmt: skip


def speaking():
    """A backbone that finds the drugs, and says of each that it is there, but for two."""

    def answer(text, asked):
        if asked:
            return {"insulin": " absent", "warfarin": " perhaps"}.get(asked.split()[-1], " present")
        found = sorted((text.index(drug), drug) for drug in DRUGS if drug in text)
        return " " + ("; ".join(f"drug: {drug}" for _, drug in found) or "none")

    def answers(self, requests, generation, *, watch):
        rows = [self.backbone.tokenizer.decode(list(request.row.context)) for request in requests]
        texts = [row.removeprefix("<note>").partition("<task>")[0].partition("<q>") for row in rows]
        return [RawAnswer(answer(text, asked), 3, False) for text, _, asked in texts]

    return patch.object(LocalEngine, "answers", answers)


def test_mentions_that_were_found_are_asked_about(settings, opened, bank):
    prompts = (bank / "said.safetensors", bank / "drugs.safetensors")
    with speaking():
        report = predict(settings.model_copy(update={"prompts": prompts}), opened=opened)
    found = [
        (span.surface(document.text), dict(span.attributes))
        for document in brat.read(settings.out)
        for span in document.spans
    ]
    assert len(found) == report.spans == 6 and report.attributes == sum(bool(said) for _, said in found)
    expected = {"insulin": {"assertion": "absent"}, "warfarin": {}}
    assert all(said == expected.get(words, {"assertion": "present"}) for words, said in found)
    assert {words for words, _ in found} == set(DRUGS) and report.decoding.unreadable == 2


def test_mentions_that_the_notes_have_already_are_asked_about(settings, opened):
    with speaking():
        report = predict(settings, opened=opened)
    before, after = brat.read(settings.notes), brat.read(settings.out)
    assert [document.relations for document in before] == [document.relations for document in after]
    assert [[span.key for span in d.spans] for d in before] == [[span.key for span in d.spans] for d in after]
    assert {span.label for document in after for span in document.spans if span.attributes} == {"Drug"}
    assert (report.spans, report.attributes, report.answers) == (12, 4, 0)


def test_notes_without_a_mention_are_refused_with_what_to_do(settings, opened, tmp_path):
    plain = {"notes": write_notes(tmp_path / "plain", 3, annotated=False), "reader": "plain"}
    with pytest.raises(InputError, match=r"no mention to ask about.*Allowed: Drug.*--reader brat"):
        predict(settings.model_copy(update=plain), opened=opened)
    assert not settings.out.exists()
