import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.maths.attention import attended, attention_weights


@given(
    logits=st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=6),
    temperature=st.floats(0.125, 10, width=32),
)
def test_the_weights_are_the_softmax_of_a_loop(logits, temperature):
    found = attention_weights(torch.tensor(logits, dtype=torch.float64), temperature=temperature).tolist()
    powers = [math.exp((value - max(logits)) / temperature) for value in logits]
    assert found == pytest.approx([power / sum(powers) for power in powers], rel=1e-9, abs=1e-12)


def test_a_lower_temperature_is_a_sharper_choice():
    logits = torch.tensor([1.0, 0.5, 0.0])
    sharp, soft = (attention_weights(logits, temperature=value) for value in (0.1, 10.0))
    assert sharp[0] > 0.99 and soft.max() - soft.min() < 0.05


def test_own_and_sources_are_summed_entry_by_entry():
    generator = torch.Generator().manual_seed(0)
    own, sources = torch.randn(2, 3, 4, generator=generator), torch.randn(5, 3, 4, generator=generator)
    weights = torch.rand(2, 5, generator=generator)
    found = attended(own, sources, weights)
    for n in range(2):
        for p in range(3):
            for h in range(4):
                mixed = sum(float(weights[n, k]) * float(sources[k, p, h]) for k in range(5))
                assert float(found[n, p, h]) == pytest.approx(float(own[n, p, h]) + mixed, rel=1e-5, abs=1e-6)
        torch.testing.assert_close(attended(own[n], sources, weights[n]), found[n])
