import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.maths.routing import expert_factors, routed, segment_of

K, P, R, H, N, S = 3, 5, 2, 4, 2, 2


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@given(P=st.integers(1, 40), data=st.data())
def test_segments_are_neighbours_in_order_and_even(P, data):
    count = data.draw(st.integers(1, P))
    found = segment_of(P, count).tolist()
    assert found == sorted(found) and set(found) == set(range(count))
    sizes = [found.count(segment) for segment in range(count)]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("own", [True, False])
def test_each_vector_is_the_sum_of_the_experts_by_the_gates_of_its_segment(shared, own):
    many = (N,) if own else ()
    rows, cols, gates = drawn(*many, K, P, R), drawn(*many, 1 if shared else K, R, H), drawn(N, S, K)
    found = routed(rows, cols, gates)
    assert found.shape == (N, P, H)
    for n in range(N):
        a, b = (rows[n], cols[n]) if own else (rows, cols)
        for p in range(P):
            segment = 0 if p < 3 else 1
            for h in range(H):
                expected = sum(
                    float(gates[n, segment, k]) * float(a[k, p, r]) * float(b[0 if shared else k, r, h])
                    for k in range(K)
                    for r in range(R)
                )
                assert float(found[n, p, h]) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_experts_are_near_the_best_low_rank_part_and_all_different():
    start = drawn(P, H)
    rows, cols = expert_factors(start, experts=K, rank=R, seed=1, noise=0.01)
    assert rows.shape == (K, P, R) and cols.shape == (1, R, H)
    left, values, right = torch.linalg.svd(start, full_matrices=False)
    best = left[:, :R] @ torch.diag(values[:R]) @ right[:R]
    for one in rows:
        torch.testing.assert_close(one @ cols[0], best, rtol=0, atol=0.05)
    assert not torch.equal(rows[0], rows[1])
    again, _ = expert_factors(start, experts=K, rank=R, seed=1, noise=0.01)
    other, _ = expert_factors(start, experts=K, rank=R, seed=2, noise=0.01)
    assert torch.equal(rows, again) and not torch.equal(rows, other)


def test_components_that_the_start_lacks_have_no_product_and_still_a_gradient():
    start = drawn(P, 1) @ drawn(1, H)  # of rank one
    rows, cols = expert_factors(start, experts=2, rank=R, seed=1)
    assert cols[0, 1].abs().max() < 1e-3  # rounding, under a root
    cols.requires_grad_()
    routed(rows, cols, torch.full((1, 2), 0.5)).sum().backward()
    assert bool(cols.grad[0, 1].ne(0).all())
