"""Extraction: as the predictor alone, place by place; a note is run once whatever is asked about it."""

from dataclasses import replace
from unittest.mock import patch

import pytest

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.inference.engines.local import LocalEngine
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.prediction import DecodeReport, Prediction
from clinprompt.serving.extraction import Asked, findings
from clinprompt.stages.adapted import answering
from clinprompt.stages.configs import DecodingSettings, LongNoteSettings
from clinprompt.stages.reading import planned_as_trained, reader

NOTE = "Took aspirin 81 mg daily.\r\nDenies chest pain 😀, no fever."
LONG = "".join(f"On day {day} she took drug{day} {day} mg for pain.\n" for day in range(1, 40))


def asked(client, notes, tasks, **more):
    body = {"note": notes} if isinstance(notes, str) else {"notes": [{"id": i, "text": t} for i, t in notes.items()]}
    answer = client.post("/v1/extract", json=body | {"tasks": tasks} | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(client, **body):
    answer = client.post("/v1/extract", json=body)
    return answer.status_code, answer.json()["error"]


def alone(server, name, note, *, tokens=12):
    """The prediction with an engine of its own, and its plan."""
    found = server[0].prompts.snapshot.promoted[name]
    notes = reader(found.opened.predictor(DecodingSettings(), tokens=tokens), LongNoteSettings())
    question = answering(found.prompt).question(
        Example("note", {"note": note}, Answer(), "note", document="note"), found.task, found.opened.template,
        name=found.reference,
    )  # fmt: skip
    plan = planned_as_trained(notes, question, LongNoteSettings(), window=None, extent=found.banked.card.extent)
    return server[0].engine.call(lambda: notes.answers([plan]))[0], plan


@pytest.mark.parametrize("note", [NOTE, LONG], ids=["short", "long"])
@pytest.mark.parametrize("name", ["meds", "doses", "sum", "first"])
def test_findings_are_those_of_the_predictor_alone(client, server, name, note):
    [result] = asked(client, note, [name])["results"]
    [told] = result["tasks"]
    expected, plan = alone(server, name, note)
    assert result["characters"] == len(note) and told["windows"] == len(plan.places)
    assert (len(plan.places) > 1) == (note == LONG and name != "sum")
    assert told["report"] == _counts(expected.report)
    assert (told["answer"] or {}).get("text") == expected.answer.text
    assert [(one["label"], [tuple(place) for place in one["fragments"]]) for one in told["spans"]] == [
        (span.label, list(span.fragments)) for span in expected.answer.spans
    ]
    assert told["score"] == pytest.approx(expected.score, abs=2e-4) and 0 < told["score"] <= 1
    assert told["provenance"]["prompt"] == told["prompt"] == f"{name}@1"


def _counts(report):
    return {name: getattr(report, name) for name in DecodeReport.__dataclass_fields__}


def test_several_notes_and_tasks_come_back_in_their_order(client):
    notes = {"b": NOTE, "a": "Fever.", "blank": " \n"}
    found = asked(client, notes, ["sum", "meds@1", "first"])
    assert [one["id"] for one in found["results"]] == list(notes)
    for result in found["results"]:
        assert [task["task"] for task in result["tasks"]] == ["sum", "meds@1", "first"]
    blank = found["results"][2]["tasks"]
    assert all(task["windows"] == 0 and task["spans"] == [] and task["answer"] is None for task in blank)
    single = asked(client, "Fever.", ["sum"])
    assert single["results"][0]["tasks"][0]["answer"] == found["results"][1]["tasks"][0]["answer"]
    assert found["usage"]["prompt_tokens"] > single["usage"]["prompt_tokens"] > 0
    assert found["usage"]["completion_tokens"] > single["usage"]["completion_tokens"] > 0


def test_tokens_are_counted_by_task(client, server):
    def counted():
        lines = client.get("/metrics").text.splitlines()
        return {
            (kind, task): float(line.split()[-1])
            for line in lines
            for kind in ("prompt", "generation")
            for task in ("sum", "meds", "assertion", "other", "several")
            if line.startswith(f'clinprompt_{kind}_tokens_total{{task="{task}"}}')
        }

    before = counted()
    usage = asked(client, {"a": NOTE, "b": "Fever."}, ["sum", "meds@1"])["usage"]
    more = {key: value - before.get(key, 0) for key, value in counted().items()}
    assert more[("prompt", "sum")] > 0 and more[("prompt", "meds")] > 0 and more[("generation", "meds")] > 0
    assert sum(value for (kind, _), value in more.items() if kind == "prompt") == usage["prompt_tokens"]
    assert sum(value for (kind, _), value in more.items() if kind == "generation") == usage["completion_tokens"]
    assert not {task for (_, task), value in more.items() if value} - {"sum", "meds"}


def test_a_note_is_run_once_for_all_suffix_tasks(client, server):
    note = "Took digoxin 5 mg once, for a test that counts what is run."
    run = []
    inner = CausalBackbone._states

    def counted(self, pack, prompts):
        run.extend(tuple(segment.ids) for segment in pack.segments)
        return inner(self, pack, prompts)

    tasks = ["meds", "doses", "sum", "conditions"]
    with patch.object(CausalBackbone, "_states", counted):
        asked(client, note, tasks)
    row = server[0].opened.backbone
    needle = row.tokenizer.encode(note, add_special_tokens=False)
    holding = [ids for ids in run if _holds(ids, needle)]
    assert len(holding) == 1, f"the note was run {len(holding)} times for {len(tasks)} tasks"


def _holds(ids, needle):
    return any(list(ids[at : at + len(needle)]) == needle for at in range(len(ids) - len(needle) + 1))


def test_sharing_a_note_changes_no_answer(server):
    """The rows of several tasks about one note, together and each with everything run anew."""
    tasks = ["meds", "doses", "sum", "conditions"]
    found = [server[0].prompts.snapshot.promoted[name] for name in tasks]
    requests = []
    for one in found:
        predictor = one.opened.predictor(DecodingSettings(), tokens=12)
        question = answering(one.prompt).question(
            Example("x", {"note": NOTE}, Answer(), "x"), one.task, one.opened.template, name=""
        )
        requests.append(predictor.request(question))
    assert len({request.row.trunk for request in requests}) == 1 < len({r.row.context for r in requests})
    backbone, generation = server[0].opened.backbone, predictor.generation

    def compare():
        together = LocalEngine(backbone).answers(requests, generation)
        whole = [replace(request, row=replace(request.row, shared=None)) for request in requests]
        assert [LocalEngine(backbone).answers([one], generation)[0] for one in whole] == together
        texts = [["none", "drug: aspirin"]] * len(requests)
        shared = LocalEngine(backbone).likelihoods(requests, texts)
        apart = [LocalEngine(backbone).likelihoods([one], [texts[0]])[0] for one in whole]
        for one, other in zip(shared, apart, strict=True):
            assert one == pytest.approx(other, abs=1e-3)

    server[0].engine.call(compare)


def test_tasks_about_mentions_are_asked_of_what_other_tasks_find(client, server):
    spans = (Span("condition", ((5, 12),), id="e1"), Span("condition", ((34, 44),), id="e2"))
    found = Prediction("note", Answer(spans=spans), DecodeReport(items=2), scores={"e1": 0.5, "e2": 0.25})
    with patch("clinprompt.inference.long_notes.LongNotes.answers", return_value=[found]):
        [result] = asked(client, NOTE, ["assertion", "conditions"])["results"]
    about, conditions = result["tasks"]
    assert [one["text"] for one in conditions["spans"]] == ["aspirin", NOTE[34:44]]
    assert [one["score"] for one in conditions["spans"]] == [0.5, 0.25]
    assert about["kind"] == "question-answering" and len(about["spans"]) == 2 and about["windows"] == 1
    values = server[0].prompts.snapshot.promoted["assertion"].task.labels
    for mention, own in zip(conditions["spans"], about["spans"], strict=True):
        assert own["attributes"]["assertion"] == mention["attributes"]["assertion"] in values
        assert own["fragments"] == mention["fragments"] and 0 < own["score"] <= 1


def test_findings_name_places_and_doubts():
    spans = (Span("drug", ((0, 4), (13, 15)), id="e2"), Span("dose", ((5, 12),), id="e9"))
    answer = Answer(spans=spans, relations=(Relation("dose of", "e9", "e2", id="r1"),))
    found = Prediction("x", answer, ambiguous=("e9",), items={"e2": 0}, scores={"e2": 0.123456, "r1": 1.0}, score=0.5)
    one = Asked("meds", _Served())
    told = findings(one, NOTE, found, windows=1)
    assert [(s.id, s.text, s.ambiguous, s.score) for s in told.spans] == [
        ("T1", "Took 81", False, 0.1235), ("T2", "aspirin", True, None),
    ]  # fmt: skip
    [link] = told.relations
    assert (link.id, link.head, link.tail, link.score) == ("R1", "T2", "T1", 1.0) and told.unit == "code points"


class _Served:
    reference = "meds@1"

    class banked:
        sha256 = "0" * 64

    class prompt:
        class card:
            method = "mpt"

    class task:
        class kind:
            value = "relations"


def test_what_cannot_be_asked_is_refused(client):
    assert refused(client, note="x", tasks=["assertion"])[0] == 400
    status, error = refused(client, note="x", tasks=["nope"])
    assert status == 404 and error["param"] == "model"
    for body in (
        {"tasks": ["meds"]},
        {"note": "x", "notes": [{"id": "a", "text": "x"}], "tasks": ["meds"]},
        {"note": "x", "tasks": []},
        {"note": "x", "tasks": ["meds", "meds"]},
        {"note": "x", "tasks": ["me ds"]},
        {"notes": [{"id": "a", "text": "x"}, {"id": "a", "text": "y"}], "tasks": ["meds"]},
        {"note": "x", "tasks": ["meds"], "questions": {"sum": {}}},
        {"note": "x", "tasks": ["meds"], "vectors": [[0.1]]},
    ):
        status, error = refused(client, **body)
        assert status == 400 and error["type"] == "invalid_request_error", body
    status, error = refused(client, note="x", tasks=["flag"])
    assert status == 400 and error["param"] == "questions.flag"
    [result] = asked(client, NOTE, ["flag"], questions={"flag": {"options": ["sodium", "potassium", "iron"]}})[
        "results"
    ]
    assert result["tasks"][0]["answer"]["label"] in ("A", "B", "C")


def test_too_much_at_once_is_413(client, server):
    status, error = refused(client, notes=[{"id": str(i), "text": "x"} for i in range(65)], tasks=["meds"])
    assert status == 413 and error["code"] == "too_many_notes"
    status, error = refused(client, note="x" * 2_000_001, tasks=["meds"])
    assert status == 413 and error["code"] == "too_many_characters"
