from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from clinprompt.errors import InputError
from clinprompt.metrics.labels import accuracy, macro_f1
from clinprompt.schema.example import Answer

from .made import gold

CLASSES = ("yes", "no", "maybe")


def value(metric, truth, said):
    counts = [
        metric.counts(gold(Answer(label=one)), Answer(label=other)) for one, other in zip(truth, said, strict=True)
    ]
    return float(metric.value(np.sum(counts, axis=0)))


@pytest.mark.parametrize("seed", range(6))
def test_both_agree_with_scikit_learn_and_no_answer_is_wrong(seed):
    rng = np.random.default_rng(seed)
    truth = rng.choice(CLASSES, 40, p=[0.7, 0.2, 0.1]).tolist()
    said = rng.choice([*CLASSES, "nothing"], 40).tolist()
    answers = [None if label == "nothing" else label for label in said]
    assert value(accuracy(), truth, answers) == pytest.approx(100 * accuracy_score(truth, said))
    oracle = f1_score(truth, said, labels=list(CLASSES), average="macro", zero_division=0)
    assert value(macro_f1(CLASSES), truth, answers) == pytest.approx(100 * oracle)


def test_pubmedqa_scores_are_those_of_its_official_evaluation():
    """PubMedQA: accuracy, and macro-F1 over the classes that occur, of predictions for every question."""
    rng = np.random.default_rng(7)
    truth = rng.choice(CLASSES, 500, p=[0.552, 0.338, 0.11]).tolist()
    said = rng.choice(["yes", "no"], 500).tolist()  # a model that never says maybe
    assert value(accuracy(), truth, said) == pytest.approx(100 * accuracy_score(truth, said))
    assert value(macro_f1(CLASSES), truth, said) == pytest.approx(100 * f1_score(truth, said, average="macro"))


def test_macro_f1_by_hand():
    # yes: 2 hits, 3 said, 2 gold -> 80; no: 1 hit, 1 said, 2 gold -> 66.7; maybe never occurs -> left out
    assert value(macro_f1(CLASSES), ["yes", "yes", "no", "no"], ["yes", "yes", "yes", "no"]) == pytest.approx(
        (80 + 200 / 3) / 2
    )


def test_a_class_outside_the_task_is_no_answer():
    assert value(macro_f1(CLASSES), ["yes", "no"], ["yes", "perhaps"]) == pytest.approx(50.0)


def test_all_wrong_is_zero_not_an_error():
    assert value(macro_f1(CLASSES), ["yes"], [None]) == 0.0


def test_macro_f1_needs_classes_and_known_gold():
    with pytest.raises(InputError):
        macro_f1(())
    with pytest.raises(InputError, match="perhaps"):
        value(macro_f1(CLASSES), ["perhaps"], ["yes"])
    with pytest.raises(InputError, match="no gold class"):
        value(accuracy(), [None], [None])
