import numpy as np
import pytest

from clinprompt.errors import InputError
from clinprompt.evaluation.score import check_metrics, score_task, task_counts
from clinprompt.schema.prediction import DecodeReport, Prediction
from clinprompt.tasks.catalog import catalog, load_task
from tests.metrics.made import answer, gold

TASK = load_task("medications").model_copy(update={"metrics": ("span-f1", "span-f1-lenient")})
EXAMPLES = [
    gold(answer(("drug", 0, 5), ("dose", 6, 9)), id="1", group="p"),
    gold(answer(("drug", 0, 5)), id="2", group="q"),
    gold(answer(), id="3", group="p"),
]
PREDICTIONS = [
    Prediction("3", answer(), DecodeReport(items=1, unreadable=1)),
    Prediction("2", answer(("drug", 1, 5)), DecodeReport(items=2, unlocated=1)),
    Prediction("1", answer(("drug", 0, 5)), DecodeReport(items=1, truncated=1)),
]


def test_scores_come_in_the_tasks_order_with_n_documents_and_the_summed_report():
    found = score_task(TASK, EXAMPLES, PREDICTIONS, resamples=200)
    strict, lenient = found.scores
    assert found.primary is strict and (strict.metric, lenient.metric) == TASK.metrics
    assert strict.value == pytest.approx(100 * 2 * 1 / (2 + 3))
    assert lenient.value == pytest.approx(100 * 2 * 2 / (2 + 3))
    assert (strict.n, strict.groups) == (3, 2)
    assert strict.low <= strict.value <= strict.high
    assert found.report == DecodeReport(items=4, unreadable=1, unlocated=1, truncated=1)
    assert found.record()["report"]["items"] == 4
    assert found.record()["scores"][0]["metric"] == "span-f1"


def test_the_counts_of_every_document_are_kept_and_add_up():
    counts = task_counts(TASK, EXAMPLES, PREDICTIONS)
    assert counts["span-f1"] == {"p": [1, 1, 2], "q": [0, 1, 1]}
    assert list(counts) == list(TASK.metrics)
    hits, predicted, wanted = np.sum(list(counts["span-f1"].values()), axis=0)
    found = score_task(TASK, EXAMPLES, PREDICTIONS, resamples=100).primary
    assert found.value == pytest.approx(200 * hits / (predicted + wanted))


def test_a_metric_that_cannot_be_used_is_refused_before_any_prediction():
    check_metrics(TASK)
    for name, what in (("span-f2", "no metric named"), ("bert-score", "folder of a model")):
        with pytest.raises(InputError, match=what) as refused:
            check_metrics(TASK.model_copy(update={"metrics": ("span-f1", name)}))
        assert "metrics of task medications" in str(refused.value)


@pytest.mark.parametrize("name", list(catalog()))
def test_the_metrics_of_the_catalogue_can_be_used(name):
    check_metrics(load_task(name))
