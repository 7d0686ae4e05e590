"""Prompts of a bank in use: the same answers as from their files, and every refusal before a note is read."""

import json

import pytest
import torch

from clinprompt.errors import InputError
from clinprompt.inference.engines.local import LocalEngine
from clinprompt.prompts.prompt_file import SoftPrompt, save_prompt
from clinprompt.schema.example import TaskKind
from clinprompt.stages.adapted import open_adapted
from clinprompt.stages.banked import add_prompts, open_bank, prompt_path
from clinprompt.stages.cards import prompt_card
from clinprompt.stages.configs import BackboneSettings, PredictSettings
from clinprompt.stages.importing import import_data
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.predict import predict
from clinprompt.stages.prepared import open_prepared
from tests.made_backbones import tiny_folder
from tests.made_notes import write_notes


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return open_backbone(BackboneSettings(path=str(tiny_folder(tmp_path_factory.mktemp("tiny"), seed=7))))


@pytest.fixture(scope="module")
def prompt(opened, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    notes = write_notes(folder / "notes")
    import_data(notes, folder / "drugs", name="drugs", reader="brat", kind=TaskKind.entities, window=45)
    vectors = torch.randn(4, 32, generator=torch.Generator().manual_seed(1)) * 0.3
    given = {"method": "prompt-tuning", "placement": "suffix", "trainable": 128, "run": "r", "seed": 1}
    card = prompt_card(opened, open_prepared(folder / "drugs"), vectors=vectors, **given)
    return SoftPrompt(vectors, card)


@pytest.fixture
def settings(prompt, tmp_path):
    save_prompt(tmp_path / "drugs.safetensors", prompt)
    add_prompts(open_bank(tmp_path / "bank"), [tmp_path / "drugs.safetensors"], name="meds")
    return PredictSettings(
        prompts=(tmp_path / "bank:meds",), notes=write_notes(tmp_path / "notes", 2, annotated=False),
        out=tmp_path / "out", answer_tokens=8,
    )  # fmt: skip


def test_a_prompt_of_a_bank_answers_as_its_file_does(settings, opened, tmp_path):
    predict(settings, opened=opened)
    plain = {"prompts": (tmp_path / "drugs.safetensors",), "out": tmp_path / "plain"}
    predict(settings.model_copy(update=plain), opened=opened)
    written = [
        {path.name: path.read_bytes() for path in folder.glob("*.ann")} for folder in (settings.out, plain["out"])
    ]
    assert written[0] and written[0] == written[1]
    [made_by] = json.loads((settings.out / "provenance.json").read_text())["prompts"]
    found = open_bank(tmp_path / "bank").find("meds")
    assert made_by | {"run": ""} == {
        "task": "drugs", "prompt": "meds", "version": 1, "method": "prompt-tuning", "run": "", "sha256": found.sha256
    }  # fmt: skip
    _, [cell] = open_adapted(prompt_path(tmp_path / "bank:meds@1"), opened.identity)
    assert cell.task == "drugs"


@pytest.mark.parametrize(
    "change, word",
    [
        ({"reference": True}, "does not act as it did"),
        ({"template_hash": "9" * 16}, "another template"),
        ({"fingerprint": "a" * 16}, "do not carry over"),
        ({"tokenizer": "b" * 16}, "tokenizer"),
    ],
)
def test_a_prompt_that_does_not_fit_is_refused_before_a_note_is_read(
    settings, opened, prompt, tmp_path, monkeypatch, change, word
):
    monkeypatch.setattr(LocalEngine, "answers", lambda *_, **__: pytest.fail("notes were read"))
    card = prompt.card
    if "reference" in change:
        altered = tuple(value + 3.0 for value in card.reference.with_prompt)
        card = card.model_copy(update={"reference": card.reference.model_copy(update={"with_prompt": altered})})
    elif "template_hash" in change:
        card = card.model_copy(update=change)
    else:
        card = card.model_copy(update={"backbone": card.backbone.model_copy(update=change)})
    save_prompt(tmp_path / "other.safetensors", SoftPrompt(prompt.vectors, card))
    add_prompts(open_bank(tmp_path / "bank"), [tmp_path / "other.safetensors"], name="other")
    with pytest.raises(InputError, match=word) as caught:
        predict(settings.model_copy(update={"prompts": (tmp_path / "bank:other",)}), opened=opened)
    assert "other@1.safetensors" in str(caught.value) and not settings.out.exists()


def test_a_file_whose_name_has_a_colon_is_a_file(settings, tmp_path):
    odd = tmp_path / "bank:meds"
    assert prompt_path(odd) == tmp_path / "bank" / "meds@1.safetensors"
    odd.write_bytes(b"x")
    assert prompt_path(odd) == odd
    assert prompt_path(tmp_path / "none:meds") == tmp_path / "none:meds"
    with pytest.raises(InputError, match="no bank here"):
        prompt_path(tmp_path / "notes:meds")
