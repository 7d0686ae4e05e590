import pytest
import torch

from clinprompt.maths.attention import attention_weights
from clinprompt.maths.decomposition import compose
from clinprompt.maths.routing import routed
from clinprompt.prompts.routed import RoutedPrompts

N, S, K, P, R, H = 3, 2, 4, 5, 2, 6


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def over_sources(**options):
    parts = {"rows": draw(1, K, P, R), "cols": draw(1, K, R, H), "logits": draw(N, S, K), "metaprompt": draw(P, H)}
    return parts, RoutedPrompts(**parts, temperature=2.0, **options)


def own_experts():
    parts = {"rows": draw(N, K, P, R), "cols": draw(N, 1, R, H), "logits": draw(N, S, K)}
    return parts, RoutedPrompts(**parts)


@pytest.mark.parametrize("train", [True, False])
def test_over_sources_it_is_the_metaprompt_times_their_mixture(train):
    parts, prompts = over_sources(train_metaprompt=train)
    found = prompts.vectors(torch.tensor([2, 0])).detach()
    for vectors, n in zip(found, (2, 0), strict=True):
        gates = attention_weights(parts["logits"][n], temperature=2.0)
        expected = torch.zeros(P, H)
        for k in range(K):
            whole = compose(parts["metaprompt"], parts["rows"][0, k], parts["cols"][0, k])
            expected[:3] += gates[0, k] * whole[:3]
            expected[3:] += gates[1, k] * whole[3:]
        torch.testing.assert_close(vectors, expected)
        torch.testing.assert_close(prompts.folded()[n], expected)
        torch.testing.assert_close(prompts.weights(n), gates)
    names = [group.name for group in prompts.groups()]
    assert names == (["logits", "metaprompt"] if train else ["logits"])
    assert prompts.trainable(0) == S * K + (P * H if train else 0)


def test_own_experts_share_their_columns_and_all_train():
    parts, prompts = own_experts()
    gates = attention_weights(parts["logits"], temperature=1.0)
    for n, vectors in enumerate(prompts.folded()):
        torch.testing.assert_close(vectors, routed(parts["rows"][n], parts["cols"][n], gates[n]))
        assert not vectors.requires_grad
    assert [group.name for group in prompts.groups()] == ["logits", "rows", "cols"]
    assert prompts.trainable(2) == S * K + K * P * R + R * H


@pytest.mark.parametrize("kind", [over_sources, own_experts])
def test_only_those_asked_for_get_a_gradient(kind):
    _, prompts = kind()
    prompts.vectors(torch.tensor([1])).square().sum().backward()
    for group in prompts.groups():
        touched = group.tensor.grad.flatten(1).ne(0).any(dim=1).tolist()
        assert group.per_member and touched == [False, True, False], group.name
    frozen = {"rows", "cols"} if kind is over_sources else set()
    assert not any(getattr(prompts, name).requires_grad for name in frozen)


@pytest.mark.parametrize("kind", [over_sources, own_experts])
def test_nothing_is_shared_with_what_was_given(kind):
    parts, prompts = kind()
    before = {name: tensor.clone() for name, tensor in parts.items()}
    with torch.no_grad():
        for group in prompts.groups():
            group.tensor.add_(1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in parts.items())
