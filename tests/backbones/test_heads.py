import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.backbones import heads as module
from clinprompt.backbones.heads import EDGE_START, edge_logits, match_logits, matched_pairs, new_heads, question_losses
from clinprompt.backbones.protocol import ReadingRow

H, W, M = 5, 4, 3


def drawn_heads(seed=0):
    draw = torch.Generator().manual_seed(seed)
    heads = new_heads(M, H, W, 0)
    return {name: torch.randn(value.shape, generator=draw, dtype=torch.float64) for name, value in heads.items()}


def row_of(places, gold):
    return ReadingRow("r", (0,) * len(places), (1,) * len(places), 0, len(places), tuple(places), tuple(gold))


@st.composite
def batches(draw):
    rows, members = [], []
    for _ in range(draw(st.integers(1, 4))):
        kept = draw(st.lists(st.booleans(), min_size=0, max_size=6))
        inside = [k for k, keep in enumerate(kept) if keep]
        pairs = [(i, j) for i in inside for j in inside if i <= j]
        gold = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=3)) if pairs else []
        rows.append(row_of([(k, k + 1) if keep else None for k, keep in enumerate(kept)], gold))
        members.append(draw(st.integers(0, M - 1)))
    return rows, members, draw(st.integers(0, 99))


def flat(rows, members, seed):
    total = sum(len(row.places) for row in rows)
    states = torch.randn(total, H, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    counted = torch.tensor([place is not None for row in rows for place in row.places], dtype=torch.bool)
    of_token = [m for row, m in zip(rows, members, strict=True) for _ in row.places]
    return states, counted, torch.tensor(of_token, dtype=torch.long)


def gelu(x):
    return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))


def match_alone(heads, m, left, right):
    both = [*left.tolist(), *right.tolist()]
    inner = [
        gelu(sum(w * x for w, x in zip(line, both, strict=True)) + b)
        for line, b in zip(heads["match_in"][m].tolist(), heads["match_in_bias"][m].tolist(), strict=True)
    ]
    return sum(w * x for w, x in zip(heads["match_out"][m].tolist(), inner, strict=True)) + float(
        heads["match_out_bias"][m]
    )


def cross_entropy(logit, truth):
    return -math.log(1 / (1 + math.exp(-logit if truth else logit)))


def loss_alone(heads, m, states, row):
    edge = lambda k, side: float(heads["edges"][m, side] @ states[k] + heads["edge_bias"][m, side])  # noqa: E731
    inside = [k for k, place in enumerate(row.places) if place]
    if not inside:
        return 0.0
    total = 0.0
    likely = []
    for side in (0, 1):
        true = {pair[side] for pair in row.gold}
        total += sum(cross_entropy(edge(k, side), k in true) for k in inside) / len(inside)
        likely.append([k for k in inside if k in true or edge(k, side) > 0])
    pairs = [(i, j) for i in likely[0] for j in likely[1] if i <= j]
    if pairs:
        each = [cross_entropy(match_alone(heads, m, states[i], states[j]), (i, j) in row.gold) for i, j in pairs]
        total += 0.1 * sum(each) / len(each)
    return total / 2.1


@settings(max_examples=40)
@given(batch=batches())
def test_losses_and_logits_are_those_of_a_loop_over_rows_and_pairs(batch):
    rows, members, seed = batch
    heads = drawn_heads(seed)
    states, counted, member = flat(rows, members, seed)
    edges = edge_logits(states, member, heads)
    losses = question_losses(states, edges, counted, rows, members, heads)
    start, expected = 0, []
    for row, m in zip(rows, members, strict=True):
        expected.append(loss_alone(heads, m, states[start : start + len(row.places)], row))
        start += len(row.places)
    torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9)


@given(seed=st.integers(0, 20), chunk=st.integers(1, 5))
def test_a_match_logit_is_that_of_its_pair_alone_in_chunks_too(seed, chunk):
    draw, heads = torch.Generator().manual_seed(seed), drawn_heads(seed)
    states = torch.randn(6, H, generator=draw, dtype=torch.float64)
    pairs, member = torch.randint(0, 6, (9, 2), generator=draw), torch.randint(0, M, (9,), generator=draw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_AT_ONCE", chunk)
        found = match_logits(states, pairs, member, heads)
    one = [
        match_alone(heads, m, states[i], states[j]) for (i, j), m in zip(pairs.tolist(), member.tolist(), strict=True)
    ]
    torch.testing.assert_close(found, torch.tensor(one, dtype=torch.float64), rtol=1e-9, atol=1e-9)


def test_gradients_reach_every_head_of_the_members_that_take_part_and_no_other():
    heads = {name: value.requires_grad_() for name, value in drawn_heads().items()}
    rows, members = [row_of([(0, 1), (1, 2), (2, 3)], [(0, 1)])] * 2, [0, 2]
    states, counted, member = flat(rows, members, 0)
    edges = edge_logits(states, member, heads)
    question_losses(states, edges, counted, rows, members, heads).sum().backward()
    for value in heads.values():
        touched = value.grad.reshape(M, -1).abs().amax(dim=1)
        assert touched[0] > 0 and touched[1] == 0 and touched[2] > 0


def test_of_too_many_pairs_the_answers_and_the_likeliest_are_kept(monkeypatch):
    monkeypatch.setattr(module, "MOST_PAIRS", 3)
    edges = torch.tensor([[0.1, 0.1], [5.0, 3.0], [3.0, 6.0], [-9.0, -9.0]])
    truth = torch.zeros(4, 2, dtype=torch.bool)
    truth[0, 0] = truth[3, 1] = True
    pairs, wanted = matched_pairs(edges, truth, torch.ones(4, dtype=torch.bool), [(0, 3)])
    assert sorted(pairs.tolist()) == [[0, 3], [1, 2], [2, 2]]  # sums 11 and 9; (1, 1) has 8
    assert wanted.sum() == 1 and wanted[pairs.tolist().index([0, 3])]


def test_all_members_start_alike_and_a_seed_gives_the_same_values():
    many, one = new_heads(3, H, W, 7), new_heads(1, H, W, 7)
    for name, value in many.items():
        assert all(torch.equal(value[m], one[name][0]) for m in range(3))
    assert not torch.equal(new_heads(1, H, W, 8)["edges"], one["edges"])
    assert {name: tuple(value.shape) for name, value in many.items()} == {
        "edges": (3, 2, H),
        "edge_bias": (3, 2),
        "match_in": (3, W, 2 * H),
        "match_in_bias": (3, W),
        "match_out": (3, W),
        "match_out_bias": (3,),
    }
    assert bool((one["edge_bias"] == EDGE_START).all()) and not one["match_in_bias"].any()


def test_untrained_heads_say_no_and_train_from_a_small_loss():
    states = torch.randn(200, 32, generator=torch.Generator().manual_seed(0))
    heads, member = new_heads(1, 32, W, 3), torch.zeros(200, dtype=torch.long)
    edges = edge_logits(states, member, heads)
    assert not bool((edges > 0).any())
    row = row_of([(k, k + 1) for k in range(200)], [])
    counted = torch.ones(200, dtype=torch.bool)
    loss = question_losses(states, edges, counted, [row], [0], heads)
    unbiased = question_losses(states, edges - EDGE_START, counted, [row], [0], heads)
    assert float(loss) < 0.05 < 0.6 < float(unbiased)
