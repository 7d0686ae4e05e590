"""What every encoder family must do: a question's result depends on nothing but its own prompt, heads and text."""

import itertools
from dataclasses import astuple, replace
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.backbones import apart
from clinprompt.backbones.encoder_loading import load_encoder, reads
from clinprompt.backbones.heads import new_heads
from clinprompt.backbones.protocol import Placement, PromptVectors
from clinprompt.backbones.tiny import write_tiny
from clinprompt.backbones.tiny_encoders import ENCODERS
from clinprompt.errors import InputError
from clinprompt.maths.span_decoding import candidates
from clinprompt.schema.formulated import Piece, SpanQuestion
from tests.encoder_rows import CLOSE, H, asked, batches, check_alone, texts


@pytest.fixture(scope="module", params=sorted(ENCODERS))
def backbone(request, tmp_path_factory):
    folder = write_tiny(tmp_path_factory.mktemp("encoder") / request.param, family=request.param, seed=3)
    assert reads(str(folder))
    return load_encoder(str(folder), dtype="float64", device="cpu")


@settings(max_examples=8)
@given(batch=batches(places=[Placement.apart]), deeper=batches(deep=True, places=[Placement.apart]))
def test_question_and_text_are_apart_at_first_for_one_row_as_for_many(backbone, batch, deeper):
    for questions, prompts in (batch, deeper):
        check_alone(backbone, questions, prompts)
        rows = asked(backbone, questions)
        kept = backbone.note_cache()
        plain = backbone.forward(rows, prompts)
        for _ in range(2):  # the second time every text is kept
            cached = backbone.forward(rows, prompts, notes=kept)
            torch.testing.assert_close(cached.losses, plain.losses, **CLOSE)
            torch.testing.assert_close(cached.edges, plain.edges, **CLOSE)


def test_a_text_is_read_once_for_all_questions_prompts_and_batches(backbone):
    texts = ["the patient took aspirin", "no drugs were named"]
    rows = [
        backbone.ask(SpanQuestion("drug", question, text), name="x", reserve=4)
        for text in texts
        for question in ("which drug", "which dose")
    ]
    draw = torch.Generator().manual_seed(0)
    vectors = torch.randn(2, 3, H, generator=draw)
    heads = new_heads(2, H, 2, 0)
    heads |= {"edge_bias": heads["edge_bias"] + 5.0, "match_out_bias": heads["match_out_bias"] + 1.0}
    prompts = PromptVectors(vectors, Placement.apart, owner=(0, 0, 1, 1), heads=heads)
    read, asked_about = [], []
    real = apart.text_states, apart.states_below

    def counted(network, some, *, at):
        read.extend(some)
        return real[0](network, some, at=at)

    def also_counted(network, some, chosen, *, at):
        asked_about.extend(row for row in some if chosen.vectors.shape[-2])
        return real[1](network, some, chosen, at=at)

    backbone.__dict__.pop("_kept", None)
    assert backbone.tupled in (True, False)  # found by a run of the network, once
    with patch.object(apart, "text_states", counted), patch.object(apart, "states_below", also_counted):
        first = backbone.read(rows, prompts)
        assert len(read) == 2 and len(asked_about) == 4
        again = backbone.read(rows[::-1], replace(prompts, owner=(1, 1, 0, 0)))
        assert len(read) == 2 and len(asked_about) == 4 and again[::-1] == first
        assert any(first)
        for without in ({"altered": True}, {"note_memory": 0}):  # other weights, no room: nothing kept is used, or kept
            read.clear()
            asked_about.clear()
            with patch.multiple(backbone, **without):
                found = backbone.read(rows, prompts)
            assert len(read) == 2 and len(asked_about) == 4
            assert [[span[:2] for span in map(astuple, spans)] for spans in found] == [
                [span[:2] for span in map(astuple, spans)] for spans in first
            ]


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
