import random

import pytest
import torch

from clinprompt.backbones.loading import load_backbone
from clinprompt.backbones.note_cache import NoteCache
from clinprompt.backbones.protocol import Placement, PromptVectors
from clinprompt.backbones.tiny import write_tiny
from clinprompt.schema.formulated import Piece, TextPair

P, H = 5, 32


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def backbone(request, tmp_path_factory):
    folder = write_tiny(tmp_path_factory.mktemp(request.param), family=request.param)
    return load_backbone(str(folder), dtype="float64")


def rows_of(backbone, count, *, seed=0):
    chance = random.Random(seed)
    return [
        backbone.encode(
            TextPair(
                context=(Piece("<note>", trusted=True), Piece("ab c"[: i % 4] * chance.randint(1, 12))),
                cue=(Piece("<ans>", trusted=True),),
                answer=" " + "xyz" * chance.randint(1, 4),
            ),
            name=str(i),
            reserve=P,
        )
        for i in range(count)
    ]


def run(backbone, rows, vectors, notes):
    vectors = vectors.clone().requires_grad_()
    output = backbone.forward(rows, PromptVectors(vectors, Placement.suffix), hidden_layers=(-1, 1), notes=notes)
    loss = torch.nn.functional.cross_entropy(output.logits, output.targets)
    loss.backward()
    return output, loss.detach(), vectors.grad


def test_logits_states_and_gradients_are_those_of_the_plain_path(backbone):
    rows = rows_of(backbone, 7)
    vectors = torch.randn(7, P, H, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 0.3
    plain, plain_loss, plain_gradient = run(backbone, rows, vectors, None)
    notes = backbone.note_cache()
    for _ in range(2):  # the first time computed, the second time kept
        kept, loss, gradient = run(backbone, rows, vectors, notes)
        assert torch.equal(kept.targets, plain.targets) and torch.equal(kept.row, plain.row)
        # The stock RMSNorm computes in float32 whatever the weights are: equality ends near 1e-6.
        torch.testing.assert_close(kept.logits, plain.logits, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(kept.hidden, plain.hidden, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(loss, plain_loss, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(gradient, plain_gradient, rtol=1e-5, atol=1e-7)
    assert len(notes.kept) == len({row.context for row in rows})


def test_a_family_with_sliding_windows_keeps_the_plain_path(tmp_path):
    assert load_backbone(str(write_tiny(tmp_path / "g", family="gpt-oss"))).note_cache() is None


def test_the_budget_holds_and_answers_stay_right():
    calls = []

    def prefill(contexts):
        calls.extend(contexts)
        return [torch.full((1, 2, 1, len(context), 1), float(context[0])) for context in contexts]

    notes = NoteCache(prefill, budget=100)  # a context of 4 tokens takes 32 bytes
    contexts = [(i, 0, 0, 0) for i in range(5)]
    for order in (contexts, contexts[::-1], contexts):
        found = notes.states(order)
        assert [float(state.flatten()[0]) for state in found] == [context[0] for context in order]
        assert notes.bytes == sum(state.nbytes for state in notes.kept.values()) <= 100
    assert len(calls) > 5  # some were dropped and computed again
    calls.clear()
    kept = list(notes.kept)
    notes.states(kept)
    assert not calls
