"""The switches of mpt at its stages: no teachers, one prompt for all, a random metaprompt, prompts held to their start."""

from __future__ import annotations

import pytest
import torch

from clinprompt.errors import InputError
from clinprompt.prompts.exports.origin import Origin
from clinprompt.prompts.exports.peft import export_peft
from clinprompt.prompts.prompt_file import load_metaprompt, load_prompt
from clinprompt.stages.adapt import adapt
from clinprompt.stages.configs import AdaptSettings, DistillSettings
from clinprompt.stages.decomposed_prompts import randomised
from clinprompt.stages.distill import FILE, distill
from clinprompt.stages.identity import run_id
from clinprompt.stages.methods import Budget, Mpt, PromptTuning
from tests.encoder_methods import PROMPT

SHORT = Budget(steps=2, batch=2, rates=(0.3,), dev_limit=2)


@pytest.fixture(scope="module")
def learned(data, backbones, tmp_path_factory):
    """A metaprompt of three sources without teachers, on one of two families."""
    runs = tmp_path_factory.mktemp("sources")

    def run(family, **options):
        settings, opened = backbones[family]
        given = {"weight": 0, "start": "vocabulary", "prompt": PROMPT, "budget": SHORT} | options
        sources = tuple(data / name for name in ("drugs", "doses"))
        return distill(DistillSettings(backbone=settings, sources=sources, **given), runs=runs, opened=opened)

    return run


def adapted_prompts(backbones, family, metaprompt, targets, runs, **options):
    settings, opened = backbones[family]
    given = AdaptSettings(
        backbone=settings,
        targets=tuple(targets),
        metaprompt=metaprompt,
        shots=(0, 2),
        method=Mpt(budget=SHORT, **options),
    )
    run = adapt(given, runs=runs, opened=opened)
    return {
        path.parent.relative_to(run.outputs).as_posix(): load_prompt(path)
        for path in run.outputs.rglob("prompt.safetensors")
    }


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_a_prompt_held_to_its_start_is_the_same_alone_and_in_a_gang(family, learned, backbones, data, tmp_path):
    metaprompt = learned(family).outputs / FILE
    several = ("meds", "links") if family == "bert" else ("meds", "drugs")
    held = {"prior": 2.0, "kl_to_start": 1.0}
    together = adapted_prompts(
        backbones, family, metaprompt, (data / name for name in several), tmp_path / "gang", **held
    )
    alone = adapted_prompts(backbones, family, metaprompt, [data / "meds"], tmp_path / "alone", **held)
    free = adapted_prompts(backbones, family, metaprompt, [data / "meds"], tmp_path / "free")
    for cell, prompt in alone.items():
        torch.testing.assert_close(together[cell].vectors, prompt.vectors, rtol=1e-3, atol=1e-5)
        for name, tensor in prompt.heads.items():
            torch.testing.assert_close(together[cell].heads[name], tensor, rtol=1e-3, atol=1e-5)
    assert torch.equal(free["meds/k0-d0"].vectors, alone["meds/k0-d0"].vectors)
    assert not torch.equal(free["meds/k2-d0"].vectors, alone["meds/k2-d0"].vectors)


def test_one_prompt_for_all_sources_is_adapted_alone(learned, backbones, data, tmp_path):
    run = learned("llama", decomposed=False)
    metaprompt = load_metaprompt(run.outputs / FILE)
    assert metaprompt.factors == {} and metaprompt.card.rank is None and metaprompt.card.tasks == ("drugs", "doses")
    assert metaprompt.card.trainable == metaprompt.vectors.numel()
    found = adapted_prompts(backbones, "llama", run.outputs / FILE, [data / "meds"], tmp_path)
    assert torch.equal(found["meds/k0-d0"].vectors, metaprompt.vectors)
    assert found["meds/k2-d0"].card.trainable == metaprompt.vectors.numel()
    assert found["meds/k2-d0"].card.rank is None
    with pytest.raises(InputError, match="nothing is left to train"):
        adapted_prompts(backbones, "llama", run.outputs / FILE, [data / "meds"], tmp_path, train_metaprompt=False)
    with pytest.raises(InputError, match="are missing"):
        export_peft([metaprompt], Origin(tmp_path, "tiny", 32, 4, 3, "embedding", "head", False), tmp_path / "peft")


def test_factors_of_a_rank_beyond_the_sources_can_all_be_trained(learned, backbones, data, tmp_path):
    metaprompt = learned("llama").outputs / FILE  # two sources of rank 1
    found = adapted_prompts(backbones, "llama", metaprompt, [data / "meds"], tmp_path, rank=3, train_metaprompt=False)
    made = load_metaprompt(metaprompt)
    change = found["meds/k2-d0"].vectors / made.vectors
    assert torch.linalg.matrix_rank(change.double(), rtol=1e-5) == 3


def test_a_random_metaprompt_has_the_lengths_of_the_learned_one_and_nothing_else_of_it(learned):
    made = load_metaprompt(learned("llama").outputs / FILE)
    one, same, other = (randomised(made, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.vectors, same.vectors) and not torch.equal(one.vectors, other.vectors)
    torch.testing.assert_close(one.vectors.norm(dim=1), made.vectors.norm(dim=1))
    assert abs(float(torch.cosine_similarity(one.vectors.flatten(), made.vectors.flatten(), dim=0))) < 0.5
    assert one.factors is made.factors and one.card is made.card


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"weight": 1.0}, "are missing"),
        ({"weight": 0, "start": "teachers"}, "are missing"),
        ({"teachers": "t", "prompt": PROMPT}, "leave `prompt` out"),
        ({"teachers": "t", "decomposed": False, "rank": 2}, "there are none"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        DistillSettings(sources=("a",), **fields)
    with pytest.raises(ValueError, match="names a variant"):
        AdaptSettings(targets=("a",), metaprompt="m", method=Mpt(metaprompt="plain"))


def test_a_switch_that_is_not_used_renames_no_run():
    def identity(method):
        return run_id(stage="adapt", version=2, config=method, inputs={}, contents={})

    assert identity(Mpt()) == identity(Mpt(prior=0, metaprompt="", train_factors=True))
    assert len({identity(one) for one in (Mpt(), Mpt(prior=0.5), Mpt(random_metaprompt=True), PromptTuning())}) == 4
