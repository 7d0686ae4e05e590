"""Whether a first token is the one that a prompt's card has recorded."""

from __future__ import annotations

import pytest

from clinprompt.inference.engines.asking import agrees, tolerance
from clinprompt.inference.engines.completion import Completion
from clinprompt.prompts.card import Reference

CARD = Reference(tokens=(1, 2, 3, 4), with_prompt=(20.0, 17.0, 14.0, 12.0), without_prompt=(0.0,) * 4)
TEXTS = {1: " yes", 2: " no", 3: "\ufffd", 4: "<eos>"}


def said(text, **best):
    told = {int(name[1:]) if name[0] == "t" else name: value for name, value in best.items()}
    return Completion(text, True, None, None, (), (), (), told)


def agree(one):
    return agrees(one, CARD, TEXTS.__getitem__)


def test_by_ids_whatever_constant_lies_between_logits_and_log_probabilities():
    assert agree(said("", t1=-0.1, t2=-3.1, t3=-6.1, t4=-8.1, t9=-9.5))
    assert agree(said("", t1=-0.1, t2=-4.5, t9=-9.0))  # rounding of half precision
    assert not agree(said("", t1=-0.1, t2=-6.1))  # too far apart
    assert not agree(said("", t2=-0.1, t1=-3.1))  # the other way round
    assert not agree(said("", t1=-3.0, t9=-0.1, t2=-6.0))  # something else is likelier
    assert not agree(said("", t8=-0.1, t9=-3.1))


def test_by_texts_where_they_can_be_told():
    assert agree(Completion("", True, None, None, (), (), (), {" yes": -0.1, " no": -3.1, "\ufffd": -1.0}))
    assert not agree(Completion("", True, None, None, (), (), (), {" yes": -0.1, " maybe": -0.2}))
    assert not agree(Completion(" yes", True, None, None, (), (), (), {"other": -0.1}))


@pytest.mark.parametrize(("text", "good"), [(" yes", True), ("yes", True), (" no", False), ("", False), ("x", False)])
def test_by_the_written_token_alone(text, good):
    assert agree(said(text)) is good


def test_close_logits_are_not_all_the_same():
    flat = Reference(tokens=(1, 2), with_prompt=(3.2, 2.8), without_prompt=(0.0, 0.0))
    assert tolerance(flat) == pytest.approx(0.2) and tolerance(CARD) == 2.0
