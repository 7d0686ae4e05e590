import pytest
import torch

from clinprompt.maths.lstm import two_way_lstm

M, P, ENTERING, S = 3, 5, 4, 3
LENGTHS = (5, 1, 3)


def drawn(seed=0):
    draw = torch.Generator().manual_seed(seed)
    shapes = ((M, P, ENTERING), (M, 2, 4 * S, ENTERING), (M, 2, 4 * S, S), (M, 2, 4 * S))
    return [torch.randn(shape, generator=draw, dtype=torch.float64).requires_grad_() for shape in shapes]


def torchs_own(inputs, weights, states, biases):
    """The stock layer with one member's weights; inputs ``[P, I]``."""
    layer = torch.nn.LSTM(ENTERING, S, bidirectional=True, batch_first=True, dtype=torch.float64)
    for way, end in enumerate(("", "_reverse")):
        for name, value in (("weight_ih", weights[way]), ("weight_hh", states[way]), ("bias_ih", biases[way])):
            delattr(layer, f"{name}_l0{end}")
            setattr(layer, f"{name}_l0{end}", value)
        torch.nn.init.zeros_(getattr(layer, f"bias_hh_l0{end}"))
    flat = [
        getattr(layer, f"{name}_l0{end}")
        for end in ("", "_reverse")
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    begin = torch.zeros(2, 1, S, dtype=torch.float64)
    found, _, _ = torch.lstm(inputs[None], (begin, begin), flat, True, 1, 0.0, False, True, True)
    return found[0]


def test_each_member_is_the_stock_layer_with_its_own_weights_on_its_own_length():
    tensors = drawn()
    inputs, weights, states, biases = tensors
    found = two_way_lstm(inputs, LENGTHS, input_weights=weights, state_weights=states, biases=biases)
    expected = torch.zeros_like(found)
    for m, length in enumerate(LENGTHS):
        expected[m, :length] = torchs_own(inputs[m, :length], weights[m], states[m], biases[m])
    torch.testing.assert_close(found, expected)
    for m, length in enumerate(LENGTHS):
        assert not found[m, length:].any()
    weighting = torch.randn(found.shape, dtype=found.dtype, generator=torch.Generator().manual_seed(1))
    for one, other in zip(
        torch.autograd.grad((found * weighting).sum(), tensors),
        torch.autograd.grad((expected * weighting).sum(), tensors),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("padding", [0.0, 1e6])
def test_what_stands_behind_a_members_length_changes_nothing(padding):
    inputs, weights, states, biases = drawn()
    changed = inputs.detach().clone()
    changed[1, 1:] = padding
    before, after = (
        two_way_lstm(x, LENGTHS, input_weights=weights, state_weights=states, biases=biases) for x in (inputs, changed)
    )
    assert torch.equal(before, after)
