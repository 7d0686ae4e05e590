import torch

from clinprompt.maths.attention import attended, attention_weights
from clinprompt.prompts.attended import AttendedPrompts

N, K, P, H = 3, 4, 2, 5


def made():
    draw = lambda *shape: torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))  # noqa: E731
    start, sources, logits = draw(N, P, H), draw(K, P, H), draw(N, K)
    return start, sources, logits, AttendedPrompts(start, sources, logits, temperature=0.5)


def test_members_have_their_own_prompt_and_their_own_part_of_the_sources():
    start, sources, logits, prompts = made()
    found = prompts.vectors(torch.tensor([2, 0])).detach()
    for vectors, n in zip(found, (2, 0), strict=True):
        weights = attention_weights(logits[n], temperature=0.5)
        torch.testing.assert_close(vectors, attended(start[n], sources, weights))
        torch.testing.assert_close(prompts.folded()[n], vectors)
        torch.testing.assert_close(prompts.weights(n), weights[None])
    assert not any(vectors.requires_grad for vectors in prompts.folded())
    assert prompts.lengths == (P,) * N and prompts.trainable(1) == P * H + K


def test_only_those_asked_for_get_a_gradient_and_the_sources_none():
    prompts = made()[-1]
    prompts.vectors(torch.tensor([1])).square().sum().backward()
    for group in prompts.groups():
        assert group.per_member and group.tensor.grad.flatten(1).ne(0).any(dim=1).tolist() == [False, True, False]
    assert [group.name for group in prompts.groups()] == ["prompt", "logits"]
    assert not prompts.sources.requires_grad


def test_nothing_is_shared_with_what_was_given():
    start, _, logits, prompts = made()
    before = start.clone(), logits.clone()
    with torch.no_grad():
        for group in prompts.groups():
            group.tensor.add_(1)
    assert torch.equal(start, before[0]) and torch.equal(logits, before[1])
