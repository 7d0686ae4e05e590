import pytest
import torch

from clinprompt.maths.decomposition import TaskFactors
from clinprompt.prompts.decomposed import DecomposedPrompts

P, H, R, N = 3, 4, 2, 3


def made(**options):
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    metaprompt, factors = draw(P, H), [TaskFactors(draw(P, R), draw(R, H)) for _ in range(N)]
    return metaprompt, factors, DecomposedPrompts(metaprompt, factors, **options)


@pytest.mark.parametrize("shared", [True, False])
def test_every_row_gets_the_product_of_its_member_entry_by_entry(shared):
    metaprompt, factors, prompts = made(shared=shared)
    found = prompts.vectors(torch.tensor([2, 0])).detach()
    for row, n in zip(found, (2, 0), strict=True):
        for p in range(P):
            for h in range(H):
                factor = sum(float(factors[n].rows[p, r]) * float(factors[n].cols[r, h]) for r in range(R))
                assert float(row[p, h]) == pytest.approx(float(metaprompt[p, h]) * factor, rel=1e-5, abs=1e-6)
    folded = prompts.folded()
    torch.testing.assert_close(torch.stack([folded[2], folded[0]]), found)
    assert not any(vectors.requires_grad for vectors in folded)


def test_a_shared_metaprompt_is_one_tensor_and_a_targets_own_are_many():
    for shared, copies in ((True, 1), (False, N)):
        _, _, prompts = made(shared=shared)
        groups = {group.name: group for group in prompts.groups()}
        assert list(groups) == ["metaprompt", "rows", "cols"]
        assert groups["metaprompt"].tensor.shape == (copies, P, H)
        assert groups["metaprompt"].per_member is not shared
        assert groups["rows"].per_member and groups["cols"].per_member
        prompts.vectors(torch.tensor([1])).sum().backward()
        touched = groups["metaprompt"].tensor.grad.abs().sum((1, 2)).gt(0).tolist()
        assert touched == ([True] if shared else [False, True, False])
        assert groups["rows"].tensor.grad.abs().sum((1, 2)).gt(0).tolist() == [False, True, False]


def test_a_metaprompt_that_does_not_train_is_no_group_and_gets_no_gradient():
    _, _, prompts = made(shared=False, train_metaprompt=False)
    assert [group.name for group in prompts.groups()] == ["rows", "cols"]
    prompts.vectors(torch.tensor([0])).sum().backward()
    assert prompts.metaprompt.grad is None


def test_factors_come_back_and_nothing_is_shared_with_what_was_given():
    metaprompt, factors, prompts = made(shared=False)
    before = metaprompt.clone()
    for pair, found in zip(factors, prompts.factors(), strict=True):
        assert torch.equal(pair.rows, found.rows) and torch.equal(pair.cols, found.cols)
        found.rows.zero_()
    with torch.no_grad():
        for group in prompts.groups():
            group.tensor.add_(1)
    assert torch.equal(metaprompt, before)
    assert not torch.equal(prompts.rows[0], factors[0].rows) and prompts.rows.ne(0).any()


LENGTHS, RANKS = (3, 1, 2), (1, 3, 2)


def different(**options):
    """Members of different lengths and ranks."""
    draw = lambda *shape: torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))  # noqa: E731
    factors = [TaskFactors(draw(length, rank), draw(rank, H)) for length, rank in zip(LENGTHS, RANKS, strict=True)]
    return DecomposedPrompts(draw(P, H), factors, **options), factors


@pytest.mark.parametrize("shared", [True, False])
def test_members_of_different_lengths_and_ranks_come_back_as_they_are_alone(shared):
    prompts, factors = different(shared=shared)
    assert (prompts.lengths, prompts.ranks) == (LENGTHS, RANKS)
    found = prompts.vectors(torch.tensor([1, 2, 0])).detach()
    assert found.shape == (3, max(LENGTHS), H)
    for n, vectors in zip((1, 2, 0), found, strict=True):
        alone = DecomposedPrompts(prompts.metaprompts()[n], [factors[n]], shared=False)
        [expected] = alone.folded()
        assert expected.shape == (LENGTHS[n], H)
        torch.testing.assert_close(vectors[: LENGTHS[n]], expected)
        torch.testing.assert_close(prompts.folded()[n], expected)
        assert not vectors[LENGTHS[n] :].any()
        assert prompts.trainable(n) == alone.trainable(0) == LENGTHS[n] * H + RANKS[n] * (LENGTHS[n] + H)


def test_what_pads_a_member_stays_zero_whatever_is_trained():
    prompts, _ = different(shared=False)
    optimiser = torch.optim.AdamW([group.tensor for group in prompts.groups()], lr=0.1)
    mask = torch.arange(max(LENGTHS))[None, :, None] < torch.tensor(LENGTHS)[:, None, None]
    for _ in range(20):
        optimiser.zero_grad()
        vectors = prompts.vectors(torch.arange(N))
        ((vectors - 1) * mask).pow(2).sum().backward()  # no gradient where no prompt vector is
        optimiser.step()
    for n, (length, rank) in enumerate(zip(LENGTHS, RANKS, strict=True)):
        assert not prompts.metaprompt[n, length:].any()
        assert not prompts.rows[n, length:].any() and not prompts.rows[n, :, rank:].any()
        assert not prompts.cols[n, rank:].any()
        assert prompts.rows[n, :length, :rank].all() and prompts.cols[n, :rank].all()


def test_targets_may_each_have_their_own_metaprompt():
    _, factors = different(shared=False)
    own = [torch.full((length, H), float(n)) for n, length in enumerate(LENGTHS, 1)]
    prompts = DecomposedPrompts(own, factors, shared=False)
    for vectors, pair, given in zip(prompts.folded(), factors, own, strict=True):
        torch.testing.assert_close(vectors, given * (pair.rows @ pair.cols))
    with pytest.raises(ValueError, match="3 metaprompts for 3 members, shared"):
        DecomposedPrompts(own, factors, shared=True)
    with pytest.raises(ValueError, match="more rows than its metaprompt"):
        DecomposedPrompts([vectors[:1] for vectors in own], factors, shared=False)
    with pytest.raises(ValueError, match="more rows than its metaprompt"):
        DecomposedPrompts(torch.ones(2, H), factors, shared=True)


def test_factors_that_do_not_train_leave_one_prompt_for_all():
    metaprompt, _, _ = made(shared=True)
    neutral = [TaskFactors(torch.ones(P, 1), torch.ones(1, H))] * N
    prompts = DecomposedPrompts(metaprompt, neutral, shared=True, train_factors=False)
    assert [group.name for group in prompts.groups()] == ["metaprompt"]
    prompts.vectors(torch.tensor([0, 2])).sum().backward()
    assert torch.equal(prompts.metaprompt.grad, torch.full((1, P, H), 2.0))
    assert prompts.rows.grad is None and prompts.trainable(0) == P * H
    assert all(torch.equal(vectors, metaprompt) for vectors in prompts.folded())


@pytest.mark.parametrize("shared", [True, False])
def test_members_with_an_additive_shift_come_back_as_they_are_alone(shared):
    prompts, factors = different(shared=shared, shift="additive")
    found = prompts.vectors(torch.tensor([1, 2, 0])).detach()
    for n, vectors in zip((1, 2, 0), found, strict=True):
        expected = prompts.metaprompts()[n] + factors[n].rows @ factors[n].cols
        torch.testing.assert_close(vectors[: LENGTHS[n]], expected)
        torch.testing.assert_close(prompts.folded()[n], expected)
        assert shared or not vectors[LENGTHS[n] :].any()
