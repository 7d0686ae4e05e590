from collections import Counter

import pytest

from clinprompt.errors import InputError
from clinprompt.schema.example import Answer, Example, Split, TaskKind
from clinprompt.stages.describing import check_data
from clinprompt.stages.importing import import_data, schema_of
from clinprompt.stages.prepared import open_prepared
from clinprompt.tasks.catalog import load_task
from tests.made_notes import CANARY, write_notes


@pytest.fixture
def notes(tmp_path):
    return write_notes(tmp_path / "notes")


def imported(notes, out, **options):
    return import_data(notes, out, **({"name": "meds", "reader": "brat"} | options))


def test_the_annotation_becomes_the_schema(notes, tmp_path):
    task = imported(notes, tmp_path / "out").task
    assert (task.kind, task.codec, task.labels) == (TaskKind.entities, "entities", ("Drug", "Dose"))
    assert task.verbalizer == {"Dose": "dose", "Drug": "drug"}
    assert task.instruction == "extract drug, dose."
    assert open_prepared(tmp_path / "out").task == task


def assert_of(notes, lines):
    """Add attribute lines to the notes, by their number."""
    for number, file in enumerate(sorted(notes.glob("*.ann"))):
        file.write_text(file.read_text() + lines(number))


def test_attributes_that_are_named_are_asked_for_in_the_same_answer(notes, tmp_path):
    assert_of(notes, lambda n: "A1\tNegated T1\n" if n % 3 else "A1\tassertion T3 possible\nA2\tUnsure T4\n")
    found = imported(notes, tmp_path / "out", attributes=["assertion", "Unsure"])
    schema = found.task.attributes
    assert schema["assertion"].values == ("present", "absent", "possible") and schema["assertion"].of == ("Drug",)
    assert (schema["Unsure"].values, schema["Unsure"].usual, schema["Unsure"].of) == (("no", "yes"), "no", ("Dose",))
    assert found.task.instruction == "extract drug, dose with assertion, unsure." and found.unasked == {"Negated": 8}
    prepared = open_prepared(tmp_path / "out")
    answers = [example.answer for split in Split for example in prepared.part(split)]
    said = Counter(value for answer in answers for span in answer.spans for value in span.attributes.values())
    assert said == {"present": 24 - 12, "absent": 8, "possible": 4, "yes": 4, "no": 20}
    assert not check_data(tmp_path / "out")


def test_attributes_of_the_ends_of_relations(notes, tmp_path):
    assert_of(notes, lambda n: "A1\tassertion T1 absent\n" if n % 3 else "A1\tlevel T2 high\n")
    found = imported(notes, tmp_path / "out", attributes=["assertion", "level"], kind=TaskKind.relations)
    assert found.task.codec == "relations" and found.task.metrics[0] == "relation-f1"
    assert (found.task.attributes["assertion"].of, found.task.attributes["level"].of) == (("Drug",), ("Dose",))
    prepared = open_prepared(tmp_path / "out")
    answers = [example.answer for split in Split for example in prepared.part(split)]
    said = Counter(value for answer in answers for span in answer.spans for value in span.attributes.values())
    assert said == {"present": 16, "absent": 8, "high": 4, "not said": 20}


def test_several_attributes_are_told_apart_and_scored_each_by_itself(notes, tmp_path):
    lines = "A1\tassertion T1 absent\nA2\ttemporality T1 future\nA3\texperiencer T3 family\nA4\tAcute T1\nA5\tRare T2\n"
    assert_of(notes, lambda n: lines if n % 2 else "")
    names = ["assertion", "temporality", "experiencer", "Acute", "Rare"]
    task = imported(notes, tmp_path / "out", attributes=names).task
    values = {name: schema.values for name, schema in task.attributes.items()}
    # The person and the time are said by their own attributes, not once more by the assertion.
    assert values == {
        "assertion": ("present", "absent"), "temporality": ("current", "future"), "experiencer": ("patient", "family"),
        "Acute": ("no", "yes"), "Rare": ("no", "yes"),
    }  # fmt: skip
    assert "drug, absent, future, acute" in task.forms() and "dose, rare" in task.forms()
    assert {f"attribute-f1:{name}" for name in names} < set(task.metrics)
    prepared = open_prepared(tmp_path / "out")
    said = Counter(
        (name, value)
        for split in Split
        for example in prepared.part(split)
        for span in example.answer.spans
        for name, value in span.attributes.items()
    )
    assert (said["temporality", "future"], said["experiencer", "family"], said["Rare", "yes"]) == (6, 6, 6)


def test_an_attribute_of_marked_mentions_is_a_question(notes, tmp_path):
    assert_of(notes, lambda n: "A1\tNegated T1\n" if n % 2 else "A1\tColour T1 red\n")
    asked = {"attributes": ["assertion"], "kind": TaskKind.question_answering}
    found = imported(notes, tmp_path / "out", **asked)
    assert found.task.labels == ("present", "absent") and found.task.about.of == ("Drug",)
    assert found.report.examples == 24 and found.report.outside == {"Dose": 24} and found.unasked["Colour"] == 6
    again = import_data(notes, tmp_path / "again", name="meds", reader="brat", task=found.task)
    assert again.report.examples == 24
    about = found.task.about.model_copy(update={"of": ("Virus",)})
    with pytest.raises(InputError, match="asks about"):
        imported(notes, tmp_path / "odd", task=found.task.model_copy(update={"about": about}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attributes": ["assertoin"]}, "Did you mean assertion"),
        ({"attributes": ["assertion"], "kind": TaskKind.inference}, "attributes give no task of kind inference"),
        ({"attributes": ["assertion", "temporality"], "kind": TaskKind.question_answering}, "about one attribute"),
        ({"attributes": ["level"]}, "has 1 values"),
        ({"kind": TaskKind.question_answering}, "annotated notes give no task"),
    ],
)
def test_attributes_that_cannot_be_asked_for(notes, tmp_path, options, message):
    lines = "A1\tassertion T1 absent\nA2\ttemporality T2 past\n"
    assert_of(notes, lambda n: lines + "".join(f"A{t + 2}\tlevel T{t} high\n" for t in range(1, 5)))
    with pytest.raises(InputError, match=message):
        imported(notes, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_every_note_is_in_one_part_and_every_span_is_there(notes, tmp_path):
    found = imported(notes, tmp_path / "out")
    prepared = open_prepared(tmp_path / "out")
    parts = {split: prepared.part(split) for split in Split}
    groups = [{example.group for example in examples} for examples in parts.values()]
    assert all(groups) and sum(map(len, groups)) == len(set.union(*groups)) == 12
    for split, examples in parts.items():
        for example in examples:
            assert example.split is split
            written = {(notes / f"{example.document}.txt").read_bytes().decode()[example.offset :]}
            assert all(text.startswith(example.note) for text in written)
            assert [span.surface(example.note)[-2:] for span in example.answer.spans if span.label == "Dose"] == [
                "mg"
            ] * 2
    assert found.report.spans == 48 and not found.report.cut_spans
    assert len(prepared.manifest.sources) == 24


def test_relations_have_the_ends_that_the_annotation_shows(notes, tmp_path):
    found = imported(notes, tmp_path / "out", kind=TaskKind.relations)
    task = found.task
    assert task.labels == ("Dose", "Drug")
    ends = task.relations["Dose-Of"]
    assert (ends.head, ends.tail) == (("Dose",), ("Drug",))
    assert task.instruction == "link dose to drug."
    assert found.report.relations == 24


def test_entities_that_no_relation_joins_do_not_hinder_a_relation_task(notes, tmp_path):
    file = notes / "n0.ann"
    file.write_text(file.read_text() + "T9\tPerson 11 21\tZyxwvutine\n")
    found = imported(notes, tmp_path / "out", kind=TaskKind.relations)
    assert found.task.labels == ("Dose", "Drug")
    assert dict(found.report.outside) == {"Person": 1}


def test_the_window_is_kept_for_prediction_and_cuts_are_counted(notes, tmp_path):
    found = imported(notes, tmp_path / "out", window=40)
    assert open_prepared(tmp_path / "out").task.data.window == 40
    examples = open_prepared(tmp_path / "out").part(Split.train)
    assert max(len(example.note) for example in examples) <= 40
    assert found.report.spans + sum(found.report.cut_spans.values()) == 48


def test_a_label_outside_a_given_schema_is_refused_and_nothing_is_written(notes, tmp_path):
    file = tmp_path / "task.yaml"
    file.write_text(
        "name: t\nkind: entities\ncodec: entities\ninstruction: go\nlabels: [Drug, Doses]\nmetrics: [span-f1]\n"
    )
    with pytest.raises(InputError) as caught:
        imported(notes, tmp_path / "out", task=load_task(file))
    for shown in ("'Dose' (24 times", "did you mean 'Doses'", "Dose-Of"):
        assert shown in str(caught.value)
    assert CANARY not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "task.yaml"]


def test_a_given_schema_that_holds_everything_is_kept(notes, tmp_path):
    file = tmp_path / "task.yaml"
    file.write_text(
        "name: t\nkind: relations\ncodec: relations\ninstruction: go\nlabels: [Drug, Dose, Route]\n"
        "relations: {Dose-Of: {head: [Dose], tail: [Drug]}}\nmetrics: [relation-f1]\n"
    )
    task = imported(notes, tmp_path / "out", task=load_task(file)).task
    assert task.name == "t" and task.labels == ("Drug", "Dose", "Route") and task.data.window == 600


def test_classes_outside_a_given_schema_are_refused_too(tmp_path):
    table = tmp_path / "flags.csv"
    table.write_text(
        "id,note,label\n" + "".join(f"{i},{CANARY} {i},{'low' if i % 2 else 'strange'}\n" for i in range(12))
    )
    options = {"reader": "csv_table", "options": {"note": "note", "label": "label"}}
    schema = imported(table, tmp_path / "free", **options).task
    assert schema.labels == ("low", "strange")
    file = tmp_path / "task.yaml"
    file.write_text(
        "name: t\nkind: inference\ncodec: labels\ninstruction: go\nlabels: [low, high]\nmetrics: [accuracy]\n"
    )
    with pytest.raises(InputError, match=r"'strange' \(6 times") as caught:
        imported(table, tmp_path / "out", task=load_task(file), **options)
    assert CANARY not in str(caught.value) and not (tmp_path / "out").exists()


def test_faults_name_file_and_line_and_leave_nothing_behind(notes, tmp_path):
    (notes / "n3.ann").write_text("T1\tDrug 0 7\taspirin\nnonsense\n")
    with pytest.raises(InputError) as caught:
        imported(notes, tmp_path / "out")
    assert "n3.ann line 1" in str(caught.value) and "n3.ann line 2" in str(caught.value)
    assert CANARY not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


@pytest.mark.parametrize("kind", [TaskKind.inference, TaskKind.summarisation, TaskKind.question_answering])
def test_annotated_notes_give_no_class_task(notes, tmp_path, kind):
    with pytest.raises(InputError, match="entities, relations"):
        imported(notes, tmp_path / "out", kind=kind)


def test_a_folder_with_something_in_it_is_left_alone_unless_asked(notes, tmp_path):
    out = tmp_path / "out"
    imported(notes, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(InputError, match="not empty"):
        imported(notes, out, window=50)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    imported(notes, out, window=50, overwrite=True)
    assert open_prepared(out).task.data.window == 50


def test_a_part_that_would_be_empty_is_refused_with_a_seed_that_helps(notes, tmp_path):
    few = write_notes(tmp_path / "few", 3)
    with pytest.raises(InputError, match=r"[Uu]se seed \d+") as caught:
        imported(few, tmp_path / "out", seed=1, dev=0.1, test=0.1)
    seed = int(str(caught.value).rpartition("seed ")[2].rstrip("."))
    assert imported(few, tmp_path / "out", seed=seed, dev=0.1, test=0.1).manifest.parts.keys() == {
        "train",
        "dev",
        "test",
    }


def test_notes_without_any_annotation_are_refused(tmp_path):
    folder = write_notes(tmp_path / "notes")
    for file in folder.glob("*.ann"):
        file.write_text("")
    with pytest.raises(InputError, match="none of the 12 documents has an annotation"):
        imported(folder, tmp_path / "out")
    with pytest.raises(InputError, match="none of the 12"):
        imported(folder, tmp_path / "out", kind=TaskKind.relations)


@pytest.mark.parametrize(
    "answer, choices, codec, kind",
    [
        (Answer(label="yes"), (), "labels", TaskKind.inference),
        (Answer(label="A"), (("A", "x"), ("B", "y")), "choices", TaskKind.question_answering),
        (Answer(text="short"), (), "free_text", TaskKind.summarisation),
    ],
)
def test_examples_show_their_codec(answer, choices, codec, kind):
    example = Example(id="1", inputs={"note": "n"}, answer=answer, group="g", choices=choices)
    task = schema_of([example], name="t", kind=None)
    assert (task.codec, task.kind) == (codec, kind)
    assert task.labels == (("yes",) if codec == "labels" else ())


def test_what_is_asked_makes_a_task_of_questions():
    def example(answer):
        return Example(id="1", inputs={"note": "n", "question": "?"}, answer=answer, group="g")

    task = schema_of([example(Answer(text="short"))], name="t", kind=None)
    assert (task.codec, task.kind, task.metrics[0]) == ("free_text", TaskKind.question_answering, "token-f1")
    assert task.instruction == "answer the question."
    task = schema_of([example(Answer(label="yes"))], name="t", kind=None)
    assert (task.codec, task.kind) == ("labels", TaskKind.question_answering)
    assert schema_of([example(Answer(label="yes"))], name="t", kind=TaskKind.inference).kind is TaskKind.inference


def test_notes_of_one_patient_stay_together(notes, tmp_path):
    imported(notes, tmp_path / "out", options={"group": r"n(\d)"}, seed=14, dev=0.2, test=0.2)
    prepared = open_prepared(tmp_path / "out")
    parts = [{example.document for example in prepared.part(split)} for split in Split]
    [first] = [part for part in parts if "n1" in part]
    assert {"n1", "n10", "n11"} <= first


def test_an_option_that_the_reader_does_not_have(notes, tmp_path):
    with pytest.raises(InputError, match=r"option of the reader 'brat' named 'grupo'.*Did you mean group"):
        imported(notes, tmp_path / "out", options={"grupo": "x"})
