import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.backbones.fingerprint import folder_fingerprint
from clinprompt.backbones.tiny import FAMILIES, byte_tokenizer, write_tiny

TOKENIZER = byte_tokenizer()


@given(text=st.text(max_size=60))
def test_the_tokenizer_gives_back_every_text_with_a_token_per_byte(text):
    ids = TOKENIZER.encode(text, add_special_tokens=False, split_special_tokens=True)
    assert len(ids) == len(text.encode())
    assert TOKENIZER.decode(ids, clean_up_tokenization_spaces=False) == text


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_gives_the_same_weights_and_another_seed_others(family, tmp_path):
    state = torch.random.get_rng_state()
    a, b, c = (write_tiny(tmp_path / name, family=family, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert folder_fingerprint(a) == folder_fingerprint(b) != folder_fingerprint(c)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert '"markers"' in (a / "clinprompt.json").read_text()
