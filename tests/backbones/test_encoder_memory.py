from dataclasses import replace

import pytest
import torch

from clinprompt.backbones.encoder_loading import load_encoder
from clinprompt.backbones.heads import new_heads
from clinprompt.backbones.loading import blueprint
from clinprompt.backbones.memory import Work, estimate
from clinprompt.backbones.protocol import Placement, PromptVectors
from clinprompt.backbones.tiny import write_tiny
from clinprompt.backbones.tiny_encoders import ENCODERS
from clinprompt.prompts.encoded import EncodedPrompts, encoder_numbers, encoder_width
from clinprompt.prompts.headed import Headed
from clinprompt.prompts.per_layer import PerLayerPrompts
from clinprompt.schema.formulated import SpanQuestion

WORK = Work(members=2, length=10, batch=4, head_width=6)


@pytest.fixture(scope="module", params=sorted(ENCODERS))
def folder(request, tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp(request.param), family=request.param)


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def backbone(request, folder):
    return load_encoder(str(folder), dtype=request.param)


def asked(backbone, words):
    question = SpanQuestion("drug", "which", " ".join(["took"] * words))
    return backbone.ask(question, name="x", reserve=0)


def kept_bytes(backbone, row, work):
    """Bytes of the distinct tensors, other than weights, that autograd keeps of a batch up to its last states."""
    weights = [*backbone.model.parameters(), *backbone.model.buffers()]
    known = {weight.untyped_storage().data_ptr() for weight in weights}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage
        return tensor

    vectors = torch.zeros(work.members, work.length, 32).requires_grad_()
    owner = tuple(i % work.members for i in range(work.batch))
    heads = new_heads(work.members, 32, work.head_width, 0)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = backbone.forward([row] * work.batch, PromptVectors(vectors, Placement.prefix, owner, None, heads))
    assert output.losses.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("unfrozen", [False, True])
def test_what_autograd_keeps_is_foretold_within_a_third(backbone, unfrozen):
    backbone.model.requires_grad_(unfrozen)
    try:
        for words, work in ((90, WORK), (40, replace(WORK, batch=2, length=30))):
            row = asked(backbone, words)
            work = replace(work, tokens=row.length, unfrozen=unfrozen)
            parts = estimate(backbone.model, work, dtype=backbone.embeddings.dtype).parts
            foretold = parts["activations"] + work.batch * (row.length + work.length) * 32 * 4  # the last states
            assert 0.75 < foretold / kept_bytes(backbone, row, work) < 1.33
    finally:
        backbone.freeze()


def test_weights_prompts_and_heads_are_exact(backbone, folder):
    number = backbone.embeddings.dtype
    found = estimate(blueprint(str(folder)), WORK, dtype=number)
    assert found.parts["weights"] == sum(weight.nbytes for weight in backbone.model.parameters())
    trained = torch.zeros(2, 10, 32).nbytes + sum(value.nbytes for value in new_heads(2, 32, 6, 0).values())
    assert found.parts["prompts, heads, gradients, optimiser"] == 4 * trained
    assert found.total == sum(found.parts.values())


@pytest.mark.parametrize("kind", ["mlp", "lstm", "every"])
def test_what_makes_a_prompt_and_vectors_of_every_layer_are_counted(folder, kind):
    model, start = blueprint(str(folder)), torch.zeros(2, 10, 32)
    if kind == "every":
        prompts, work = PerLayerPrompts(start[:, None].expand(2, 3, 10, 32)), replace(WORK, every_layer=True)
    else:
        prompts = EncodedPrompts(start, encoder=kind, width=encoder_width(32), seed=1, residual=True)
        work = replace(WORK, encoder_numbers=encoder_numbers(kind, hidden=32))
    trained = Headed(prompts, new_heads(2, 32, 6, 0)).trainable(0)
    found = estimate(model, work, dtype=torch.float32).parts
    assert found["prompts, heads, gradients, optimiser"] == 4 * 2 * 4 * trained
    after = estimate(model, replace(work, train=False), dtype=torch.float32).parts
    vectors = sum(prompt.numel() for prompt in prompts.folded())
    assert after["prompts and heads"] == 4 * vectors + sum(head.nbytes for head in new_heads(2, 32, 6, 0).values())


def test_more_work_takes_more_memory(folder):
    model = blueprint(str(folder))

    def total(**change):
        return estimate(model, replace(WORK, tokens=40, **change), dtype=torch.float32).total

    for change in ({"batch": 8}, {"length": 50}, {"members": 3}, {"unfrozen": True}, {"head_width": 60}):
        assert total(**change) > total()
    assert total(train=False) < total()


def test_no_row_is_longer_than_the_positions_of_the_network(folder):
    model = blueprint(str(folder))
    long, longer = (estimate(model, replace(WORK, tokens=count), dtype=torch.float32) for count in (300, 3000))
    assert long.total == longer.total


def test_the_sizes_of_gatortron_on_known_devices():
    def fits(name, gib, **change):
        work = Work(length=32, batch=4, tokens=512, **change)
        return estimate(blueprint(name), work, dtype=torch.bfloat16, accelerator=True).fits(gib * 2**30)

    assert fits("GatorTron-8.9B", 40) and not fits("GatorTron-8.9B", 80, unfrozen=True)
    assert fits("GatorTron-3.9B", 80, unfrozen=True) and fits("GatorTron-345M", 8, unfrozen=True)
