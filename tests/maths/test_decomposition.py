import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.maths.decomposition import TaskFactors, compose, mean_of_products, neutral_factors, widen


@given(P=st.integers(1, 7), H=st.integers(1, 9), R=st.integers(1, 4), seed=st.integers(0, 9))
def test_neutral_factors_leave_the_metaprompt_exactly_as_it_is(P, H, R, seed):
    metaprompt = torch.randn(P, H, generator=torch.Generator().manual_seed(seed))
    factors = neutral_factors(P, H, R, seed=seed)
    assert torch.equal(compose(metaprompt, factors.rows, factors.cols), metaprompt)


def test_compose_is_the_hadamard_product_with_the_sum_of_outer_products():
    P, H, R = 3, 4, 2
    generator = torch.Generator().manual_seed(1)
    meta, rows, cols = (torch.randn(*shape, generator=generator) for shape in ((P, H), (P, R), (R, H)))
    by_hand = torch.zeros(P, H)
    for p in range(P):
        for h in range(H):
            by_hand[p, h] = meta[p, h] * sum(rows[p, r] * cols[r, h] for r in range(R))
    torch.testing.assert_close(compose(meta, rows, cols), by_hand)


def test_a_metaprompt_of_the_wrong_length_is_refused_instead_of_broadcast():
    factors = neutral_factors(4, 3, 1, seed=0)
    with pytest.raises(Exception, match="compose"):
        compose(torch.ones(1, 3), factors.rows, factors.cols)


def test_components_beyond_the_first_get_different_gradients():
    torch.manual_seed(0)
    factors = neutral_factors(5, 6, 3, seed=0)
    cols = factors.cols.clone().requires_grad_()
    compose(torch.randn(5, 6), factors.rows, cols).square().sum().backward()
    assert not torch.allclose(cols.grad[1], cols.grad[2])


def test_mean_of_products_ignores_the_sign_gauge():
    generator = torch.Generator().manual_seed(2)
    rows, cols = torch.rand(1, 5, 1, generator=generator), torch.rand(1, 1, 7, generator=generator)
    flipped = mean_of_products(torch.cat([rows, -rows]), torch.cat([cols, -cols]), rank=1)
    torch.testing.assert_close(flipped.rows @ flipped.cols, (rows @ cols)[0])


def test_mean_of_products_is_exact_when_the_rank_suffices():
    generator = torch.Generator().manual_seed(3)
    rows, cols = torch.randn(3, 5, 1, generator=generator), torch.randn(3, 1, 7, generator=generator)
    mean = mean_of_products(rows, cols, rank=3)
    torch.testing.assert_close(mean.rows @ mean.cols, (rows @ cols).mean(dim=0))


def test_widening_keeps_the_product():
    pair = TaskFactors(torch.randn(5, 1), torch.randn(1, 7))
    wide = widen(pair, rank=3, seed=0)
    assert wide.rank == 3
    torch.testing.assert_close(wide.rows @ wide.cols, pair.rows @ pair.cols)


@given(P=st.integers(1, 7), H=st.integers(1, 9), R=st.integers(1, 4), seed=st.integers(0, 9))
def test_neutral_factors_that_are_added_leave_the_metaprompt_exactly_as_it_is(P, H, R, seed):
    metaprompt = torch.randn(P, H, generator=torch.Generator().manual_seed(seed))
    factors = neutral_factors(P, H, R, seed=seed, shift="additive")
    cols = factors.cols.clone().requires_grad_()
    composed = compose(metaprompt, factors.rows, cols, shift="additive")
    assert torch.equal(composed, metaprompt)
    composed.square().sum().backward()  # and they leave it: every component has a gradient of its own
    assert cols.grad.abs().sum(dim=1).gt(0).all()
    assert R == 1 or not torch.allclose(cols.grad[0], cols.grad[1])


def test_the_additive_shift_is_the_metaprompt_plus_the_sum_of_outer_products():
    generator = torch.Generator().manual_seed(1)
    meta, rows, cols = (torch.randn(*shape, generator=generator) for shape in ((3, 4), (3, 2), (2, 4)))
    by_hand = meta.clone()
    for r in range(2):
        by_hand += torch.outer(rows[:, r], cols[r])
    torch.testing.assert_close(compose(meta, rows, cols, shift="additive"), by_hand)


def test_factors_in_every_layer_are_those_of_each_layer_alone():
    torch.manual_seed(0)
    rows, cols, metaprompt = torch.randn(4, 3, 5, 2), torch.randn(4, 3, 2, 6), torch.randn(3, 5, 6)
    mean = mean_of_products(rows, cols, rank=3)
    for layer in range(3):
        alone = mean_of_products(rows[:, layer], cols[:, layer], rank=3)
        torch.testing.assert_close(mean.rows[layer] @ mean.cols[layer], alone.rows @ alone.cols)
    wide = widen(mean, rank=4, seed=0)
    assert wide.rows.shape == (3, 5, 4) and torch.allclose(wide.rows @ wide.cols, mean.rows @ mean.cols)
    for shift in ("product", "additive"):
        neutral = neutral_factors(5, 6, 2, seed=1, shift=shift, layers=(3,))
        assert torch.equal(compose(metaprompt, neutral.rows, neutral.cols, shift=shift), metaprompt)
