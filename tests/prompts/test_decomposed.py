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
    assert torch.equal(prompts.folded()[[2, 0]], found)
    assert not prompts.folded().requires_grad


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
