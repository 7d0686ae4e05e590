"""What every codec's form must do: let every gold answer through, and nothing that is not read and found (G1, G3, G5)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clinprompt.backbones.embedded as embedded
from clinprompt.backbones.tiny import byte_tokenizer
from clinprompt.inference.constraint import Grammars, allowed_tokens
from clinprompt.schema.example import QUOTED, Answer
from clinprompt.schema.formulated import Piece
from clinprompt.tasks.codecs import CODECS

from ..annotated import SAID, example, relation_examples
from ..tasks.codecs.test_entities import ASSERTED, asserted_examples
from .test_codecs import CASES

LONGEST = 50
SIGNS = (" ", "|", "#", ";", ">", ":", "\\")


@lru_cache
def tokenizer_of(name):
    """A stand-in for a backbone: its tokenizer is all that a grammar needs."""
    from transformers import AutoTokenizer

    folder = Path(embedded.__file__).parent / "model"
    tokenizer = byte_tokenizer() if name == "bytes" else AutoTokenizer.from_pretrained(folder)
    encode = lambda piece: tokenizer.encode(piece.text, add_special_tokens=False, split_special_tokens=True)  # noqa: E731
    backbone = SimpleNamespace(
        tokenizer=tokenizer, vocabulary=len(tokenizer), stops=frozenset({tokenizer.eos_token_id}), tokens=encode,
        text=lambda ids: tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False),
    )  # fmt: skip
    return backbone, Grammars(backbone)


def examples(name):
    if name == "attributes":
        return ASSERTED, asserted_examples(), CODECS["entities"]
    if name == "attributes of ends":
        return SAID, relation_examples(SAID), CODECS["relations"]
    task, golds = CASES[name]
    return task, golds, CODECS[name]


limited = pytest.mark.parametrize(
    "name", [*(name for name in CODECS if name != "free_text"), "attributes", "attributes of ends"]
)
tokenizers = st.sampled_from(["bytes", "embedded"])


def test_free_text_has_no_form():
    task, _ = CASES["free_text"]
    assert CODECS["free_text"].form(example("a note", Answer(text="any")), task) is None


@limited
@settings(max_examples=40)
@given(data=st.data(), tokenizer=tokenizers, joint=st.sampled_from([" ", ""]))
def test_the_form_lets_every_gold_answer_through(name, data, tokenizer, joint):
    task, golds, codec = examples(name)
    gold = data.draw(golds)
    backbone, grammars = tokenizer_of(tokenizer)
    constraint = grammars.constraint(codec.form(gold, task), joint)
    for token in backbone.tokens(Piece(joint + codec.encode(gold, task))):
        assert constraint.allows(token)
        assert allowed_tokens([constraint], backbone.vocabulary)[0, token]
        constraint.advance(token)
    assert constraint.held and constraint.complete == len(constraint.written)
    assert constraint.allows(backbone.tokenizer.eos_token_id)


@limited
@settings(max_examples=40)
@given(data=st.data(), tokenizer=tokenizers, random=st.randoms(use_true_random=False))
def test_whatever_is_written_within_the_form_is_read_and_found(name, data, tokenizer, random):
    """Any allowed token may be written, the signs of the form by preference: what a model does that wants anything."""
    task, golds, codec = examples(name)
    gold = data.draw(golds)
    backbone, grammars = tokenizer_of(tokenizer)
    end = backbone.tokenizer.eos_token_id
    constraint = grammars.constraint(codec.form(gold, task), " ")
    for _ in range(LONGEST):
        may = allowed_tokens([constraint], backbone.vocabulary)[0].nonzero()[:, 0].tolist()
        signs = [token for token in may if backbone.text([token]).strip(" ") in SIGNS]
        token = random.choice(signs if signs and random.random() < 0.4 else may)
        assert constraint.held and (token == end) <= (constraint.complete == len(constraint.written))
        constraint.advance(token)
        if token == end or constraint.ended:
            break
    # An answer cut by the limit is given back to where it was whole.
    text = grammars.text(constraint.written[: constraint.complete]).removeprefix(" ")
    if not constraint.complete:
        return
    found = codec.decode(text, gold, task)
    assert found.report.unreadable == found.report.unlocated == 0
    assert all(span.label in (task.labels or (QUOTED,)) for span in found.answer.spans)
    assert all(relation.label in task.relations for relation in found.answer.relations)
    assert name != "quote" or found.answer.text == "unanswerable" or found.answer.text in gold.note
    ends = {end for relation in found.answer.relations for end in (relation.head, relation.tail)}
    assert ends <= {span.id for span in found.answer.spans}
