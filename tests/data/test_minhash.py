from __future__ import annotations

import random

import numpy as np
import pytest

from clinprompt.data.minhash import SIMILAR, WORDS, jaccard, similar, sketched
from clinprompt.data.near import runs_of


def sketches(texts):
    return sketched(runs_of(texts, run=WORDS))


def words(rng: random.Random, count: int) -> list[str]:
    return [f"w{rng.randrange(5000)}" for _ in range(count)]


def changed(text: list[str], rng: random.Random, share: float) -> list[str]:
    return [f"x{rng.randrange(5000)}" if rng.random() < share else word for word in text]


def triples(text: str) -> set[tuple[str, ...]]:
    found = text.split()
    width = min(WORDS, len(found))
    return {tuple(found[at : at + width]) for at in range(len(found) - width + 1)} if width else set()


def test_it_finds_what_comparing_all_pairs_finds():
    rng = random.Random(1)
    texts = [words(rng, rng.randrange(20, 80)) for _ in range(60)]
    others = [changed(rng.choice(texts), rng, rng.choice((0.0, 0.02, 0.05, 0.1, 0.3))) for _ in range(80)]
    first, second = [" ".join(text) for text in texts], [" ".join(text) for text in others]
    expected = []
    for place, one in enumerate(first):
        shares = [len(triples(one) & triples(two)) / len(triples(one) | triples(two)) for two in second]
        expected += [place] * any(share >= SIMILAR for share in shares)
    found = similar(sketches(first), sketches(second))
    assert set(found) <= set(expected)  # nothing found is a guess
    assert len(found) >= 0.97 * len(expected) and 10 < len(expected) < 60


def test_bands_agree_as_often_as_the_similarity_says():
    """Texts with similarity s agree in a band of five places with probability s^5."""
    rng = random.Random(2)
    agreed, expected = [], []
    for _ in range(60):
        text = words(rng, 200)
        one, two = sketches([" ".join(text)]), sketches([" ".join(changed(text, rng, 0.05))])
        agreed.append((one.bands == two.bands).mean())
        expected.append(jaccard(one.runs.hashes, two.runs.hashes) ** 5)
    assert np.mean(agreed) == pytest.approx(np.mean(expected), abs=0.04)


def test_names_and_dates_that_were_replaced_hide_no_note():
    note = "Mr {0} was admitted on {1} with fever and cough . He was given {2} mg of cefuroxime and went home on {3} . "
    first, second = (
        note.format(*values) * 2 for values in (("Smith", "3 May", 750, "9 May"), ("Jones", "4 May", 750, "9 May"))
    )
    runs = runs_of([first]).shares(runs_of([second]))
    assert similar(sketches([first]), sketches([second]), threshold=0.6) == [0] and runs[0] < 0.8


def test_texts_without_words_are_like_nothing():
    empty = sketches(["", "…", "a b c"])
    assert similar(empty, empty) == [2] and similar(sketches([]), empty) == [] == similar(empty, sketches(["…"]))
    assert similar(sketches(["Short"]), sketches(["short !"])) == [0]
