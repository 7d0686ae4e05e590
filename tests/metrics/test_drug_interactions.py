from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.metrics import f1_score

from clinprompt.errors import InputError
from clinprompt.metrics import METRICS
from clinprompt.metrics.drug_interactions import TYPES

from .made import answer, gold

DRUGS = (("drug", 0, 4), ("brand", 6, 9), ("drug", 12, 15, 20, 22), ("group", 30, 33))
PAIRS = list(itertools.combinations(range(4), 2))


def value(name, rows):
    metric = METRICS[name](("drug", "brand", "group"))
    return float(metric.value(sum(metric.counts(gold(right), said) for right, said in rows)))


def linked(labels, turned=False):
    links = [(label, *(pair[::-1] if turned else pair)) for label, pair in zip(labels, PAIRS, strict=True) if label]
    return answer(*DRUGS, relations=links)


@pytest.mark.parametrize("seed", range(4))
def test_given_pairs_agree_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    words = np.array(["", *TYPES])
    right = words[rng.choice(5, (20, 6), p=[0.5, 0.2, 0.1, 0.15, 0.05])].tolist()
    said = words[rng.choice(5, (20, 6), p=[0.6, 0.1, 0.1, 0.1, 0.1])].tolist()
    rows = [(linked(one), linked(other, turned=True)) for one, other in zip(right, said, strict=True)]
    truth, given = (list(itertools.chain.from_iterable(labels)) for labels in (right, said))
    for name, average in (("ddi-f1", "micro"), ("ddi-f1:macro", "macro")):
        assert value(name, rows) == pytest.approx(100 * f1_score(truth, given, labels=list(TYPES), average=average))
    detection = f1_score([bool(label) for label in truth], [bool(label) for label in given])
    assert value("ddi-f1:detection", rows) == pytest.approx(100 * detection)


def test_a_pair_has_no_direction_and_needs_both_places_but_not_the_types_of_the_drugs():
    right = answer(("drug", 0, 4), ("brand", 6, 9), relations=[("effect", 0, 1)])
    for spans, hits in (((("brand", 6, 9), ("group", 0, 4)), 1), ((("drug", 0, 4), ("brand", 6, 8)), 0)):
        said = answer(*spans, relations=[("effect", 0, 1)])
        assert METRICS["ddi-f1"]().counts(gold(right), said).tolist() == [hits, 1, 1]


def test_another_type_is_still_detected():
    right, said = linked(["effect", *[""] * 5]), linked(["int", *[""] * 5])
    assert (value("ddi-f1", [(right, said)]), value("ddi-f1:detection", [(right, said)])) == (0, 100)


def test_gold_of_another_corpus_is_refused():
    with pytest.raises(InputError, match="'of'"):
        value("ddi-f1:macro", [(linked(["of", *[""] * 5]), linked([""] * 6))])
