import pytest
import torch
from torch import nn

from clinprompt.prompts.encoded import EncodedPrompts

H, WIDTH = 8, 6
LENGTHS = (4, 1, 3)
BOTH = pytest.mark.parametrize("encoder", ["mlp", "lstm"])


def starts(lengths=LENGTHS):
    return [torch.randn(length, H, generator=torch.Generator().manual_seed(length)) * 0.1 for length in lengths]


def made(encoder, *, residual=False, chosen=range(3), shaken=True):
    """Members with these seeds; shaken: moved away from where they begin, so that no weight is zero."""
    prompts = EncodedPrompts(
        [starts()[n] for n in chosen], encoder=encoder, width=WIDTH, seed=[7 + n for n in chosen], residual=residual
    )
    if shaken:
        with torch.no_grad():
            for group in prompts.groups()[1:]:
                for place, n in zip(group.tensor, chosen, strict=True):
                    place += 0.3 * torch.randn(place.shape, generator=torch.Generator().manual_seed(100 + n))
    return prompts


def stock(prompts, n, encoder):
    """The same encoder built of torch's own layers."""
    weights = {name: tensor[n].detach() for name, tensor in prompts.weights.items()}
    x = prompts.values[n, : prompts.lengths[n]].detach()
    if encoder == "lstm":
        layer = nn.LSTM(H, WIDTH // 2, num_layers=2, bidirectional=True)
        state = {}
        for number in (0, 1):
            for way, end in enumerate(("", "_reverse")):
                state[f"weight_ih_l{number}{end}"] = weights[f"lstm_input_{number}"][way]
                state[f"weight_hh_l{number}{end}"] = weights[f"lstm_state_{number}"][way]
                state[f"bias_ih_l{number}{end}"] = weights[f"lstm_bias_{number}"][way]
                state[f"bias_hh_l{number}{end}"] = torch.zeros(2 * WIDTH)
        layer.load_state_dict(state)
        x = layer(x)[0]
    inner, outer = nn.Linear(x.shape[1], WIDTH), nn.Linear(WIDTH, H)
    inner.load_state_dict({"weight": weights["inner"], "bias": weights["inner_bias"]})
    outer.load_state_dict({"weight": weights["outer"], "bias": weights["outer_bias"]})
    return outer(inner(x).relu()).detach()


@BOTH
@pytest.mark.parametrize("residual", [True, False])
def test_each_member_is_what_torchs_own_layers_make_of_its_vectors(encoder, residual):
    prompts = made(encoder, residual=residual)
    found = prompts.vectors(torch.tensor([2, 0]))
    assert found.shape == (2, 4, H) and prompts.lengths == LENGTHS and prompts.n_members == 3
    for vectors, n in zip(found.detach(), (2, 0), strict=True):
        expected = stock(prompts, n, encoder) + (starts()[n] if residual else 0)
        torch.testing.assert_close(vectors[: LENGTHS[n]], expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(prompts.folded()[n], expected, rtol=1e-5, atol=1e-6)
        assert not vectors[LENGTHS[n] :].any()
    assert not any(vectors.requires_grad for vectors in prompts.folded())


@BOTH
@pytest.mark.parametrize("residual", [True, False])
def test_a_member_begins_and_learns_the_same_alone_or_in_a_gang(encoder, residual):
    together = made(encoder, residual=residual, shaken=False)
    alone = [made(encoder, residual=residual, shaken=False, chosen=[n]) for n in range(3)]

    def learn(prompts):
        optimiser = torch.optim.SGD([group.tensor for group in prompts.groups()], lr=0.02)
        for _ in range(8):
            optimiser.zero_grad()
            vectors = prompts.vectors(torch.arange(prompts.n_members))
            sum((x[:k] - 0.5).square().sum() for x, k in zip(vectors, prompts.lengths, strict=True)).backward()
            optimiser.step()

    for step in range(2):
        for n, single in enumerate(alone):
            torch.testing.assert_close(together.folded()[n], single.folded()[0], rtol=1e-5, atol=1e-6)
        if not step:
            for prompts in (together, *alone):
                learn(prompts)
    assert not any(together.values[n, length:].any() for n, length in enumerate(LENGTHS))
    assert not torch.allclose(together.folded()[0], starts()[0], atol=0.05)


@BOTH
def test_with_residual_the_prompt_begins_as_exactly_the_start(encoder):
    prompts = made(encoder, residual=True, shaken=False)
    for vectors, start in zip(prompts.folded(), starts(), strict=True):
        assert torch.equal(vectors, start)
    prompts.vectors(torch.arange(3)).pow(2).sum().backward()
    assert prompts.weights["outer"].grad.ne(0).any()


@BOTH
def test_without_residual_it_begins_in_the_starts_scale_and_is_another(encoder):
    prompts = made(encoder, shaken=False)
    for vectors, start in zip(prompts.folded(), starts(), strict=True):
        torch.testing.assert_close(vectors.square().mean(), start.square().mean(), rtol=1e-4, atol=0)
        assert not torch.allclose(vectors, start, atol=1e-3)


@BOTH
def test_members_differ_by_their_seed_and_only_those_asked_for_get_a_gradient(encoder):
    prompts = made(encoder, shaken=False)
    assert not torch.equal(prompts.weights["inner"][0], prompts.weights["inner"][1])
    one = EncodedPrompts(starts(), encoder=encoder, width=WIDTH, seed=3, residual=False)
    assert torch.equal(one.weights["inner"][0], one.weights["inner"][1])
    prompts.vectors(torch.tensor([0])).square().sum().backward()
    for group in prompts.groups():
        touched = group.tensor.grad.flatten(1).ne(0).any(dim=1).tolist()
        assert group.per_member and touched == [True, False, False], group.name


def test_what_is_trained_is_named_and_counted():
    prompts = made("mlp")
    names = [group.name for group in prompts.groups()]
    assert names == ["prompt", "encoder/inner", "encoder/inner_bias", "encoder/outer", "encoder/outer_bias"]
    assert prompts.trainable(1) == H + 2 * H * WIDTH + WIDTH + H
    wide = EncodedPrompts(torch.randn(1, 2, 64), encoder="lstm", width=64, seed=0, residual=True)
    biases = sum(tensor.numel() for name, tensor in wide.weights.items() if "bias" in name)
    assert wide.trainable(0) - 2 * 64 - biases == 14 * 64**2


def test_impossible_encoders_are_refused():
    with pytest.raises(ValueError, match="even width"):
        EncodedPrompts(starts(), encoder="lstm", width=5, seed=0, residual=True)
    with pytest.raises(ValueError, match="2 seeds for 3 members"):
        EncodedPrompts(starts(), encoder="mlp", width=5, seed=[0, 1], residual=True)
