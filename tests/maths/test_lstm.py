import pytest
import torch

from clinprompt.maths.lstm import two_way_lstm

M, P, ENTERING, S = 3, 5, 4, 3
LENGTHS = (5, 1, 3)


def drawn(seed=0):
    draw = torch.Generator().manual_seed(seed)
    shapes = ((M, P, ENTERING), (M, 2, 4 * S, ENTERING), (M, 2, 4 * S, S), (M, 2, 4 * S))
    return [torch.randn(shape, generator=draw, dtype=torch.float64).requires_grad_() for shape in shapes]


def one_way(inputs, weights, states, bias):
    """The textbook recurrence, one input after the other; inputs ``[P, ENTERING]``."""
    state = cell = torch.zeros(S, dtype=inputs.dtype)
    found = []
    for x in inputs:
        gates = weights @ x + states @ state + bias
        enter, forget, content, leave = gates[:S], gates[S : 2 * S], gates[2 * S : 3 * S], gates[3 * S :]
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(content)
        state = torch.sigmoid(leave) * torch.tanh(cell)
        found.append(state)
    return torch.stack(found)


def both_ways(inputs, weights, states, biases):
    forth = one_way(inputs, weights[0], states[0], biases[0])
    back = one_way(inputs.flip(0), weights[1], states[1], biases[1]).flip(0)
    return torch.cat([forth, back], dim=1)


def test_each_member_is_the_textbook_recurrence_with_its_own_weights_on_its_own_length():
    tensors = drawn()
    inputs, weights, states, biases = tensors
    found = two_way_lstm(inputs, LENGTHS, input_weights=weights, state_weights=states, biases=biases)
    expected = torch.zeros_like(found)
    for m, length in enumerate(LENGTHS):
        expected[m, :length] = both_ways(inputs[m, :length], weights[m], states[m], biases[m])
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
