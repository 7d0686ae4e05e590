"""Switches that change how a batch is run and nothing else."""

import warnings
from functools import partialmethod

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM

from clinprompt.backbones.loading import load_backbone
from clinprompt.backbones.protocol import Generation, Placement, PromptVectors, Row
from clinprompt.backbones.tiny import byte_tokenizer, write_tiny
from clinprompt.errors import InputError
from clinprompt.inference.engines.local import LocalEngine, Request

ROWS = [Row("a", tuple(range(10, 60)), (5,), (20, 21, 2)), Row("b", tuple(range(10, 30)), (5,), (20, 2))]
VECTORS = torch.randn(1, 5, 32, generator=torch.Generator().manual_seed(0)) * 0.3


def run(backbone, placement, rows=ROWS):
    vectors = VECTORS.clone().requires_grad_()
    output = backbone.forward(rows, PromptVectors(vectors, placement, (0,) * len(rows)))
    loss = torch.nn.functional.cross_entropy(output.logits, output.targets)
    loss.backward()
    return output.logits.detach(), vectors.grad


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "gpt-oss"])
def test_layers_compiled_to_machine_code_give_the_same_numbers(tmp_path, family):
    check_compiled(str(write_tiny(tmp_path, family=family)))


@pytest.mark.parametrize("family", ["llama", "gpt-oss"])
def test_compiled_layers_give_the_same_numbers(tmp_path, family, monkeypatch):
    """The compiler's first half, which traces the layers; its second half takes minutes and is marked slow."""
    traced = partialmethod(torch.nn.Module.compile, backend="eager")
    monkeypatch.setattr(torch.nn.Module, "compile", traced)
    check_compiled(str(write_tiny(tmp_path, family=family)))


def check_compiled(folder):
    plain = load_backbone(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's own remarks differ from machine to machine
        compiled = load_backbone(folder, compiled=True)
        for ours, theirs in zip(run(compiled, Placement.both), run(plain, Placement.both), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
        # The compiler does not look for hooks that come later: prompts in every layer would be without effect.
        every = VECTORS[:, None].repeat(1, plain.n_layers, 1, 1)
        assert torch.isfinite(plain.forward(ROWS, PromptVectors(every, Placement.both, (0, 0))).logits).all()
        for asked in (lambda: compiled.layer_inputs(VECTORS),
                      lambda: compiled.forward(ROWS, PromptVectors(every, Placement.both, (0, 0)))):  # fmt: skip
            with pytest.raises(InputError, match="compiled"):
                asked()


@pytest.mark.parametrize("family", ["llama", "gpt-oss"])
def test_half_precision_stays_near_single_and_prompts_keep_single_precision(tmp_path, family):
    folder = str(write_tiny(tmp_path, family=family))
    exact, gradient = run(load_backbone(folder), Placement.prefix)
    for way in ({"dtype": "bfloat16"}, {"autocast": "bfloat16"}):
        logits, found = run(load_backbone(folder, **way), Placement.prefix)
        assert logits.dtype is found.dtype is torch.float32
        assert float((logits - exact).norm() / exact.norm()) < 0.2
        assert float(torch.cosine_similarity(found.flatten(), gradient.flatten(), dim=0)) > 0.9


@pytest.mark.parametrize("way", [{"dtype": "bfloat16"}, {"autocast": "bfloat16"}])
def test_answers_in_half_precision_are_written_on_kept_states(tmp_path, way):
    backbone = load_backbone(str(write_tiny(tmp_path)), **way)
    requests = [Request(row, VECTORS[0], placement) for row in ROWS for placement in Placement]
    engine = LocalEngine(backbone)
    first = engine.answers(requests, Generation(8))
    assert first == engine.answers(requests, Generation(8))
    assert {answer.tokens for answer in first} <= set(range(9)) and any(answer.tokens for answer in first)


def test_a_network_with_an_attention_of_its_own_kind_is_run_padded(tmp_path):
    tokenizer = byte_tokenizer()
    sizes = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, head_dim=8)
    config = Gemma2Config(
        vocab_size=len(tokenizer), num_key_value_heads=2, final_logit_softcapping=None, sliding_window=16, **sizes
    )
    assert config.attn_logit_softcapping
    Gemma2ForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    backbone = load_backbone(str(tmp_path))
    assert not backbone.packed and backbone.note_cache() is None
    logits, gradient = run(backbone, Placement.suffix)
    alone = torch.cat([run(backbone, Placement.suffix, [row])[0] for row in ROWS])
    torch.testing.assert_close(logits, alone, rtol=1e-4, atol=1e-4)
    assert float(gradient.abs().max()) > 0
    requests = [Request(row, VECTORS[0]) for row in ROWS]
    assert len(LocalEngine(backbone).answers(requests, Generation(3))) == 2
    with pytest.raises(InputError, match="greedily"):
        LocalEngine(backbone).answers(requests, Generation(3, beams=2))
