from __future__ import annotations

import pytest

from clinprompt.data.readers import text_pairs
from clinprompt.errors import InputError


@pytest.fixture
def pairs(tmp_path):
    for number in (1, 2, 10):
        for folder, words in (("text", "long"), ("summary", "short")):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / f"p{number % 2}_{number}.txt").write_bytes(f"{words} {number}\r\n".encode())
    return tmp_path


def test_same_names_are_pairs_in_order(pairs):
    found = text_pairs.read(pairs)
    assert [(e.id, e.note, e.answer.text) for e in found] == [
        ("p0_10", "long 10\r\n", "short 10"),
        ("p0_2", "long 2\r\n", "short 2"),
        ("p1_1", "long 1\r\n", "short 1"),
    ]


def test_numbers_are_put_in_order_as_numbers_and_cut(pairs):
    found = text_pairs.read(pairs, key="_([0-9]+)", cut=[1, 3])
    assert [example.id for example in found] == ["2", "10"]


def test_the_patient_is_found_in_the_name(pairs):
    assert {example.group for example in text_pairs.read(pairs, group="^p[0-9]")} == {"p0", "p1"}


def test_a_key_that_two_files_have(pairs):
    with pytest.raises(InputError, match="the key 'p0'"):
        text_pairs.read(pairs, key="^p[0-9]")
