import pytest
import torch
from torch.distributions import Normal

from clinprompt.maths.prior import pull, source_variance


def test_the_pull_is_the_negative_logarithm_of_a_gaussian_up_to_a_constant():
    generator = torch.Generator().manual_seed(0)
    M, P, H = 2, 3, 5
    centre, first, second = torch.randn(3, M, P, H, generator=generator, dtype=torch.float64)
    variance = torch.rand(M, P, H, generator=generator, dtype=torch.float64) + 0.1
    gaussian = Normal(centre, variance.sqrt())
    expected = (gaussian.log_prob(first) - gaussian.log_prob(second)).mean(dim=(1, 2))
    torch.testing.assert_close(pull(second, centre, variance) - pull(first, centre, variance), expected)
    assert pull(centre, centre, variance).tolist() == [0, 0]


def test_the_variance_of_an_entry_is_drawn_to_the_mean_of_all():
    prompts = torch.tensor([[[0.0, 1.0, 2.0]], [[2.0, 1.0, 8.0]], [[4.0, 1.0, 5.0]]])
    own = [4.0, 0.0, 9.0]
    expected = [(2 * variance + sum(own) / 3) / 3 for variance in own]
    assert source_variance(prompts)[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("prompts", [torch.full((1, 2, 3), 2.0), torch.full((4, 2, 3), -2.0)])
def test_where_nothing_varies_it_is_the_mean_square(prompts):
    assert torch.equal(source_variance(prompts), torch.full((2, 3), 4.0))
