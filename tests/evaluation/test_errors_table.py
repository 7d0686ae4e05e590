from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.errors import InputError
from clinprompt.evaluation.csv_text import csv_text
from clinprompt.evaluation.errors_table import VERDICTS, ErrorItem, ErrorLine, errors_of
from clinprompt.metrics.spans import strict_counts
from clinprompt.schema.example import Answer
from clinprompt.tasks.catalog import load_task
from tests.metrics.made import answer, gold, predicted

ENTITIES, RELATIONS, CLASSES = (load_task(name) for name in ("medications", "cause-of-event", "lab-statements"))
LABEL, OTHER = ENTITIES.labels[:2]


def judged(task, right, said):
    lines, items = errors_of(task, [gold(right)], [predicted(said)])
    return {line.label: {k: v for k, v in asdict(line).items() if v and k != "label"} for line in lines}, items


@pytest.mark.parametrize(
    ("right", "said", "expected"),
    [
        ([(LABEL, 0, 5)], [(LABEL, 0, 5)], {LABEL: {"correct": 1}}),
        ([(LABEL, 0, 5)], [(LABEL, 2, 7)], {LABEL: {"boundary": 1}}),
        ([(LABEL, 0, 5)], [(OTHER, 0, 5)], {LABEL: {"type": 1}}),
        ([(LABEL, 0, 5)], [(OTHER, 2, 7)], {LABEL: {"boundary_type": 1}}),
        ([(LABEL, 0, 5)], [], {LABEL: {"missed": 1}}),
        ([], [(OTHER, 2, 7)], {OTHER: {"spurious": 1}}),
        # The exact one is correct, whatever else overlaps; the other one is made up.
        ([(LABEL, 0, 5)], [(LABEL, 0, 4), (LABEL, 0, 5)], {LABEL: {"correct": 1, "spurious": 1}}),
        # One long prediction over two gold spans is one wrong border and one miss.
        ([(LABEL, 0, 5), (LABEL, 6, 9)], [(LABEL, 0, 9)], {LABEL: {"boundary": 1, "missed": 1}}),
        # A joined gap is a wrong border.
        ([(LABEL, 0, 2, 5, 7)], [(LABEL, 0, 7)], {LABEL: {"boundary": 1}}),
    ],
)
def test_entities_by_hand(right, said, expected):
    assert judged(ENTITIES, answer(*right), answer(*said))[0] == expected


def test_relations_need_both_ends():
    label, schema = next(iter(RELATIONS.relations.items()))
    head, tail = schema.head[0], schema.tail[0]
    right = answer((head, 0, 5), (tail, 6, 10), relations=[(label, 0, 1)])
    for spans, link, verdict in (
        (((head, 0, 5), (tail, 6, 10)), label, "correct"),
        (((head, 0, 5), (tail, 6, 9)), label, "boundary"),
        (((head, 0, 5), (tail, 6, 10)), "other", "type"),
        (((head, 0, 3), (tail, 6, 10)), "other", "boundary_type"),
    ):
        said = answer(*spans, relations=[(link, 0, 1)])
        assert judged(RELATIONS, right, said)[0] == {label: {verdict: 1}}
    found, items = judged(RELATIONS, right, answer((head, 0, 5), (tail, 20, 24), relations=[(label, 0, 1)]))
    assert found == {label: {"missed": 1, "spurious": 1}}
    assert [(item.gold_place, item.predicted_place) for item in items] == [("0-5>6-10", ""), ("", "0-5>20-24")]


def test_classes_are_right_another_or_missing():
    one, other = CLASSES.labels[:2]
    for said, verdict in ((one, "correct"), (other, "type"), (None, "missed")):
        assert judged(CLASSES, Answer(label=one), Answer(label=said))[0] == {one: {verdict: 1}}


def test_free_text_has_no_error_table():
    assert judged(load_task("impression"), Answer(text="a"), Answer(text="b")) == ({}, [])


def test_places_are_those_of_the_document_and_correct_items_are_not_listed():
    example = replace(gold(answer((LABEL, 0, 2, 5, 7), (OTHER, 20, 22)), id="d@100"), document="d", offset=100)
    said = predicted(answer((LABEL, 0, 7), (OTHER, 20, 22)), id="d@100")
    _, items = errors_of(ENTITIES, [example], [said])
    assert items == [ErrorItem("d", "d@100", "boundary", LABEL, LABEL, "100-102;105-107", "100-107")]
    assert (
        csv_text(items, kind=ErrorItem).splitlines()[1] == f"d,d@100,boundary,{LABEL},{LABEL},100-102;105-107,100-107"
    )


def test_lines_stand_in_the_order_of_the_tasks_labels():
    rows = [(label, 10 * place, 10 * place + 3) for place, label in enumerate(reversed(ENTITIES.labels))]
    lines, _ = errors_of(ENTITIES, [gold(answer(*rows))], [predicted(answer())])
    assert [line.label for line in lines] == list(ENTITIES.labels)
    assert csv_text(lines, kind=ErrorLine).startswith("label,correct,boundary,type,boundary_type,missed,spurious\n")


def test_an_example_without_prediction_is_refused():
    with pytest.raises(InputError, match="no prediction"):
        errors_of(ENTITIES, [gold(answer())], [])


spans = st.lists(
    st.tuples(st.sampled_from((LABEL, OTHER)), st.integers(0, 8), st.integers(1, 4)).map(
        lambda row: (row[0], row[1], row[1] + row[2])
    ),
    max_size=5,
    unique=True,
).map(lambda rows: answer(*rows))


@settings(max_examples=60)
@given(spans, spans)
def test_every_item_is_judged_once(right, said):
    lines, items = errors_of(ENTITIES, [gold(right)], [predicted(said)])
    total = {verdict: sum(getattr(line, verdict) for line in lines) for verdict in VERDICTS}
    paired = total["correct"] + total["boundary"] + total["type"] + total["boundary_type"]
    hits, given_spans, gold_spans = strict_counts(right, said)
    assert total["correct"] == hits
    assert paired + total["missed"] == gold_spans and paired + total["spurious"] == given_spans
    assert len(items) == sum(total.values()) - hits
    # Nothing is missed beside something made up that overlaps it.
    left = {side: [item for item in items if item.error == side] for side in ("missed", "spurious")}
    for missed in left["missed"]:
        start, end = map(int, missed.gold_place.split("-"))
        for made_up in left["spurious"]:
            begin, stop = map(int, made_up.predicted_place.split("-"))
            assert stop <= start or end <= begin
