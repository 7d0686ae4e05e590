"""Text for engines that take no ids: special tokens where we put them, none where a note spells one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.backbones.tiny import byte_tokenizer
from clinprompt.errors import InputError
from clinprompt.inference.token_requests import request_text

TOKENIZER = byte_tokenizer()
SPECIAL = TOKENIZER.all_special_ids
WORDS = st.sampled_from(["<eos>", "<e", "os>", "<note>", "< eos>", " ", "a", "é", "<", "<q", ">", "<pad>", "😀"])


def ids_of(text, *, trusted=False):
    return TOKENIZER.encode(text, add_special_tokens=False, split_special_tokens=not trusted)


@settings(max_examples=100)
@given(parts=st.lists(st.tuples(st.booleans(), WORDS), max_size=12))
def test_no_tokenizer_finds_a_special_token_that_we_did_not_put(parts):
    ids = []
    for trusted, text in parts:
        ids += [SPECIAL[3]] if trusted else ids_of(text)
    text = request_text(ids, TOKENIZER, where="x")
    read = TOKENIZER.encode(text, add_special_tokens=False)
    assert [one for one in read if one in SPECIAL] == [one for one in ids if one in SPECIAL]


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30))
def test_ordinary_text_stays_as_it_is(text):
    if not any(one in text for one in TOKENIZER.all_special_tokens):
        assert request_text([1, *ids_of(text), 5], TOKENIZER, where="x") == f"<bos>{text}<ans>"


def test_what_is_spelled_across_a_border_is_refused_without_its_words(monkeypatch):
    monkeypatch.setattr("clinprompt.inference.token_requests.harmless", lambda text, spellings: text)
    with pytest.raises(InputError, match="where they meet") as caught:
        request_text(ids_of("Canary <eos>"), TOKENIZER, where="example n1")
    assert "Canary" not in str(caught.value) and "example n1" in str(caught.value)
