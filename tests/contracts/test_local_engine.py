"""What prediction must do on every backbone family: token for token the naive way, whatever else is in the batch."""

from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.backbones.protocol import BESIDE_WRITING, Generation, Placement, Row
from clinprompt.backbones.state_store import StateStore
from clinprompt.backbones.tiny import FAMILIES
from clinprompt.inference.engines.local import LocalEngine, Request
from tests.contracts.test_backbones import in_another_way, tokens
from tests.made_backbones import tiny_backbone
from tests.plain_rows import LAYERS, plain_embeds, plain_layers


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def backbone(request, tmp_path_factory):
    made = tiny_backbone(tmp_path_factory.mktemp(request.param), family=request.param, seed=3, context=256)
    with patch.object(made, "text", lambda ids: "".join(f"<{token}>" for token in ids)):
        yield made


@st.composite
def mixed_requests(draw):
    """Requests of mixed prompts, at the input or in every layer, some of them on the same note or the same examples."""
    notes = draw(st.lists(st.lists(tokens, min_size=1, max_size=40), min_size=1, max_size=3))
    seed = draw(st.integers(0, 2**16))
    generator = torch.Generator().manual_seed(seed)
    examples = draw(st.lists(tokens, max_size=12))
    lengths = draw(st.lists(st.integers(2, 5), min_size=1, max_size=3))
    shapes = [(LAYERS, length) if draw(st.booleans()) else (length,) for length in lengths]
    prompts = [torch.randn(*shape, 32, generator=generator) * 0.3 for shape in shapes]
    kinds = st.tuples(
        st.integers(0, len(notes) - 1),
        st.lists(tokens, min_size=1, max_size=3),
        st.sampled_from([None, *range(len(prompts))]),
        st.sampled_from(BESIDE_WRITING),
        st.booleans(),
    )
    made = []
    for i, (note, cue, prompt, placement, behind) in enumerate(draw(st.lists(kinds, min_size=1, max_size=6))):
        shown = examples if behind else []
        row = Row(f"row {i}", (*shown, *notes[note]), tuple(cue), (2,), shared=len(shown) or None)
        made.append(Request(row, None if prompt is None else prompts[prompt], placement))
    return made


def whole(backbone, request, after=()):
    """A request as one sequence of embeddings, put together by hand."""
    row = request.row
    return plain_embeds(backbone, row.context, row.cue, request.vectors, request.placement, after)


def above(backbone, request):
    """What puts its vectors of the layers above in."""
    return plain_layers(backbone, request.row.context, request.vectors, request.placement)


@torch.no_grad()
def naive_greedy(backbone, request, most):
    """Greedy decoding that runs the whole sequence anew for every token."""
    written = []
    while len(written) < most:
        embeds = whole(backbone, request, written)
        with above(backbone, request):
            token = int(backbone.model(inputs_embeds=embeds, use_cache=False).logits[0, -1].argmax())
        if token in backbone.stops:
            return backbone.text(written), len(written), False
        written.append(token)
    return backbone.text(written), most, True


@settings(max_examples=12)
@given(requests=mixed_requests(), rows=st.integers(1, 4), budget=st.sampled_from([0, 3000, 2**30]))
def test_greedy_answers_are_those_of_naive_decoding_whatever_the_batch(backbone, requests, rows, budget):
    """Few rows at a time make them come and go; a small budget makes states be dropped and computed again."""
    engine = LocalEngine(backbone, store=StateStore(budget=budget), rows=rows, tokens=64)
    expected = [naive_greedy(backbone, request, 6) for request in requests]
    for _ in range(2):  # with empty stores, then with full ones
        found = engine.answers(requests, Generation(6))
        assert [(answer.text, answer.tokens, answer.truncated) for answer in found] == expected
    backwards = engine.answers(requests[::-1], Generation(6))
    assert backwards[::-1] == found


@settings(max_examples=5)
@given(requests=mixed_requests())
def test_the_padded_way_writes_the_same(backbone, requests):
    expected = LocalEngine(backbone).answers(requests, Generation(5))
    padded = in_another_way(backbone, packed=False)
    with patch.object(padded, "text", backbone.text):
        assert LocalEngine(padded).answers(requests, Generation(5)) == expected


@settings(max_examples=6)
@given(requests=mixed_requests(), beams=st.integers(2, 4), penalty=st.sampled_from([0.0, 1.0, 1.7]))
def test_beam_search_is_that_of_transformers_for_each_row_alone(backbone, requests, beams, penalty):
    generation = Generation(5, beams=beams, length_penalty=penalty)
    found = LocalEngine(backbone, rows=8).answers(requests, generation)
    for request, answer in zip(requests, found, strict=True):
        with torch.no_grad(), above(backbone, request):
            [line] = backbone.model.generate(
                inputs_embeds=whole(backbone, request),
                max_new_tokens=5,
                num_beams=beams,
                length_penalty=penalty,
                early_stopping=False,
                do_sample=False,
                pad_token_id=backbone.pad,
                eos_token_id=sorted(backbone.stops),
            ).tolist()
        ended = next((i for i, token in enumerate(line) if token in backbone.stops), len(line))
        assert answer.text == backbone.text(line[:ended])


@settings(max_examples=6)
@given(requests=mixed_requests(), seed=st.integers(0, 99))
def test_likelihoods_of_choices_are_those_of_each_alone(backbone, requests, seed):
    texts = [["ab", "a", "xyz"][: 1 + (seed + i) % 3] for i in range(len(requests))]
    found = LocalEngine(backbone, tokens=64).likelihoods(requests, texts)
    for request, choices, values in zip(requests, texts, found, strict=True):
        for choice, value in zip(choices, values, strict=True):
            answer = backbone.with_answer(request.row, choice).answer
            with torch.no_grad(), above(backbone, request):
                logits = backbone.model(inputs_embeds=whole(backbone, request, answer[:-1]), use_cache=False).logits
            likely = logits[0, -len(answer) :].log_softmax(-1)[range(len(answer)), list(answer)].sum()
            assert value == pytest.approx(float(likely), rel=1e-5, abs=1e-5)


def test_an_answer_ends_at_any_end_token_while_others_go_on(backbone):
    requests = [Request(Row(str(i), (5 + i, 6), (7,), (2,))) for i in range(4)]
    free = LocalEngine(backbone).answers(requests, Generation(8))
    second = int(free[0].text.split("><")[1].rstrip(">"))
    with patch.object(backbone, "stops", frozenset({backbone.eos, second})):
        cut = LocalEngine(backbone).answers(requests, Generation(8))
        assert (cut[0].tokens, cut[0].truncated) == (1, False) and free[0].text.startswith(cut[0].text)
        for before, after in zip(free, cut, strict=True):
            assert before.text.startswith(after.text)


def test_an_answer_ends_where_a_stop_text_begins(backbone):
    request = Request(Row("a", (5, 6), (7,), (2,)))
    [free] = LocalEngine(backbone).answers([request], Generation(8))
    words = free.text.replace("><", "> <").split()
    stop = next(word for i, word in enumerate(words) if i >= 2 and word not in words[:i])
    for beams in (1, 2):
        generation = Generation(8, beams=beams, stop=(stop, "never"))
        [cut] = LocalEngine(backbone).answers([request], generation)
        assert stop not in cut.text
        if beams == 1:
            assert cut.text == "".join(words[: words.index(stop)]) and not cut.truncated


def test_a_note_is_run_once_for_all_its_tasks_and_a_prompt_once_for_all_its_notes(backbone):
    prompts = [torch.randn(3, 32, generator=torch.Generator().manual_seed(i)) * 0.3 for i in range(4)]
    note = Row("a", tuple(range(10, 50)), (7,), (2,))
    ran = []
    states, prompt_states = backbone.states, backbone.prompt_states
    with (
        patch.object(backbone, "states", lambda contexts: ran.extend(contexts) or states(contexts)),
        patch.object(backbone, "prompt_states", lambda given: ran.extend(given.vectors) or prompt_states(given)),
    ):
        engine = LocalEngine(backbone)
        engine.answers([Request(note, prompt, Placement.suffix) for prompt in prompts], Generation(3))
        assert len(ran) == 1
        other = [replace(note, context=(*note.context, i)) for i in range(5)]
        engine.answers([Request(row, prompts[0], Placement.prefix) for row in other], Generation(3))
        engine.answers([Request(note, prompts[0].clone(), Placement.prefix)], Generation(3))
        assert len(ran) == 2
        engine.answers([Request(note, prompts[0], Placement.both)], Generation(3))
        assert len(ran) == 3  # half a prompt is another prompt
