import random

import pytest
import torch
from safetensors.torch import save_file

from clinprompt.backbones.loading import load_backbone
from clinprompt.backbones.note_cache import NoteCache
from clinprompt.backbones.protocol import Placement, PromptVectors
from clinprompt.backbones.state_store import StateStore
from clinprompt.backbones.tiny import write_tiny
from clinprompt.schema.formulated import Piece, TextPair
from clinprompt.training.weights import WeightSource, all_weights, weights_applied

P, H = 5, 32


@pytest.fixture(scope="module", params=["llama", "qwen3", "gpt-oss"])
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
    assert len(notes.store.kept) == len({row.context for row in rows})


def test_there_is_no_cache_while_weights_train(backbone):
    with all_weights(backbone):
        assert backbone.note_cache() is None
    assert backbone.note_cache() is not None


def test_equal_contexts_share_their_states_and_dropped_ones_are_computed_again():
    calls = []

    def prefill(contexts):
        calls.extend(contexts)
        return [torch.full((1, 2, 1, len(context), 1), float(context[0])) for context in contexts]

    notes = NoteCache(prefill, identity="x", store=StateStore(budget=100))  # a context of 4 tokens takes 32 bytes
    contexts = [(i, 0, 0, 0) for i in range(5)]
    for order in (contexts, contexts[::-1], contexts):
        found = notes.states([*order, order[0]])
        assert [float(state.flatten()[0]) for state in found] == [context[0] for context in (*order, order[0])]
        assert found[0] is found[-1]
    assert len(calls) > 5  # some were dropped and computed again
    calls.clear()
    notes.states(contexts[-2:])
    assert not calls


def test_notes_in_a_folder_are_found_again_but_not_by_another_backbone_dtype_template_or_trained_weights(tmp_path):
    first = write_tiny(tmp_path / "a", seed=1)
    ran = []

    def cache(folder, *, dtype="float32"):
        backbone = load_backbone(str(folder), dtype=dtype, note_folder=tmp_path / "notes")
        prefill = backbone.states
        backbone.states = lambda contexts: ran.extend(contexts) or prefill(contexts)
        return backbone, backbone.note_cache()

    def count(notes, context):
        ran.clear()
        notes.states([context])
        return len(ran)

    context = (5, 6, 7)
    backbone, notes = cache(first)
    assert count(notes, context) == 1
    assert count(cache(first)[1], context) == 0
    assert torch.equal(cache(first)[1].states([context])[0], backbone.states([context])[0])
    assert count(cache(first, dtype="bfloat16")[1], context) == 1
    assert count(cache(write_tiny(tmp_path / "b", seed=2))[1], context) == 1
    assert count(cache(first)[1], (5, 6, 7, 8)) == 1  # another template is other tokens
    with torch.no_grad():
        weights = WeightSource(backbone).named or dict(backbone.model.named_parameters())
        save_file({name: weight + 1 for name, weight in weights.items() if "layers.0" in name}, tmp_path / "w")
    with weights_applied(backbone, tmp_path / "w"):
        changed = backbone.note_cache()
        assert count(changed, context) == 1
        assert not torch.allclose(changed.states([context])[0], notes.states([context])[0])
    assert count(cache(first)[1], context) == 0
