import pytest
import torch
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from clinprompt.backbones import frozen_layers
from clinprompt.training.weights import all_weights
from tests.made_backbones import tiny_backbone


@pytest.mark.parametrize("late, stock", [(False, LlamaRMSNorm), (True, GptOssRMSNorm)])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
def test_a_norm_gives_the_stock_values_to_the_bit_and_its_gradient(late, stock, dtype, tolerance):
    generator = torch.Generator().manual_seed(0)
    norm = stock(16).to(dtype).requires_grad_(False)
    norm.weight.data = torch.randn(16, generator=generator).to(dtype)
    found = []
    for way in (norm, lambda x: frozen_layers._Norm.apply(x, norm.weight, norm.variance_epsilon, late)):
        values = (torch.randn(5, 7, 16, generator=generator.manual_seed(1)) * 3).to(dtype).requires_grad_()
        out = way(values)
        (out.float() * torch.randn(5, 7, 16, generator=generator.manual_seed(2))).sum().backward()
        found.append((out.detach(), values.grad))
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1], rtol=tolerance, atol=tolerance)


def test_a_gate_and_its_gradients_are_those_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    gate, up = (torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(frozen_layers._Gate.apply, (gate, up))
    assert torch.equal(frozen_layers._Gate.apply(gate, up), torch.nn.functional.silu(gate) * up)


@pytest.mark.parametrize("family, norms, gates", [("llama", 7, 3), ("qwen3", 13, 3), ("gpt-oss", 7, 0)])
def test_they_stand_in_only_while_rows_are_packed_and_weights_frozen(tmp_path, monkeypatch, family, norms, gates):
    backbone = tiny_backbone(tmp_path, family=family)
    seen = []
    for name in ("_normed", "_multiplied"):
        own = getattr(frozen_layers, name)
        monkeypatch.setattr(frozen_layers, name, lambda *a, name=name, own=own: seen.append(name) or own(*a))
    ids = torch.tensor([[5, 6, 7]])

    def counted():
        seen.clear()
        backbone.states([(5, 6, 7)])
        return seen.count("_normed"), seen.count("_multiplied")

    backbone.model(input_ids=ids)
    assert not seen
    assert counted() == (norms, gates)
    with all_weights(backbone):
        assert counted() == (0, gates)
    seen.clear()
    backbone.model(input_ids=ids)
    assert not seen


def test_a_norm_of_another_kind_is_left_alone():
    class Shifted(LlamaRMSNorm):
        def forward(self, hidden_states):
            return super().forward(hidden_states) + hidden_states

    norm = Shifted(8)
    before = norm.weight.clone()
    frozen_layers.lighten(torch.nn.Sequential(norm))
    assert "forward" not in norm.__dict__ and torch.equal(norm.weight, before)
