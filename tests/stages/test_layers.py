"""Prompts with vectors in every layer through all stages: teachers, metaprompt, targets; decoders and encoders."""

from __future__ import annotations

import pytest
import torch

from clinprompt.errors import InputError
from clinprompt.maths.decomposition import compose
from clinprompt.prompts.prompt_file import load_metaprompt, load_prompt
from clinprompt.stages.adapt import adapt
from clinprompt.stages.configs import AdaptSettings, DistillSettings, TeachSettings
from clinprompt.stages.distill import FILE, distill
from clinprompt.stages.export_prompts import ExportSettings, export_prompts
from clinprompt.stages.methods import Attention, Budget, Mpt, PromptTuning, Routing, Spot
from clinprompt.stages.teach import teach
from tests.encoder_methods import PROMPT

SHORT = Budget(steps=2, batch=2, rates=(0.1,), dev_limit=2)
SHAPE = PROMPT.model_copy(update={"layers": "every"})
L, H = 3, 32


@pytest.fixture(scope="module")
def made(data, backbones, tmp_path_factory):
    """Teachers of two sources and their metaprompt, all with vectors in every layer, of one of two families."""
    runs, found = tmp_path_factory.mktemp("sources"), {}

    def run(family):
        if family not in found:
            settings, opened = backbones[family]
            sources = tuple(data / name for name in ("drugs", "doses"))
            given = {"backbone": settings, "sources": sources, "budget": SHORT}
            teachers = teach(TeachSettings(prompt=SHAPE, **given), runs=runs, opened=opened)
            metaprompt = distill(DistillSettings(teachers=teachers.path, rank=2, **given), runs=runs, opened=opened)
            found[family] = teachers, metaprompt
        return found[family]

    return run


def adapted(backbones, family, data, runs, **given):
    settings, opened = backbones[family]
    run = adapt(
        AdaptSettings(backbone=settings, targets=(data / "meds",), shots=(0, 2), **given), runs=runs, opened=opened
    )
    return {path.parent.name: load_prompt(path) for path in run.outputs.rglob("prompt.safetensors")}


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_each_layer_has_a_metaprompt_and_factors_of_its_own(family, made, backbones, data, tmp_path):
    teachers, distilled = made(family)
    for path in teachers.outputs.glob("*.safetensors"):
        assert load_prompt(path).vectors.shape == (L, SHAPE.length, H)
    metaprompt = load_metaprompt(distilled.outputs / FILE)
    assert metaprompt.vectors.shape == (L, SHAPE.length, H) and metaprompt.card.length == SHAPE.length
    assert metaprompt.card.size == f"{SHAPE.length} in {L} layers"
    for pair in metaprompt.factors.values():
        assert pair.rows.shape == (L, SHAPE.length, 2) and pair.cols.shape == (L, 2, H)
    found = adapted(backbones, family, data, tmp_path, metaprompt=distilled.outputs / FILE, method=Mpt(budget=SHORT))
    for prompt in found.values():
        assert prompt.vectors.shape == metaprompt.vectors.shape
    heads = sum(tensor.numel() for tensor in found["k2-d0"].heads.values())
    assert found["k2-d0"].card.trainable == L * (SHAPE.length * H + SHAPE.length + H) + heads
    changes = [compose(metaprompt.vectors, p.rows, p.cols) - metaprompt.vectors for p in metaprompt.factors.values()]
    for layer in range(L):  # every layer's part has learnt
        assert any(float(change[layer].abs().max()) > 0 for change in changes)
        assert not torch.equal(found["k2-d0"].vectors[layer], found["k0-d0"].vectors[layer])


@pytest.mark.parametrize("family", ["llama", "bert"])
@pytest.mark.parametrize("method", [Spot(budget=SHORT), Attention(budget=SHORT, weights="uniform")])
def test_the_sources_prompts_are_what_targets_begin_with_in_every_layer(
    family, method, made, backbones, data, tmp_path
):
    teachers, _ = made(family)
    found = adapted(backbones, family, data, tmp_path, teachers=teachers.path, method=method)
    assert found["k2-d0"].vectors.shape == (L, SHAPE.length, H)
    assert not torch.equal(found["k2-d0"].vectors, found["k0-d0"].vectors)


def test_the_shape_of_all_prompts_may_say_it_in_place_of_the_method(backbones, data, tmp_path):
    by_shape = adapted(backbones, "llama", data, tmp_path / "a", prompt=SHAPE, method=PromptTuning(budget=SHORT))
    by_method = adapted(
        backbones, "llama", data, tmp_path / "b", prompt=PROMPT, method=PromptTuning(budget=SHORT, layers="every")
    )
    assert by_shape["k2-d0"].vectors.shape == (L, SHAPE.length, H)
    assert torch.equal(by_shape["k2-d0"].vectors, by_method["k2-d0"].vectors)


def test_what_has_no_layers_is_refused(made, backbones, data, tmp_path):
    _, distilled = made("llama")
    metaprompt = distilled.outputs / FILE
    with pytest.raises(InputError, match="routing mixes the factors of prompts at the input"):
        adapted(backbones, "llama", data, tmp_path, metaprompt=metaprompt, method=Routing(budget=SHORT))
    with pytest.raises(InputError, match="makes the vectors of the input only"):
        method = PromptTuning(budget=SHORT, encoder="mlp")
        adapted(backbones, "llama", data, tmp_path, prompt=SHAPE, method=method)
    with pytest.raises(InputError, match="make prompts at the input"):
        adapted(backbones, "llama", data, tmp_path, prompt=SHAPE, method=Routing(budget=SHORT, experts=2, rank=1))
    settings, opened = backbones["llama"]
    with pytest.raises(InputError, match="other engines take in only those of the input"):
        export_prompts(
            ExportSettings(backbone=settings, to="peft", prompts=(metaprompt,), out=tmp_path / "out"), opened=opened
        )
