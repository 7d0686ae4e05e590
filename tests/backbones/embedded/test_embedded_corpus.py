"""The pretraining corpus: what the product renders, nothing that is held out."""

from __future__ import annotations

import random
import re
from collections import Counter

import numpy as np
import pytest

from clinprompt.backbones.embedded.corpus import (
    Role,
    batches,
    collate,
    draw_conversation,
    encode,
    pieces,
)
from clinprompt.backbones.embedded.skills import MIXTURE
from clinprompt.backbones.embedded.tokenizer import ANSWER, BOS, EOS, SPECIAL_TOKENS, train_tokenizer
from clinprompt.data.readers.synthetic.vocabulary import TERMS
from clinprompt.tasks.catalog import CATALOG_ROOT, load_task
from clinprompt.tasks.template import TEMPLATES, render


@pytest.fixture(scope="module")
def conversations():
    rng = random.Random(3)
    return [draw_conversation(rng, short=index < 100) for index in range(900)]


@pytest.fixture(scope="module")
def tokenizer(conversations):
    texts = (text for row in conversations for text, _, _ in pieces(row) if text not in SPECIAL_TOKENS)
    return train_tokenizer(texts, vocabulary=1024)


def test_pieces_are_those_of_the_markers_templates(conversations):
    for conversation in conversations[100:400]:
        written = [text for text, _, _ in pieces(conversation)]
        for turn in conversation.turns:
            slots = {"question": turn.question, "options": turn.options, "hypothesis": turn.hypothesis}
            inputs = {"note": conversation.note.text, **{slot: text for slot, text in slots.items() if text}}
            name = "markers-first" if conversation.instruction_first else "markers"
            rendered = render(TEMPLATES[name], inputs, turn.instruction)
            expected = [piece.text for piece in (*rendered.context, *rendered.cue)] + [" " + turn.answer]
            if conversation.instruction_first or turn is conversation.turns[0]:
                assert written[: len(expected)] == expected
            else:  # later turns leave out the note, which stands in front of the first
                tail = expected[2:]
                assert any(written[at : at + len(tail)] == tail for at in range(2, len(written)))


def test_nothing_held_out_is_in_the_corpus(conversations):
    text = "\n".join(text for row in conversations for text, _, _ in pieces(row))
    answers = {turn.answer for row in conversations for turn in row.turns}
    reserved = [term for terms in TERMS.values() for term in terms.reserved]
    assert not [term for term in reserved if re.search(rf"(?<!\w){re.escape(term)}(?!\w)", text)]
    for path in (CATALOG_ROOT / "synthetic").glob("*.yaml"):
        task = load_task(path)
        assert task.instruction not in text
        if task.group == "far":
            for words in task.verbalizer.values():
                form = re.compile(rf"(^|; ){re.escape(words)}(: |$)")
                assert not any(form.search(answer) for answer in answers)


def test_every_skill_is_drawn_and_answers_something(conversations):
    kinds = Counter(turn.kind for row in conversations for turn in row.turns)
    assert set(kinds) == {"ner", "re", "qa", "mc", "nli", "sum", "copy"}
    assert min(kinds.values()) > 0.05 * kinds.total() * 0.5
    assert all(turn.answer and turn.instruction for row in conversations for turn in row.turns)
    assert sum(weight for weight, _ in MIXTURE) > 0
    assert 0.35 < sum(row.instruction_first for row in conversations) / len(conversations) < 0.55


def test_roles_mark_answers_with_their_end(conversations, tokenizer):
    cue, end = tokenizer.convert_tokens_to_ids([ANSWER, EOS])
    for conversation, row in zip(conversations, encode(conversations, tokenizer), strict=True):
        assert len(row.ids) == len(row.roles) and row.ids[0] == tokenizer.convert_tokens_to_ids(BOS)
        answers = np.split(np.flatnonzero(row.roles >= Role.answer), np.flatnonzero(row.ids == end))
        starts = np.flatnonzero(row.ids == cue) + 1
        stops = np.flatnonzero(row.ids == end) + 1
        assert len(starts) == len(stops) == len(conversation.turns) and answers
        for turn, start, stop in zip(conversation.turns, starts, stops, strict=True):
            assert tokenizer.decode(row.ids[start : stop - 1]) == " " + turn.answer
            assert (row.roles[start:stop] >= Role.answer).all()
            assert (row.roles[start] == Role.decisive) == turn.decisive


def test_batches_keep_every_row_within_the_budget(conversations, tokenizer):
    rows = encode(conversations[:200], tokenizer)
    groups = batches(rows, tokens=2048, rng=random.Random(1))
    assert sorted(map(id, (row for group in groups for row in group))) == sorted(map(id, rows))
    for group in groups:
        ids, roles = collate(group, pad=0)
        assert ids.shape == roles.shape
        assert ids.size <= 2048 or len(group) == 1
        for row, line, marks in zip(group, ids, roles, strict=True):
            assert (line[: len(row.ids)] == row.ids).all() and not marks[len(row.ids) :].any()


@pytest.mark.parametrize("text", ["ataxia é 😀", "a\r\n\tb", "<note> and <eos>", "\u202e\x00"])
def test_any_text_survives_the_tokenizer(tokenizer, text):
    ids = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_words_of_the_source_sites_stay_whole():
    rng = random.Random(4)
    drawn = (draw_conversation(rng) for _ in range(3000))
    tokenizer = train_tokenizer(text for row in drawn for text, _, _ in pieces(row) if text not in SPECIAL_TOKENS)
    lengths = [len(tokenizer.tokenize(" " + drug)) for drug in TERMS["drug"].source]
    assert len(tokenizer) == 2048
    assert sum(lengths) / len(lengths) < 1.6
