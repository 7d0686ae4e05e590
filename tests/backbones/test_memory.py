from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clinprompt.backbones import memory
from clinprompt.backbones.loading import blueprint
from clinprompt.backbones.memory import Work, estimate, free_memory
from clinprompt.backbones.protocol import BESIDE_WRITING, Placement, PromptVectors, Row
from clinprompt.backbones.state_store import StateStore
from tests.made_backbones import tiny_backbone

WORK = Work(members=2, length=12, batch=4, tokens=80, answer=10, notes=5)


@pytest.fixture(scope="module", params=["llama", "qwen3", "gpt-oss"])
def family(request):
    return request.param


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def backbone(request, family, tmp_path_factory):
    return tiny_backbone(tmp_path_factory.mktemp(family), family=family, dtype=request.param)


def rows(work):
    draw = torch.Generator().manual_seed(0)
    notes = torch.randint(3, 263, (work.batch, work.tokens - 1), generator=draw).tolist()  # BOS is a token too
    return [Row(str(i), tuple(note), (), (7,) * (work.answer - 1) + (2,)) for i, note in enumerate(notes)]


def kept_bytes(backbone, work):
    """Bytes of the distinct tensors, other than weights, that autograd keeps of a forward."""
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
    notes = backbone.note_cache() if work.placement is Placement.suffix else None
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = backbone.forward(rows(work), PromptVectors(vectors, work.placement, owner), notes=notes)
        loss = torch.nn.functional.cross_entropy(output.logits, output.targets)
    assert loss.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("placement", BESIDE_WRITING)
def test_what_autograd_keeps_is_foretold_within_a_third(backbone, placement):
    for work in (WORK, replace(WORK, batch=2, tokens=40, length=30)):
        work = replace(work, placement=placement)
        parts = estimate(backbone.model, work, dtype=backbone.embeddings.dtype).parts
        foretold = sum(parts[name] for name in ("activations", "logits", "states of the notes in a batch"))
        assert 1 / 1.25 < foretold / kept_bytes(backbone, work) < 1.34


def test_weights_and_states_are_exact(backbone):
    found = estimate(backbone.model, WORK, dtype=backbone.embeddings.dtype)
    assert found.parts["weights"] == sum(weight.nbytes for weight in backbone.model.parameters())
    cache = backbone.note_cache()
    if cache is not None:
        [state] = cache.states([tuple(range(3, 53))])
        assert state.nbytes * 20 == found.states_per_1000  # 50 tokens
        assert found.parts["states of notes kept"] == 5 * 80 * found.states_per_1000 // 1000
    prompts = torch.zeros(2, 12, 32)
    assert found.parts["prompts, gradients, optimiser"] == 4 * prompts.nbytes
    assert found.total == sum(found.parts.values())


def test_more_work_takes_more_memory(backbone):
    dtype = backbone.embeddings.dtype
    least = estimate(backbone.model, WORK, dtype=dtype).total
    for change in ({"batch": 8}, {"tokens": 160}, {"answer": 40}, {"length": 50}, {"placement": Placement.prefix}):
        assert estimate(backbone.model, replace(WORK, **change), dtype=dtype).total > least
    for change in ({"train": False}, {"recompute": True}):
        assert estimate(backbone.model, replace(WORK, **change), dtype=dtype).total < least


def test_published_backbones_on_known_devices():
    model = blueprint("Llama-3.1-8B")
    work = Work(members=21, train=True)
    train, predict = (
        estimate(model, replace(work, train=train), dtype=torch.bfloat16, accelerator=True) for train in (True, False)
    )
    assert train.parts["weights"] == 2 * 8_030_261_248
    assert train.states_per_1000 == 131_072_000 and train.states_per_prompt == 13_107_200  # 32 layers of 8 heads of 128
    assert train.fits(80 * 2**30) and not train.fits(24 * 2**30)
    assert predict.fits(24 * 2**30)


def test_the_notes_kept_never_pass_the_cache_s_budget():
    found = estimate(blueprint("Llama-3.1-8B"), Work(notes=10**6), dtype=torch.bfloat16)
    assert found.parts["states of notes kept"] == StateStore().budget


def test_an_estimate_fits_with_a_tenth_to_spare():
    found = memory.Estimate({"a": 1000, "b": 0}, 0, 0)
    assert found.fits(1100) and not found.fits(1099)


def test_free_memory_of_the_processor_is_what_the_system_has_available():
    lines = Path("/proc/meminfo").read_text().splitlines()
    total = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemTotal"))
    assert 0 < free_memory(torch.device("cpu")) < total
