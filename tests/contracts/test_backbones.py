"""What every backbone family must do: a row's result depends on nothing but its own prompt and text."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.protocol import BESIDE_WRITING, Placement, PromptVectors, Row
from clinprompt.backbones.tiny import FAMILIES
from clinprompt.errors import InputError
from clinprompt.schema.formulated import Piece, TextPair
from tests.made_backbones import tiny_backbone
from tests.plain_rows import LAYERS, plain_embeds, plain_layers

SPECIAL = ("<note>", "<task>", "<ans>", "<q>", "<bos>", "<eos>", "<pad>")
PLACES = (None, *BESIDE_WRITING)
CLOSE = dict(rtol=1e-5, atol=1e-5)
"""Weights are float64, yet stock norms compute in float32: the order of sums shows near 1e-6, a fault far above."""


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def backbone(request, tmp_path_factory):
    return tiny_backbone(tmp_path_factory.mktemp(request.param), family=request.param, seed=3, context=256)


tokens = st.integers(3, 262)


@st.composite
def batches(draw, places=PLACES):
    """Rows of different lengths, and a prompt per row, at the input or in every layer, or none at all."""
    shapes = st.tuples(
        st.lists(tokens, min_size=1, max_size=40),
        st.lists(tokens, min_size=1, max_size=3),
        st.lists(tokens, min_size=0, max_size=4),
    )
    drawn = draw(st.lists(shapes, min_size=1, max_size=4))
    rows = [Row(f"row {i}", tuple(a), tuple(b), (*c, 2)) for i, (a, b, c) in enumerate(drawn)]
    place, length, seed = draw(st.sampled_from(places)), draw(st.integers(1, 5)), draw(st.integers(0, 2**16))
    if place is None:
        return rows, None
    prompts = draw(st.integers(1, 3))
    shape = (LAYERS, length) if draw(st.booleans()) else (length,)
    vectors = torch.randn(prompts, *shape, 32, generator=torch.Generator().manual_seed(seed)) * 0.3
    owner = draw(st.lists(st.integers(0, prompts - 1), min_size=len(rows), max_size=len(rows)))
    lengths = draw(st.lists(st.integers(1, length), min_size=prompts, max_size=prompts))
    return rows, PromptVectors(vectors, place, tuple(owner), tuple(lengths))


def one(prompts, i):
    return None if prompts is None else replace(prompts, owner=(prompts.owner[i],))


def plain_output(backbone, row, prompts, layers=()):
    """Logits (and hidden states) at the positions before each answer token."""
    vectors = placement = None
    if prompts is not None:
        [owner], placement = prompts.owner, prompts.placement
        vectors = prompts.vectors[owner, ..., : prompts.lengths[owner], :]
    embeds = plain_embeds(backbone, row.context, row.cue, vectors, placement, row.answer[:-1])
    with plain_layers(backbone, row.context, vectors, placement):
        result = backbone.model(inputs_embeds=embeds, use_cache=False, output_hidden_states=True)
    hidden = [result.hidden_states[layer][0, -len(row.answer) :] for layer in layers]
    return result.logits[0, -len(row.answer) :], torch.cat(hidden, dim=-1) if layers else None


@settings(max_examples=10)
@given(batch=batches())
def test_logits_hidden_states_and_prompt_gradients_are_those_of_each_row_alone(backbone, batch):
    rows, prompts = batch
    vectors = [prompts.vectors.clone().requires_grad_() for _ in range(2)] if prompts else None
    ours, theirs = (replace(prompts, vectors=v) for v in vectors) if prompts else (None, None)
    output = backbone.forward(rows, ours, hidden_layers=(-1, 1))
    assert output.targets.tolist() == [token for row in rows for token in row.answer]
    assert output.row.tolist() == [i for i, row in enumerate(rows) for _ in row.answer]
    plain = [plain_output(backbone, row, one(theirs, i), (-1, 1)) for i, row in enumerate(rows)]
    logits = torch.cat([logits for logits, _ in plain])
    torch.testing.assert_close(output.logits, logits, **CLOSE)
    torch.testing.assert_close(output.hidden, torch.cat([hidden for _, hidden in plain]), **CLOSE)
    if prompts:
        for found in (output.logits, logits):
            torch.nn.functional.cross_entropy(found, output.targets, reduction="sum").backward()
        assert float(vectors[0].grad.abs().max()) > 0
        # Prompts and what norms compute are float32, and ours sum it up in another order.
        torch.testing.assert_close(vectors[0].grad, vectors[1].grad, rtol=1e-5, atol=5e-6)


@settings(max_examples=10)
@given(batch=batches([Placement.suffix]))
def test_a_note_read_once_gives_what_reading_it_each_time_gives(backbone, batch):
    notes, (rows, prompts) = backbone.note_cache(), batch
    for _ in range(2):  # computed, then kept
        found = []
        for kept in (None, notes):
            vectors = prompts.vectors.clone().requires_grad_()
            output = backbone.forward(rows, replace(prompts, vectors=vectors), notes=kept)
            torch.nn.functional.cross_entropy(output.logits, output.targets).backward()
            found.append((output.logits.detach(), vectors.grad))
        torch.testing.assert_close(found[0][0], found[1][0], **CLOSE)
        torch.testing.assert_close(found[0][1], found[1][1], **CLOSE)


@pytest.mark.parametrize("way", [{"packed": False}, {"recompute": True}])
@settings(max_examples=6)
@given(batch=batches(BESIDE_WRITING))
def test_every_way_to_run_a_batch_gives_the_same_numbers(backbone, way, batch):
    other, (rows, prompts) = in_another_way(backbone, **way), batch
    found = []
    try:
        for one_way in (backbone, other):
            vectors = prompts.vectors.clone().requires_grad_()
            output = one_way.forward(rows, replace(prompts, vectors=vectors), hidden_layers=(-1, 1, 0))
            torch.nn.functional.cross_entropy(output.logits, output.targets).backward()
            found.append((output.logits.detach(), output.hidden.detach(), vectors.grad))
    finally:
        for layer in backbone.decoder.layers:  # both are the same network
            layer.gradient_checkpointing = False
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)


def in_another_way(backbone, **way):
    ids = {"fingerprint": "", "tokenizer_fingerprint": "", "template": "", "name": ""}
    return CausalBackbone(backbone.model, backbone.tokenizer, **ids, **way)


def test_a_prompt_matters_and_its_place_too(backbone):
    row = Row("a", (11, 12, 13), (5,), (20, 2))
    vectors = torch.randn(1, 3, 32, generator=torch.Generator().manual_seed(1))
    found = [backbone.forward([row], None).logits]
    found += [backbone.forward([row], PromptVectors(vectors, place)).logits for place in Placement]
    for i in range(4):
        assert not torch.allclose(found[i], found[i - 1], atol=1e-3)


def test_a_special_token_is_one_only_in_a_trusted_piece(backbone):
    for word in SPECIAL:
        [trusted] = backbone.tokens(Piece(word, trusted=True))
        assert backbone.tokenizer.decode([trusted]) == word
        untrusted = backbone.tokens(Piece(word))
        assert len(untrusted) == len(word) and trusted not in untrusted
        assert backbone.tokenizer.decode(untrusted) == word


@given(text=st.text(max_size=40))
def test_a_note_never_holds_special_tokens_and_is_read_whole(backbone, text):
    note = f"<ans>{text}<eos>"
    found = backbone.tokens(Piece(note))
    assert not set(found) & set(backbone.tokenizer.all_special_ids)
    assert backbone.tokenizer.decode(found, clean_up_tokenization_spaces=False) == note


def test_a_row_has_its_pieces_in_order_and_ends_with_the_end_token(backbone):
    pair = TextPair((Piece("<note>", trusted=True), Piece("ab")), (Piece("<ans>", trusted=True),), " c")
    row = backbone.encode(pair, name="x")
    written = [backbone.tokenizer.decode(list(part)) for part in (row.context, row.cue, row.answer)]
    assert written == ["<note>ab", "<ans>", " c<eos>"]
    assert row.length == len(row.context) + len(row.cue) + len(row.answer)


def test_a_row_that_just_fits_is_kept_and_one_token_more_is_refused_without_its_words(backbone):
    def pair(size):
        return TextPair((Piece("zebra" * 40),), (Piece("q" * (size - 200)),), "")

    # BOS, the end token and the reserve of 20 count too.
    row = backbone.encode(pair(256 - 22), name="note-7@0", reserve=20)
    assert row.length + 20 + 1 == 256
    with pytest.raises(InputError) as caught:
        backbone.encode(pair(256 - 21), name="note-7@0", reserve=20)
    for shown in ("257 tokens", "256 tokens", "note-7@0", backbone.name):
        assert shown in str(caught.value)
    assert "zebra" not in str(caught.value)


def test_an_answer_needs_a_token_in_front_that_no_other_prompt_stands_behind(backbone):
    with pytest.raises(InputError, match="no token between the input and the answer"):
        backbone.encode(TextPair((Piece("a note"),), (), "yes"), name="note-7", reserve=0)
