from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch

from clinprompt.backbones.guards import check_gradient, check_placed
from clinprompt.errors import InputError
from tests.made_backbones import tiny_backbone


@pytest.fixture(scope="module", params=["llama", "gpt-oss"])
def model(request, tmp_path_factory):
    return tiny_backbone(tmp_path_factory.mktemp(request.param), family=request.param, dtype="float32").model


def test_a_sound_network_passes_and_no_weight_gets_a_gradient(model):
    check_gradient(model, where="here")
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("fault", ["silent", "refused"])
def test_products_without_a_backward_pass_are_noticed(model, fault):
    """As dynamic 8-bit products do: right forwards, nothing or an error backwards."""

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight, bias):
            return torch.nn.functional.linear(x, weight, bias)

        @staticmethod
        def backward(ctx, gradient):
            raise NotImplementedError

    def forward(self, x):
        if fault == "silent":
            with torch.no_grad():
                return torch.nn.functional.linear(x, self.weight, self.bias)
        return Product.apply(x, self.weight, self.bias)

    with patch.object(torch.nn.Linear, "forward", forward), pytest.raises(InputError, match="no gradient passes"):
        check_gradient(model, where="here")


def test_layers_left_on_the_disk_are_refused():
    check_placed(SimpleNamespace(), where="here")
    check_placed(SimpleNamespace(hf_device_map={"model": 0, "lm_head": 1}), where="here")
    with pytest.raises(InputError, match="do not fit on the accelerators together"):
        check_placed(SimpleNamespace(hf_device_map={"model": 0, "lm_head": "disk"}), where="here")
