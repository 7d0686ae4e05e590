from __future__ import annotations

import json

import pytest

from clinprompt.data.readers import squad
from clinprompt.errors import InputError, InputErrors

CONTEXT = "Aspirin 😀 helps.\r\nShe takes  warfarin at noon and aspirin at night."


def write(folder, *questions, **keys):
    file = folder / "s.json"
    content = {"data": [{"title": "t", "paragraphs": [{"context": CONTEXT, "qas": list(questions), **keys}]}]}
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def question(*answers, **keys):
    given = [{"text": text, "answer_start": start} for text, start in answers]
    return {"question": "What?", "id": "q", "answers": given} | keys


def test_all_annotators_answers_are_spans_and_the_first_is_the_text(tmp_path):
    start = CONTEXT.index("warfarin")
    file = write(tmp_path, question(("warfarin at noon", start), ("warfarin", start), ("warfarin at noon", start)))
    [example] = squad.read(file)
    assert example.answer.text == "warfarin at noon"
    assert [(s.id, s.surface(example.note)) for s in example.answer.spans] == [
        ("A1", "warfarin at noon"),
        ("A2", "warfarin"),
    ]
    assert example.note == CONTEXT and not example.metadata


@pytest.mark.parametrize("miss", [-3, -1, 1, 4])
def test_an_offset_that_misses_is_corrected_and_counted(tmp_path, miss):
    place = CONTEXT.index(" warfarin")
    [example] = squad.read(write(tmp_path, question((" warfarin ", place + miss))))
    [span] = example.answer.spans
    assert span.surface(CONTEXT) == example.answer.text == "warfarin"
    assert example.metadata == {squad.MOVED: "1"}


def test_words_at_two_places_far_from_the_offset_are_a_fault(tmp_path):
    twice = CONTEXT.replace("Aspirin", "aspirin")
    file = write(tmp_path, question(("aspirin", 25)), context=twice)
    with pytest.raises(InputError, match="question 1 answer 1"):
        squad.read(file)


def test_no_answer_in_words_of_the_users(tmp_path):
    file = write(tmp_path, question(is_impossible=True))
    [example] = squad.read(file, unanswerable="not in the note")
    assert (example.answer.text, example.answer.spans) == ("not in the note", ())
    [short] = squad.read(file, passage=20)
    assert CONTEXT.startswith(short.note) and 0 < len(short.note) <= 20


def test_a_passage_keeps_offsets_and_drops_what_is_outside(tmp_path):
    file = write(tmp_path, question(("night", CONTEXT.index("night")), ("Aspirin", 0)))
    [example] = squad.read(file, passage=30)
    assert [span.surface(example.note) for span in example.answer.spans] == ["night"]
    assert CONTEXT[example.offset :].startswith(example.note) and len(example.note) <= 30


def test_faults_of_all_questions_come_together(tmp_path):
    bad = question(("aspirin", "3"))
    with pytest.raises(InputErrors) as caught:
        squad.read(write(tmp_path, bad, question(("warfarin", 28)), question(), {"id": "x"}))
    assert [fault.where[-10:] for fault in caught.value.faults][1:] == ["question 3", "question 4"]
    assert "question 1 answer 1" in caught.value.faults[0].where


def test_ids_that_stand_twice_get_numbers(tmp_path):
    answer = ("warfarin", CONTEXT.index("warfarin"))
    assert [e.id for e in squad.read(write(tmp_path, question(answer), question(answer)))] == ["q", "q#2"]


def test_groups_are_named_contexts_articles_or_contexts(tmp_path):
    answer = question(("warfarin", CONTEXT.index("warfarin")))
    assert squad.read(write(tmp_path, answer, note_id="n7"))[0].group == "n7"
    file = write(tmp_path, answer)
    content = json.loads(file.read_text(encoding="utf-8"))
    content["data"][0]["paragraphs"] *= 2
    file.write_text(json.dumps(content), encoding="utf-8")
    assert [e.group for e in squad.read(file)] == ["t", "t"]
    assert [e.group for e in squad.read(file, grouped="context")] == ["s-1:1", "s-1:2"]
    with pytest.raises(InputError, match="article, context"):
        squad.read(file, grouped="patient")
