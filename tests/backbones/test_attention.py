from __future__ import annotations

import pytest
import torch

from clinprompt.backbones.attention import AttentionTerms, Trunk, attend, is_routed, routed
from tests.made_backbones import tiny_backbone

D, KEY_HEADS, HEADS = 8, 2, 6


def made(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive(query, key, value, *, seen, trunk, sinks):
    """Row by row and head by head: scores of all keys, the trunk's first, and a softmax over them."""
    B, T, heads, _ = query.shape
    out = torch.zeros_like(query)
    for b in range(B):
        G = 0 if trunk is None else b // (B // len(trunk.key))
        for t in range(T):
            for h in range(heads):
                k = h // (heads // KEY_HEADS)
                keys, values = key[b, :, k], value[b, :, k]
                visible = torch.ones(len(keys), dtype=torch.bool) if seen is None else seen[b, t]
                if trunk is not None:
                    keys, values = torch.cat([trunk.key[G, k], keys]), torch.cat([trunk.value[G, k], values])
                    before = (
                        torch.ones(trunk.key.shape[2], dtype=torch.bool) if trunk.seen is None else trunk.seen[b, t]
                    )
                    visible = torch.cat([before, visible])
                scores = (keys @ query[b, t, h] * 0.4)[visible].exp()
                sink = 0 if sinks is None else sinks[h].exp()
                out[b, t, h] = (scores / (scores.sum() + sink)) @ values[visible]
    return out


@pytest.mark.parametrize("sinks", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("rows, trunks, tokens", [(3, 3, 1), (4, 2, 1), (1, 1, 1), (2, 2, 3), (2, 0, 3)])
def test_attention_over_a_trunk_and_what_is_behind_it_is_that_over_both(rows, trunks, tokens, masked, sinks):
    U, S = 5, 7
    query, own = made(rows, tokens, HEADS, D, seed=1), made(2, rows, U, KEY_HEADS, D, seed=2)
    shared = made(2, trunks, KEY_HEADS, S, D, seed=3)
    seen = made(rows, tokens, U, seed=4) > 0 if masked else None
    if seen is not None:
        seen[..., -1] = True
    before = made(rows, tokens, S, seed=5) > 0 if masked else None
    trunk = Trunk(shared[0], shared[1], before) if trunks else None
    weights = made(HEADS, seed=6) if sinks else None
    found = attend(query, own[0], own[1], AttentionTerms(0, 0.4, None, weights), seen=seen, trunk=trunk)
    expected = naive(query, own[0], own[1], seen=seen, trunk=trunk, sinks=weights)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_a_network_is_routed_inside_alone_also_when_entered_twice(tmp_path):
    model = tiny_backbone(tmp_path, family="llama").model
    config = model.config.get_text_config()
    stock = config._attn_implementation
    with pytest.raises(RuntimeError), routed(model):
        with routed(model):
            assert is_routed(config)
        assert is_routed(config)
        raise RuntimeError
    assert not is_routed(config) and config._attn_implementation == stock
