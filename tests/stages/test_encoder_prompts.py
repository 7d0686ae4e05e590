"""Prompts of tiny random encoders: made from a metaprompt, checked when opened, refused where they do not belong."""

import shutil
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from clinprompt.errors import InputError
from clinprompt.inference.reference import check_reference, reference_faults
from clinprompt.prompts.prompt_file import SoftPrompt, load_metaprompt, load_prompt
from clinprompt.stages.adapt import adapt
from clinprompt.stages.adapted import BESIDE
from clinprompt.stages.configs import (
    AdaptSettings,
    DistillSettings,
    EvaluateSettings,
    PredictSettings,
    TeachSettings,
)
from clinprompt.stages.distill import FILE as METAPROMPT
from clinprompt.stages.distill import distill
from clinprompt.stages.evaluate import evaluate
from clinprompt.stages.importing import import_data
from clinprompt.stages.methods import (
    FineTuning,
    Instruction,
    Mpt,
    PromptTuning,
)
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.predict import predict
from clinprompt.stages.scores import read_scores
from clinprompt.stages.teach import teach
from tests.encoder_methods import BEST, METHODS, PROMPT, SHORT
from tests.made_notes import write_notes


@pytest.fixture(scope="module", params=["prefix", "apart"])
def metaprompt(request, data, backbones, tmp_path_factory):
    settings, opened = backbones["bert"]
    runs = tmp_path_factory.mktemp("sources")
    sources = tuple(data / name for name in ("drugs", "doses", "links"))
    shape = PROMPT.model_copy(update={"placement": request.param})
    taught = teach(
        TeachSettings(backbone=settings, sources=sources, prompt=shape, budget=BEST), runs=runs, opened=opened
    )
    distilled = distill(
        DistillSettings(backbone=settings, teachers=taught.path, sources=sources, budget=SHORT),
        runs=runs,
        opened=opened,
    )
    return distilled.outputs / METAPROMPT


@pytest.mark.parametrize("factors", ["mean", "select"])
def test_mpt_goes_on_from_the_metaprompt_and_its_scorers(factors, metaprompt, backbones, data, tmp_path):
    settings, opened = backbones["bert"]
    made = load_metaprompt(metaprompt, backbone=opened.identity)
    assert list(made.factors) == ["drugs", "doses", "links"] and made.heads["edges"].shape == (2, 32)
    run = adapt(
        AdaptSettings(
            backbone=settings,
            targets=(data / "meds",),
            method=Mpt(budget=SHORT, factors=factors),
            metaprompt=metaprompt,
            shots=(0, 2, "full"),
        ),
        runs=tmp_path,
        opened=opened,
    )
    untrained = load_prompt(run.outputs / "meds" / "k0-d0" / "prompt.safetensors", backbone=opened.identity)
    trained = load_prompt(run.outputs / "meds" / "full" / "prompt.safetensors", backbone=opened.identity)
    assert all(torch.equal(untrained.heads[name], made.heads[name]) for name in made.heads)
    assert not torch.equal(trained.heads["edges"], made.heads["edges"])
    assert trained.card.placement == made.card.placement and trained.card.rank == 1
    scored = evaluate(
        EvaluateSettings(backbone=settings, adapted=run.path, targets=(data / "meds",), resamples=100, limit=1),
        runs=tmp_path,
        opened=opened,
    )
    assert {record["shots"] for record in read_scores(scored.path)} == {"0", "2", "full"}


def test_silenced_prompts_and_damaged_scorers_are_noticed(adapted, backbones):
    _, opened = backbones["bert"]
    for name in ("prompt-tuning", "prompt-tuning, every"):
        prompt = load_prompt(adapted("bert", name).outputs / "meds" / "full" / "prompt.safetensors")
        check_reference(opened.backbone, prompt, where="x")
        silenced = SoftPrompt(torch.zeros_like(prompt.vectors), prompt.card, prompt.heads)
        with pytest.raises(InputError, match="does not act as it did"):
            check_reference(opened.backbone, silenced, where="x")
        damaged = prompt.heads | {"edges": prompt.heads["edges"].flip(0)}
        with pytest.raises(InputError, match="does not act as it did"):
            check_reference(opened.backbone, SoftPrompt(prompt.vectors, prompt.card, damaged), where="x")
        moved = prompt.heads | {"edge_bias": prompt.heads["edge_bias"] + 1.0}
        with pytest.raises(InputError, match="does not act as it did"):
            check_reference(opened.backbone, SoftPrompt(prompt.vectors, prompt.card, moved), where="x")
        matcher = prompt.heads | {"match_out": prompt.heads["match_out"] + 1.0}
        with pytest.raises(InputError, match="does not act as it did"):
            check_reference(opened.backbone, SoftPrompt(prompt.vectors, prompt.card, matcher), where="x")
        changed = [SoftPrompt(prompt.vectors, prompt.card, heads) for heads in (damaged, moved, matcher)]
        together = dict(enumerate((prompt, silenced, *changed, prompt)))
        with patch.object(opened.backbone, "forward", wraps=opened.backbone.forward) as forward:
            assert not reference_faults(opened.backbone, {"a": prompt, "b": prompt}) and forward.call_count == 2
            faults = reference_faults(opened.backbone, {str(n): one for n, one in together.items()})
        assert list(faults) == ["1", "2", "3", "4"]
        assert all("does not act as it did" in fault.what and fault.where == where for where, fault in faults.items())


def test_prompts_of_encoders_and_decoders_are_not_mixed_up(adapted, backbones, data, tmp_path):
    bert, llama = backbones["bert"], backbones["llama"]
    given = {"targets": (data / "meds",), "method": PromptTuning(budget=SHORT), "prompt": PROMPT}
    written = adapt(AdaptSettings(backbone=llama[0], **given), runs=tmp_path, opened=llama[1])
    read = adapted("bert", "prompt-tuning")
    notes = write_notes(tmp_path / "new", 1)
    for (settings, opened), run in ((llama, read), (bert, written)):
        prompts = (run.outputs / "meds" / "full" / "prompt.safetensors",)
        with pytest.raises(InputError, match="do not carry over"):
            predict(
                PredictSettings(backbone=settings, prompts=prompts, notes=notes, out=tmp_path / "out"), opened=opened
            )


def test_what_an_encoder_cannot_do_is_refused(backbones, data, tmp_path):
    settings, opened = backbones["bert"]
    rows = [f"{n},note {n},{'yes' if n % 2 else 'no'}\n" for n in range(12)]
    (tmp_path / "rows.csv").write_text("id,note,label\n" + "".join(rows))
    columns = {"note": "note", "label": "label"}
    import_data(tmp_path / "rows.csv", tmp_path / "classes", name="classes", reader="csv_table", options=columns)
    with pytest.raises(InputError, match="answers with places in the note"):
        adapt(
            AdaptSettings(backbone=settings, targets=(tmp_path / "classes",), method=FineTuning()),
            runs=tmp_path,
            opened=opened,
        )
    with pytest.raises(InputError, match="needs a model that writes"):
        adapt(
            AdaptSettings(backbone=settings, targets=(data / "meds",), method=Instruction()),
            runs=tmp_path,
            opened=opened,
        )
    for name in ("hard-prompt", "soft-prompt-unfrozen"):
        given = {"targets": (data / "meds",), "method": METHODS[name]}
        with pytest.raises(InputError, match="is a decoder"):
            adapt(AdaptSettings(backbone=backbones["llama"][0], **given), runs=tmp_path, opened=backbones["llama"][1])
    with pytest.raises(InputError, match=r"backbone\.weights is for decoders"):
        open_backbone(settings.model_copy(update={"weights": "int8"}))


def test_what_belongs_to_trained_weights_predicts_nothing_alone(adapted, backbones, tmp_path):
    settings, opened = backbones["bert"]
    for name in ("hard-prompt", "lora"):
        beside = adapted("bert", name).outputs / "meds" / "full" / BESIDE
        prompt = Path(shutil.copy(beside, tmp_path / f"{name}.safetensors"))
        given = {"prompts": (prompt,), "notes": write_notes(tmp_path / "new", 1), "out": tmp_path / "out"}
        with pytest.raises(InputError, match="belongs to weights that were trained with it") as refused:
            predict(PredictSettings(backbone=settings, **given), opened=opened)
        assert "or `evaluate`" in str(refused.value) and not (tmp_path / "out").exists()


def test_a_layer_that_the_backbone_does_not_have_is_refused(metaprompt, backbones, data, tmp_path):
    settings, opened = backbones["bert"]
    given = {"teachers": data, "sources": (data / "drugs", data / "doses"), "hidden_layers": (-1, 9)}
    with pytest.raises(InputError, match="no layer 9"):
        distill(DistillSettings(backbone=settings, budget=SHORT, **given), runs=tmp_path, opened=opened)
    assert not list(tmp_path.iterdir())


def test_the_sources_scorers_start_alike(backbones, data, tmp_path, monkeypatch):
    """Their mean is where the shared ones go on: of networks that started apart it would say little."""
    settings, opened = backbones["bert"]
    seen = {}

    def stopped(backbone, source, members, **options):
        seen.update(source.heads(torch.arange(2)))
        raise KeyboardInterrupt

    monkeypatch.setattr("clinprompt.stages.teach.train", stopped)
    sources = (data / "drugs", data / "doses")
    with pytest.raises(KeyboardInterrupt):
        teach(
            TeachSettings(backbone=settings, sources=sources, prompt=PROMPT, budget=SHORT), runs=tmp_path, opened=opened
        )
    assert seen and all(torch.equal(tensor[0], tensor[1]) for tensor in seen.values())
