"""A backbone's own chat template through the stages: on the card, at prediction, and noticed when it changes."""

import pytest
import torch

from clinprompt.errors import InputError
from clinprompt.prompts.prompt_file import SoftPrompt, load_prompt, save_prompt
from clinprompt.stages.cards import prompt_card
from clinprompt.stages.configs import AdaptSettings, BackboneSettings, PredictSettings
from clinprompt.stages.importing import import_data
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.predict import predict
from clinprompt.stages.prepared import open_prepared
from tests.made_backbones import tiny_folder
from tests.made_notes import write_notes

CHAT = "{{ bos_token }}{% for m in messages %}<q>{{ m.role }}<note>{{ m.content }}<task>{% endfor %}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tiny_folder(tmp_path_factory.mktemp("chat") / "tiny")
    (folder / "chat_template.jinja").write_text(CHAT)
    return folder


@pytest.fixture(scope="module")
def prompt(folder, tmp_path_factory):
    """A prompt made behind the chat template."""
    place = tmp_path_factory.mktemp("bank")
    import_data(write_notes(place / "notes"), place / "data", name="drugs", reader="brat")
    opened = open_backbone(BackboneSettings(path=str(folder), template="chat"))
    vectors = torch.randn(4, 32, generator=torch.Generator().manual_seed(1)) * 0.3
    card = prompt_card(
        opened, open_prepared(place / "data"), method="prompt-tuning", vectors=vectors, placement="suffix",
        trainable=128, run="r", seed=1,
    )  # fmt: skip
    save_prompt(place / "drugs.safetensors", SoftPrompt(vectors, card))
    return place / "drugs.safetensors"


@pytest.fixture
def settings(folder, prompt, tmp_path):
    """Prediction with settings that name no template: the prompt's own is taken."""
    return PredictSettings(
        backbone=BackboneSettings(path=str(folder)), prompts=(prompt,), out=tmp_path / "out", answer_tokens=4,
        notes=write_notes(tmp_path / "notes", 2, annotated=False),
    )  # fmt: skip


def test_the_card_names_the_chat_template_and_prediction_uses_it(settings, prompt):
    card = load_prompt(prompt).card
    opened = open_backbone(settings.backbone)
    asked = []
    encode = opened.backbone.encode
    opened.backbone.encode = lambda pair, **options: asked.append(pair) or encode(pair, **options)
    predict(settings, opened=opened)
    assert card.template == "chat" and opened.template.name == "markers"
    notes = [pair for pair in asked if pair.answer == "" and len(pair.context) > 1]
    assert notes and all(pair.context[0].text == "<q>user<note>Note:" for pair in notes)
    assert all(pair.cue[-1].text == "<task><q>assistant<note>" and pair.cue[-1].trusted for pair in notes)
    assert not any(piece.trusted for pair in notes for piece in pair.context if "aspirin" in piece.text)


def test_a_changed_chat_template_is_refused(settings):
    opened = open_backbone(settings.backbone)
    opened.backbone.tokenizer.chat_template = CHAT.replace("<task>", "<task>\n")
    with pytest.raises(InputError, match="trained with another template"):
        predict(settings, opened=opened)
    assert not settings.out.exists()


def test_quantised_weights_are_not_fine_tuned():
    targets, backbone = ("t",), {"weights": "nf4"}
    for kind in ("prompt-tuning", "lora"):
        AdaptSettings.model_validate({"backbone": backbone, "targets": targets, "method": {"kind": kind}})
    with pytest.raises(ValueError, match=r"set backbone\.weights to full"):
        AdaptSettings.model_validate({"backbone": backbone, "targets": targets, "method": {"kind": "fine-tuning"}})
