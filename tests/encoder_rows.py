"""Questions and prompts to any encoder, and what each row gives alone, put together by hand without a batch."""

from __future__ import annotations

from contextlib import ExitStack
from unittest.mock import patch

import torch
from hypothesis import strategies as st

from clinprompt.backbones.apart import layers_apart
from clinprompt.backbones.heads import edge_logits, new_heads, question_losses
from clinprompt.backbones.protocol import Placement, PromptVectors
from clinprompt.schema.formulated import SpanQuestion

CLOSE = dict(rtol=1e-5, atol=1e-5)
"""Weights are float64, yet some stock norms and softmaxes compute in float32: rounding shows near 1e-6."""
SPECIAL = ("[SEP]", "[CLS]", "[MASK]", "[PAD]", "<s>", "</s>", "<mask>", "<pad>")
H, L, M = 32, 3, 3

bits = st.sampled_from([*"abX,.*(/-", *"éµ½東ﬁ🙂", "e\u0301", " ", "  ", "\n", "aspirin", "took", *SPECIAL])
texts = st.lists(bits, max_size=14).map("".join)


def drawn_heads(seed):
    draw = torch.Generator().manual_seed(seed)
    return {
        name: (torch.randn(value.shape, generator=draw) * 0.5).requires_grad_()
        for name, value in new_heads(M, H, 6, 0).items()
    }


@st.composite
def batches(draw, deep=False, places=tuple(Placement)):
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
    place = draw(st.sampled_from(places))
    return questions, PromptVectors(vectors, place, tuple(owner), tuple(lengths), drawn_heads(seed))


def asked(backbone, questions):
    return [backbone.ask(question, name=str(i), reserve=8) for i, question in enumerate(questions)]


def stock_alone(backbone, row, prompts, owner):
    """The hidden states ``[T, H]`` of a row's context, all layers, put together by hand without padding."""
    if prompts.placement is Placement.apart:
        return apart_alone(backbone, row, prompts, owner)
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


def apart_alone(backbone, row, prompts, owner):
    """The same, question and text apart in the first layers: two runs of the network, and a third from there on."""
    table, lead, border = backbone.model.get_input_embeddings(), 1, layers_apart(L)
    own = prompts.vectors[owner, ..., : prompts.lengths[owner], :].to(torch.float64)
    deep, P = own.ndim == 3, own.shape[-2]
    first = torch.zeros_like(own[0]) if deep else own
    words = table(torch.tensor(row.tokens))
    question = torch.cat([words[:lead], first, words[lead : row.first]])
    text = torch.cat([words[:lead], words[row.first :]])
    kinds = [0] * (lead + P) + list(row.segments[lead : row.first])
    of_text = [0] * lead + list(row.segments[row.first :])
    slots = [lead + j for j in range(P)]

    def run(embeds, types, given=None):
        more = {"token_type_ids": torch.tensor([types])} if backbone.has_types else {}
        with ExitStack() as stack:
            for number, layer in enumerate(backbone.layers):
                forward = layer.forward
                if given is None and deep and embeds is question:
                    forward = overwriting(forward, slots, own[number])
                if given is not None and number >= border and deep:
                    forward = overwriting(forward, slots, own[number])
                if given is not None and number == border:
                    forward = starting(forward, given)
                stack.enter_context(patch.object(layer, "forward", forward))
            result = backbone.model(inputs_embeds=embeds[None], output_hidden_states=True, **more)
        return [*(states[0] for states in result.hidden_states[:-1]), result.last_hidden_state[0]]

    asked, read = run(question, kinds), run(text, of_text)
    below = torch.cat([asked[border], read[border][lead:]])
    whole = run(torch.cat([question, text[lead:]]), kinds + of_text[lead:], given=below)
    context = slice(lead, lead + row.last - row.first)
    return [
        states[context] if number <= border else whole[number][P + row.first : P + row.last]
        for number, states in enumerate(read)
    ]


def starting(forward, given):
    """The layer on these states, whatever comes from below."""
    return lambda states, *args, **kwargs: forward(given[None], *args, **kwargs)


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
