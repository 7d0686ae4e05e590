"""The tasks on corpora that are given on application only, on synthetic files of the same layout."""

from __future__ import annotations

import pytest

from clinprompt.errors import InputError
from clinprompt.metrics.sdoh_events import item_counts
from clinprompt.schema.example import Split, TaskKind
from clinprompt.stages.prepare import read_parts
from clinprompt.tasks.catalog import CATALOG_ROOT, load_task
from clinprompt.tasks.codecs.entities import asked_of
from clinprompt.tasks.formulations.generative import formulate, read_back
from clinprompt.tasks.template import TEMPLATES

from ..annotated import relation_keys, span_keys
from ..made_span_corpora import (
    ADE_SPANS,
    EVENT_SPANS,
    SOCIAL_SPANS,
    USE_SPANS,
    i2b2_2010,
    i2b2_2012,
    n2c2_2018,
    n2c2_2022,
    n2c2_2022_track1,
    opioid_use,
    radgraph,
    semeval_2015,
)

GATED = sorted(
    path.stem
    for path in (CATALOG_ROOT / "gated").glob("*.yaml")
    if load_task(path).kind in (TaskKind.entities, TaskKind.relations)  # the others: test_gated_answers.py
)

LAYOUTS = {
    "radgraph-": radgraph,
    "i2b2-2010": i2b2_2010,
    "i2b2-2012": i2b2_2012,
    "n2c2-2018": n2c2_2018,
    "n2c2-2022": n2c2_2022,
    "n2c2-2022-medication": n2c2_2022_track1,
    "opioid-use": opioid_use,
    "semeval-2015": semeval_2015,
}
# Spans of the entity tasks and relations of the others, in the test part.
FOUND = {
    "i2b2-2010-assertions": {"problem"},
    "i2b2-2010-entities": {"problem", "test", "treatment"},
    "i2b2-2010-relations": {"TrAP", "TeRP"},
    "i2b2-2012-entities": {"OCCURRENCE", "PROBLEM", "TREATMENT", "DATE"},
    "i2b2-2012-events": {"OCCURRENCE", "PROBLEM", "TREATMENT"},
    "n2c2-2018-entities": {label for label, _ in ADE_SPANS},
    "n2c2-2018-relations": {f"{label}-Drug" for label, _ in ADE_SPANS[1:]},
    "n2c2-2022-medication-events": {label for label, _ in EVENT_SPANS},
    "opioid-use-entities": {label for label, _ in USE_SPANS},
    "opioid-use-relations": {label for label, _ in USE_SPANS[1:]},
    "semeval-2015-disorders": {"Disorder"},
    "radgraph-entities": {"ANAT-DP", "OBS-DP", "OBS-DA"},
    "radgraph-relations": {"modify", "located_at"},
    **{f"n2c2-2022-sdoh-{site}-entities": {label for label, _ in SOCIAL_SPANS} for site in ("mimic", "uw")},
    **{
        f"n2c2-2022-sdoh-{site}-relations": {"Amount", "Frequency", "Duration", "Status", "History", "Type"}
        for site in ("mimic", "uw")
    },
}


PLACES = {"radgraph": "https://physionet.org", "semeval": "http://alt.qcri.org", "opioid-use": "docs/guides/study.md"}


def test_every_gated_task_is_tried():
    assert set(FOUND) == set(GATED)


@pytest.mark.parametrize("name", GATED)
def test_without_the_data_one_paragraph_says_where_to_apply(name, tmp_path):
    task = load_task(name)
    assert task.licence and task.description and task.data and task.data.apply
    with pytest.raises(InputError) as caught:
        read_parts(task, data_root=tmp_path)
    message = str(caught.value)
    place = next((place for start, place in PLACES.items() if name.startswith(start)), "portal.dbmi.hms.harvard.edu")
    assert place in message and task.data.root in message and "\n" not in message
    assert "apply" not in task.model_dump_json()


@pytest.mark.parametrize("name", GATED)
def test_files_of_the_same_layout_are_read_and_written_as_answers(name, tmp_path):
    LAYOUTS[max((start for start in LAYOUTS if name.startswith(start)), key=len)](tmp_path)
    task = load_task(name)
    # Two notes are too few to cut a dev part from.
    whole = task.model_copy(update={"data": task.data.model_copy(update={"split": None})})
    parts, report = read_parts(whole, data_root=tmp_path)
    assert Split.train in parts and Split.test in parts
    assert not report.wrong_ends and not report.cut_relations
    items = [example.answer for example in parts[Split.test]]
    kinds = [answer.spans if task.kind is TaskKind.entities else answer.relations for answer in items]
    assert {item.label for several in kinds for item in several} == FOUND[name]
    for example in parts[Split.test]:
        back = read_back(formulate(example, task, TEMPLATES["markers"]).answer, example, task).answer
        assert relation_keys(back) == relation_keys(example.answer)
        if task.kind is TaskKind.entities:
            assert span_keys(back) == span_keys(example.answer)
        said = {(key, value) for span in back.spans for key, value in span.attributes.items()}
        if name.startswith("n2c2-2022-sdoh"):
            classes = {"StatusTimeVal": "past", "TypeLivingVal": "with_family", "StatusEmployVal": "employed"}
            assert said == set(classes.items())
        if name.startswith("n2c2-2022-sdoh") and task.kind is TaskKind.relations:
            counts = item_counts(example.answer, back).values()
            assert all(hits == predicted == gold > 0 for hits, predicted, gold in counts)
        if task.kind is TaskKind.entities:
            gold = {span.key: asked_of(span, task) for span in example.answer.spans}
            assert {span.key: dict(span.attributes) for span in back.spans} == gold


def test_events_of_i2b2_2012_have_their_polarity_and_modality(tmp_path):
    i2b2_2012(tmp_path)
    task = load_task("i2b2-2012-events")
    parts, _ = read_parts(
        task.model_copy(update={"data": task.data.model_copy(update={"split": None})}), data_root=tmp_path
    )
    [example, *_] = parts[Split.test]
    said = {span.surface(example.note): (span.label, dict(span.attributes)) for span in example.answer.spans}
    assert said["fever"] == ("PROBLEM", {"polarity": "NEG", "modality": "FACTUAL"})
    assert "problem, absent: fever" in formulate(example, task, TEMPLATES["markers"]).answer
