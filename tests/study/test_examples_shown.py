from __future__ import annotations

import json
from pathlib import Path

import pytest

from clinprompt.data.records import prediction_record
from clinprompt.errors import InputError
from clinprompt.schema.example import Answer, Example, Split, TaskKind
from clinprompt.schema.prediction import Prediction
from clinprompt.stages.prepared import Prepared, open_prepared, write_prepared
from clinprompt.study.examples_shown import PREDICTIONS, choose_examples
from clinprompt.study.table import Cell
from clinprompt.tasks.task import Task
from tests.study.story import span

NOTE = "Fever and cough."
FEVER, COUGH = span("P", (0, 5)), span("P", (10, 15))


@pytest.fixture
def prepared(tmp_path) -> dict[str, Prepared]:
    task = Task(
        name="t",
        kind=TaskKind.entities,
        codec="entities",
        instruction="Find.",
        labels=("P",),
        metrics=("span-f1",),
    )
    answers = [(), (FEVER,), (COUGH,), (FEVER, COUGH), ()]
    examples = [
        Example(f"e{i}", {"note": NOTE, "hint": "look"}, Answer(spans=spans), f"d{i}", split=Split.test)
        for i, spans in enumerate(answers)
    ]
    write_prepared(tmp_path / "t", task, [(Split.test, example) for example in examples], reader="jsonl")
    return {"t": open_prepared(tmp_path / "t")}


def cell(
    folder: Path,
    method: str,
    value: float,
    *,
    shots: str = "full",
    seed: int = 1,
    draw: int = 0,
    said=((),) * 5,
) -> Cell:
    place = folder / f"{method}-{shots}-{seed}-{draw}"
    place.mkdir()
    predictions = [Prediction(f"e{i}", Answer(spans=spans), raw="P: …\u2028") for i, spans in enumerate(said)]
    text = "".join(json.dumps(prediction_record(found), ensure_ascii=False) + "\n" for found in predictions)
    (place / PREDICTIONS).write_text(text, encoding="utf-8")
    record = {"task": "t", "shots": shots, "draw": draw, "scores": [{"metric": "span-f1", "value": value}]}
    return Cell(method, seed, record, place)


def test_the_best_method_at_most_shots_with_one_right_and_one_wrong_that_have_content(tmp_path, prepared):
    said = ((), (FEVER,), (FEVER,), (FEVER, COUGH), (COUGH,))
    trivial = Cell("trivial", 0, {"task": "t", "shots": "full", "scores": [{"value": 99.0}]}, tmp_path / "none")
    cells = [
        trivial,
        cell(tmp_path, "few", 98.0, shots="20"),
        cell(tmp_path, "good", 70.0, seed=2),
        cell(tmp_path, "good", 60.0, seed=1, said=said),
        cell(tmp_path, "lucky", 80.0, seed=1),
        cell(tmp_path, "lucky", 40.0, seed=2),
    ]
    found = choose_examples(cells, prepared)
    assert [(shown.example, shown.right, shown.score) for shown in found] == [
        ("e1", True, 100.0),
        ("e2", False, 0.0),
    ]
    assert {(shown.method, shown.shots, shown.kind, shown.metric) for shown in found} == {
        ("good", "full", "entities", "span-f1")
    }
    assert found[1].gold.spans == (COUGH,) and found[1].predicted.spans == (FEVER,)
    assert found[0].note == NOTE and found[0].slots == {"hint": "look"}
    assert [shown.example for shown in choose_examples(cells, prepared, per_target=4)] == [
        "e1",
        "e3",
        "e2",
        "e4",
    ]


def test_when_all_are_right_or_all_wrong_the_number_is_kept(tmp_path, prepared):
    gold = ((), (FEVER,), (COUGH,), (FEVER, COUGH), ())
    right = choose_examples([cell(tmp_path, "all", 100.0, said=gold)], prepared)
    assert [shown.example for shown in right] == ["e1", "e2"]
    wrong = choose_examples([cell(tmp_path, "none", 0.0, said=((COUGH, FEVER),) * 3 + ((FEVER,),) * 2)], prepared)
    assert [shown.example for shown in wrong] == ["e0", "e1"]


def test_a_target_without_runs_shows_nothing(prepared):
    assert choose_examples([], prepared) == []


def test_a_prediction_of_an_unknown_example_is_refused_without_note_text(tmp_path, prepared):
    cells = [cell(tmp_path, "m", 1.0, said=((),) * 6)]
    with pytest.raises(InputError, match="no example 'e5'") as refused:
        choose_examples(cells, prepared)
    assert "line 6" in str(refused.value) and NOTE not in str(refused.value)
