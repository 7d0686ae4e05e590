"""Drawn tokens: as often as the network says, from as many as are wanted, and each row by its own chance."""

import pytest
import torch

from clinprompt.backbones.protocol import Generation
from clinprompt.errors import InputError
from clinprompt.inference.draft import Draft
from clinprompt.inference.sampling import chances, choose


class Only:
    """A constraint that allows some tokens."""

    complete, ended, held = 0, False, True

    def __init__(self, *tokens):
        self.tokens = tokens

    def allows(self, token):
        return token in self.tokens

    def fill(self, bits):
        bits.zero_()
        for token in self.tokens:
            bits[token // 32] |= 1 << token % 32


LOGITS = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()


def shares(generation, *, times=1500, constraint=None, logits=LOGITS):
    draft = Draft(generation, constraint)
    drawn = [choose(logits[None], [draft])[0] for _ in range(times)]
    return (torch.bincount(torch.tensor(drawn), minlength=4) / times).tolist()


@pytest.mark.parametrize(
    ("settings", "constraint", "expected"),
    [
        ({}, None, [0.5, 0.3, 0.15, 0.05]),
        ({"temperature": 0.5}, None, [0.685, 0.247, 0.062, 0.007]),
        ({"top_p": 0.8}, None, [0.625, 0.375, 0, 0]),
        ({"top_p": 0.81}, None, [0.526, 0.316, 0.158, 0]),
        ({"top_p": 1e-9}, None, [1, 0, 0, 0]),
        ({"temperature": 1e-300}, None, [1, 0, 0, 0]),
        ({}, Only(1, 3), [0, 0.857, 0, 0.143]),
        ({"temperature": 0.0}, Only(2, 3), [0, 0, 1, 0]),
    ],
)
def test_tokens_come_as_often_as_their_probability(settings, constraint, expected):
    generation = Generation(**{"temperature": 1.0, "seed": 1} | settings)
    found = shares(generation, constraint=constraint)
    assert found == pytest.approx(expected, abs=0.05)
    assert [share == 0 for share in found] == [share == 0 for share in expected]


def test_a_rows_draws_are_its_own():
    settings = [Generation(temperature=0.7 + i / 4, seed=i, top_p=1 - i / 9) for i in range(5)]
    logits = torch.randn(20, 5, 50, generator=torch.Generator().manual_seed(1))
    alone = [[choose(step[b : b + 1], [draft])[0] for step in logits] for b, draft in enumerate(map(Draft, settings))]
    drafts = [Draft(one) for one in settings]
    for n, step in enumerate(logits):
        order = [(b + n) % 5 for b in range(5)][: 5 - n // 8]  # others leave, too
        order = [b for b in (0, 1, 2) if b not in order] + order
        for b, token in zip(order, choose(step[order], [drafts[b] for b in order]), strict=True):
            if b < 3:
                assert token == alone[b][n]
    assert len({tuple(row) for row in alone}) == 5


def test_without_a_seed_draws_differ():
    drawn = {
        tuple(choose(torch.zeros(1, 99), [draft])[0] for _ in range(8))
        for draft in (Draft(Generation(temperature=1.0)), Draft(Generation(temperature=1.0)))
    }
    assert len(drawn) == 2


def test_chances_and_the_likeliest_tokens():
    logits = torch.randn(2, 7, generator=torch.Generator().manual_seed(1))
    drafts = [Draft(Generation()), Draft(Generation(), wanted=9)]
    expected = logits.log_softmax(-1)
    assert chances(logits, [3, 4], drafts) == pytest.approx([float(expected[0, 3]), float(expected[1, 4])])
    assert drafts[0].best == () and len(drafts[1].best) == 7
    assert dict(drafts[1].best) == pytest.approx(dict(enumerate(expected[1].tolist())))


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"beams": 2, "temperature": 1.0},
    ],
)
def test_settings_without_meaning_are_refused(wrong):
    with pytest.raises(InputError):
        Generation(**wrong)
