"""What every encoder family must do: a question's result depends on nothing but its own prompt, heads and text."""

import itertools
from contextlib import ExitStack
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.backbones.encoder_loading import load_encoder, reads
from clinprompt.backbones.heads import edge_logits, new_heads, question_losses
from clinprompt.backbones.protocol import Placement, PromptVectors
from clinprompt.backbones.tiny import write_tiny
from clinprompt.backbones.tiny_encoders import ENCODERS
from clinprompt.errors import InputError
from clinprompt.maths.span_decoding import candidates
from clinprompt.schema.formulated import Piece, SpanQuestion

CLOSE = dict(rtol=1e-5, atol=1e-5)
"""Weights are float64, yet some stock norms and softmaxes compute in float32: rounding shows near 1e-6."""
SPECIAL = ("[SEP]", "[CLS]", "[MASK]", "[PAD]", "<s>", "</s>", "<mask>", "<pad>")
H, L, M = 32, 3, 3

bits = st.sampled_from([*"abX,.*(/-", *"éµ½東ﬁ🙂", "e\u0301", " ", "  ", "\n", "aspirin", "took", *SPECIAL])
texts = st.lists(bits, max_size=14).map("".join)


@pytest.fixture(scope="module", params=sorted(ENCODERS))
def backbone(request, tmp_path_factory):
    folder = write_tiny(tmp_path_factory.mktemp("encoder") / request.param, family=request.param, seed=3)
    assert reads(str(folder))
    return load_encoder(str(folder), dtype="float64", device="cpu")


def drawn_heads(seed):
    draw = torch.Generator().manual_seed(seed)
    return {
        name: (torch.randn(value.shape, generator=draw) * 0.5).requires_grad_()
        for name, value in new_heads(M, H, 6, 0).items()
    }


@st.composite
def batches(draw, deep=False):
    """Questions of different lengths, and prompts of different lengths, none among them, in any place."""
    questions = []
    for _ in range(draw(st.integers(1, 4))):
        context = "the patient " + draw(texts)
        questions.append(SpanQuestion("drug", "which drug" + draw(texts), context, ((4, 11), (0, 3), (0, 11))))
    seed, length = draw(st.integers(0, 99)), draw(st.integers(1 if deep else 0, 4))
    shape = (M, L, length, H) if deep else (M, length, H)
    vectors = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    owner = draw(st.lists(st.integers(0, M - 1), min_size=len(questions), max_size=len(questions)))
    lengths = draw(st.lists(st.integers(0, length), min_size=M, max_size=M))
    place = draw(st.sampled_from(list(Placement)))
    return questions, PromptVectors(vectors, place, tuple(owner), tuple(lengths), drawn_heads(seed))


def asked(backbone, questions):
    return [backbone.ask(question, name=str(i), reserve=8) for i, question in enumerate(questions)]


def stock_alone(backbone, row, prompts, owner):
    """The hidden states ``[T, H]`` of a row's context, all layers, put together by hand without padding."""
    table, lead = backbone.model.get_input_embeddings(), 1
    words = table(torch.tensor(row.tokens))
    length = prompts.lengths[owner]
    deep = prompts.vectors.ndim == 4
    own = prompts.vectors[owner, ..., :length, :].to(words.dtype)
    before, after = prompts.placement.split(length)
    here = torch.zeros_like(own[0]) if deep else own
    embeds = torch.cat([words[:lead], here[:before], words[lead:], here[before:]])[None]
    types = [0] * (before + lead) + list(row.segments[lead:]) + [row.segments[-1]] * after
    slots = [lead + j for j in range(before)] + [row.length + before + j for j in range(after)]
    more = {"token_type_ids": torch.tensor([types])} if backbone.has_types else {}
    with ExitStack() as stack:
        for number, layer in enumerate(backbone.layers if deep else ()):
            stack.enter_context(patch.object(layer, "forward", overwriting(layer.forward, slots, own[number])))
        result = backbone.model(inputs_embeds=embeds, output_hidden_states=True, **more)
    context = slice(before + row.first, before + row.last)
    return [states[0, context] for states in (*result.hidden_states[:-1], result.last_hidden_state)]


def overwriting(forward, slots, vectors):
    """The layer, after each prompt vector was written into its input one by one."""

    def changed(states, *args, **kwargs):
        states = states.clone()
        for slot, vector in zip(slots, vectors, strict=True):
            states[0, slot] = vector
        return forward(states, *args, **kwargs)

    return changed


def results_alone(backbone, row, prompts, owner):
    """Loss, edges and hidden states (last and first layer) of one row."""
    states = stock_alone(backbone, row, prompts, owner)
    last = states[-1]
    edges = edge_logits(last, torch.full((len(last),), owner), prompts.heads)
    counted = torch.tensor([place is not None for place in row.places])
    [loss] = question_losses(last, edges, counted, [row], [owner], prompts.heads)
    return loss, edges, torch.cat([last, states[1]], dim=-1)


def check_alone(backbone, questions, prompts):
    rows = asked(backbone, questions)
    output = backbone.forward(rows, prompts, hidden_layers=(-1, 1))
    alone = [results_alone(backbone, row, prompts, owner) for row, owner in zip(rows, prompts.owner, strict=True)]
    assert output.row.tolist() == list(range(len(rows)))
    assert output.owner.tolist() == [b for b, row in enumerate(rows) for _ in row.places]
    losses = torch.stack([loss for loss, _, _ in alone])
    torch.testing.assert_close(output.losses, losses, **CLOSE)
    torch.testing.assert_close(output.edges, torch.cat([edges for _, edges, _ in alone]), **CLOSE)
    torch.testing.assert_close(output.hidden, torch.cat([hidden for _, _, hidden in alone]), **CLOSE)
    trained = [prompts.vectors, *prompts.heads.values()]
    ours, theirs = (
        [
            torch.zeros_like(tensor) if gradient is None else gradient
            for tensor, gradient in zip(trained, found, strict=True)
        ]
        for found in (torch.autograd.grad(loss.sum(), trained, allow_unused=True) for loss in (output.losses, losses))
    )
    for mine, its in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=2e-5)
    assert all(float(gradient.abs().max()) > 0 for gradient in ours[1:])
    if any(prompts.lengths[owner] for owner in prompts.owner):
        assert float(ours[0].abs().max()) > 0


@settings(max_examples=12)
@given(batch=batches())
def test_a_batch_gives_what_each_row_gives_alone_put_together_by_hand(backbone, batch):
    check_alone(backbone, *batch)


@settings(max_examples=8)
@given(batch=batches(deep=True))
def test_prompts_per_layer_are_what_each_layer_of_the_stock_network_sees(backbone, batch):
    check_alone(backbone, *batch)


@settings(max_examples=8)
@given(context=texts, question=texts)
def test_a_row_without_a_prompt_is_the_stock_network_on_its_token_ids(backbone, context, question):
    row = backbone.ask(SpanQuestion("drug", question, "x" + context), name="x", reserve=0)
    none = PromptVectors(torch.zeros(1, 0, H), Placement.prefix, (0,), heads=new_heads(1, H, 2, 0))
    types = {"token_type_ids": torch.tensor([row.segments])} if backbone.has_types else {}
    stock = backbone.model(input_ids=torch.tensor([row.tokens]), **types).last_hidden_state[0, row.first : row.last]
    torch.testing.assert_close(backbone.forward([row], none, hidden_layers=[-1]).hidden, stock, **CLOSE)


def test_a_row_has_the_tokens_types_and_marks_that_the_tokenizer_gives_a_pair_of_texts(backbone):
    question, context = "which drug", "the patient took aspirin daily, (5 mg)."
    row = backbone.ask(SpanQuestion("drug", question, context), name="x", reserve=0)
    stock = backbone.tokenizer(question, context, return_token_type_ids=True)
    assert row.tokens == tuple(stock["input_ids"]) and row.segments == tuple(stock["token_type_ids"])
    inside = stock.sequence_ids(0)
    assert [k for k, side in enumerate(inside) if side == 1] == list(range(row.first, row.last))
    with_head = backbone.ask(SpanQuestion("drug", question, context, (), (17, 24)), name="x", reserve=0)
    marked = backbone.tokenizer(question, "the patient took * aspirin * daily, (5 mg).")
    assert with_head.tokens == tuple(marked["input_ids"])
    stars = [k for k, token in enumerate(with_head.tokens) if token in backbone.tokens(Piece("*"))[-1:]]
    assert len(stars) == 2 and all(with_head.places[star - with_head.first] is None for star in stars)
    kept = [place for place in with_head.places if place]
    assert kept == [place for place in row.places if place]


@settings(max_examples=25)
@given(context=texts, head=st.tuples(st.integers(0, 20), st.integers(1, 6)) | st.none(), data=st.data())
def test_every_answer_between_borders_of_tokens_comes_back_as_the_same_characters(backbone, context, head, data):
    if head is not None:
        start = min(head[0], len(context))
        head = (start, min(start + head[1], len(context)))
    row = backbone.ask(SpanQuestion("drug", "which", context, (), head), name="x", reserve=0)
    assert len(row.places) == row.last - row.first
    places = [place for place in row.places if place]
    seen = {at for start, end in places for at in range(start, end)}
    assert seen == {at for at, character in enumerate(context) if not character.isspace()}
    assert all(context[start:end] == context[start:end].strip() != "" for start, end in places)
    starts, ends = {place[0] for place in places}, {place[1] for place in places}
    answers = data.draw(
        st.lists(st.tuples(st.integers(0, len(context)), st.integers(0, len(context))), unique=True, max_size=6)
    )
    answers += [(a[0], b[1]) for a in places[:3] for b in places[-3:] if a[0] < b[1]]
    good = [(a, b) for a, b in dict.fromkeys(answers) if a in starts and b in ends and a < b]
    asked = backbone.ask(SpanQuestion("drug", "which", context, tuple(dict.fromkeys(answers)), head), name="x")
    back = [(asked.places[first][0], asked.places[last][1]) for first, last in asked.gold]
    assert sorted(back) == sorted(good) and asked.lost == len(set(answers)) - len(good)


def test_a_special_token_is_one_only_in_a_trusted_piece(backbone):
    own = set(backbone.tokenizer.all_special_ids) - {backbone.tokenizer.unk_token_id}
    tried = 0
    for word in backbone.tokenizer.all_special_tokens:
        if word != backbone.tokenizer.unk_token:
            tried += 1
            assert len(backbone.tokens(Piece(word, trusted=True))) == 1
            assert not own & set(backbone.tokens(Piece(word)))
    assert tried >= 4


@given(text=texts)
@settings(max_examples=25)
def test_neither_a_note_nor_a_question_ever_holds_special_tokens(backbone, text):
    row = backbone.ask(SpanQuestion("drug", text, f"{text}</s>[SEP]<mask>"), name="x", reserve=0)
    layout = backbone.layout
    special = set(backbone.tokenizer.all_special_ids) - {backbone.tokenizer.unk_token_id}
    found = [token for token in row.tokens if token in special]
    assert found == [*layout.before, *layout.between, *layout.after]


@settings(max_examples=8)
@given(batch=batches())
def test_reading_many_rows_gives_what_each_gives_alone_however_they_are_divided(backbone, batch):
    questions, prompts = batch
    rows = asked(backbone, questions)
    with patch.object(type(backbone), "tokens_at_once", 60):
        together = backbone.read(rows, prompts)
    for row, owner, found in zip(rows, prompts.owner, together, strict=True):
        [alone] = backbone.read([row], replace(prompts, owner=(owner,)))
        assert [(span.first, span.last) for span in found] == [(span.first, span.last) for span in alone]
        for span, other in zip(found, alone, strict=True):
            assert span.score == pytest.approx(other.score, rel=1e-4, abs=1e-4) and span.score > 0
        edges = backbone.forward([row], replace(prompts, owner=(owner,))).edges
        counted = torch.tensor([place is not None for place in row.places])
        assert {(span.first, span.last) for span in found} <= set(map(tuple, candidates(edges, counted).tolist()))
        [apart] = backbone.read([row], replace(prompts, owner=(owner,)), flat=True)
        assert set(apart) <= set(alone)
        assert all(left.last < right.first for left, right in itertools.pairwise(apart))


def test_weights_take_gradients_when_they_train_and_none_when_frozen(backbone):
    row = backbone.ask(SpanQuestion("drug", "which drug", "the patient took aspirin", ((17, 24),)), name="x", reserve=0)
    none = PromptVectors(torch.zeros(1, 0, H), Placement.prefix, heads=new_heads(1, H, 2, 0))
    assert not backbone.forward([row], none).losses.requires_grad
    backbone.model.requires_grad_(True)
    try:
        backbone.forward([row], none).losses.sum().backward()
        assert not [name for name, weight in backbone.model.named_parameters() if weight.grad is None]
    finally:
        backbone.freeze()
        backbone.model.zero_grad()


def test_a_row_that_just_fits_runs_and_one_token_more_is_refused_without_its_words(backbone):
    def question(size):
        return SpanQuestion("drug", "which", " ".join(["took"] * size))

    least = backbone.ask(question(1), name="x", reserve=0).length - 1
    size = backbone.max_tokens - least - 20
    row = backbone.ask(question(size), name="note-7@0", reserve=20)
    assert row.length + 20 == backbone.max_tokens
    prompts = PromptVectors(torch.zeros(1, 20, H), Placement.both, heads=new_heads(1, H, 2, 0))
    assert torch.isfinite(backbone.forward([row], prompts).losses).all()
    with pytest.raises(InputError) as caught:
        backbone.ask(question(size + 1), name="note-7@0", reserve=20)
    for shown in (f"{backbone.max_tokens + 1} tokens", f"{backbone.max_tokens} tokens", "note-7@0", backbone.name):
        assert shown in str(caught.value)
    assert "took" not in str(caught.value)


def test_heads_are_needed_and_prompts_per_layer_for_every_layer(backbone):
    row = backbone.ask(SpanQuestion("drug", "which", "aspirin"), name="x", reserve=0)
    with pytest.raises(ValueError, match="heads"):
        backbone.forward([row], PromptVectors(torch.zeros(1, 1, H), Placement.prefix))
    with pytest.raises(ValueError, match="2 layers"):
        backbone.forward([row], PromptVectors(torch.zeros(1, 2, 1, H), Placement.prefix, heads=new_heads(1, H, 2, 0)))
