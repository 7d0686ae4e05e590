"""The tasks on corpora that are given on application only, on synthetic files of the same layout."""

from __future__ import annotations

import shutil
from pathlib import Path

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

GATED = sorted(
    path.stem
    for path in (CATALOG_ROOT / "gated").glob("*.yaml")
    if load_task(path).kind in (TaskKind.entities, TaskKind.relations)  # the others: test_gated_answers.py
)
SAMPLES = Path(__file__).parents[1] / "samples"

ADE = "Lasix 40 mg p.o. tablet, 2 tabs daily for\n5 days for edema; it caused a rash."
ADE_SPANS = [
    ("Drug", "Lasix"),
    ("Strength", "40 mg"),
    ("Route", "p.o."),
    ("Form", "tablet"),
    ("Dosage", "2 tabs"),
    ("Frequency", "daily"),
    ("Duration", "for\n5 days"),
    ("Reason", "edema"),
    ("ADE", "rash"),
]
SOCIAL = (
    "SOCIAL HISTORY: Smoked 1 pack a day for 20 years, quit in 2001. Drinks wine. Works as a cook. Lives with wife."
)
SOCIAL_SPANS = [
    ("Tobacco", "Smoked"),
    ("Amount", "1 pack"),
    ("Frequency", "a day"),
    ("Duration", "for 20 years"),
    ("StatusTime", "quit"),
    ("History", "in 2001"),
    ("Alcohol", "Drinks"),
    ("Type", "wine"),
    ("Employment", "Works"),
    ("StatusEmploy", "Works"),
    ("LivingStatus", "Lives"),
    ("TypeLiving", "with wife"),
]
SOCIAL_LINES = [
    "E1\tTobacco:T1 Amount:T2 Frequency:T3 Duration:T4 Status:T5 History:T6",
    "E2\tAlcohol:T7 Type:T8 ",
    "E3\tEmployment:T9 Status:T10",
    "E4\tLivingStatus:T11 Type:T12",
    "A1\tStatusTimeVal T5 past",
    "A2\tTypeLivingVal T12 with_family",
    "A3\tStatusEmployVal T10 employed",
]


def pair(folder: Path, name: str, text: str, spans: list[tuple[str, str]], lines: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for place, (label, words) in enumerate(spans, 1):
        start = text.index(words)
        offsets, end = [], start
        for piece in words.split("\n"):  # brat divides a mention at a line break
            offsets.append(f"{end} {end + len(piece)}")
            end += len(piece) + 1
        rows.append(f"T{place}\t{label} {';'.join(offsets)}\t{words.replace(chr(10), ' ')}")
    (folder / f"{name}.txt").write_text(text, "utf-8")
    (folder / f"{name}.ann").write_text("".join(line + "\n" for line in rows + lines), "utf-8")


def n2c2_2018(root: Path) -> None:
    links = [f"R{n}\t{ADE_SPANS[n][0]}-Drug Arg1:T{n + 1} Arg2:T1\t" for n in range(1, len(ADE_SPANS))]
    for place, folder in enumerate(("training_20180910", "training_20180910", "test")):
        pair(root / "n2c2_2018_track2" / folder, f"1{place}", ADE, ADE_SPANS, links)


def n2c2_2022(root: Path) -> None:
    for part in ("train", "dev", "test"):
        for site in ("mimic", "uw"):
            pair(root / "n2c2_2022_sdoh" / part / site, "0001", SOCIAL, SOCIAL_SPANS, SOCIAL_LINES)


def i2b2_2010(root: Path) -> None:
    good, there = SAMPLES / "i2b2_2010" / "good", root / "i2b2_2010"
    shutil.copytree(good, there / "concept_assertion_relation_training_data" / "beth")
    shutil.copytree(good / "txt", there / "test_data")
    for kind, folder in (("concept", "concepts"), ("ast", "ast"), ("rel", "rel")):
        shutil.copytree(good / kind, there / "reference_standard_for_test_data" / folder)


def i2b2_2012(root: Path) -> None:
    for part in ("2012-07-15.original-annotation.release", "ground_truth/merged_xml"):
        shutil.copytree(SAMPLES / "i2b2_2012" / "good", root / "i2b2_2012" / part)


def radgraph(root: Path) -> None:
    (root / "radgraph").mkdir()
    for part, sample in (("train", "good"), ("dev", "good"), ("test", "two")):
        shutil.copy(SAMPLES / "radgraph" / f"{sample}.json", root / "radgraph" / f"{part}.json")


LAYOUTS = {
    "radgraph-": radgraph,
    "i2b2-2010": i2b2_2010,
    "i2b2-2012": i2b2_2012,
    "n2c2-2018": n2c2_2018,
    "n2c2-2022": n2c2_2022,
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
    "radgraph-entities": {"ANAT-DP", "OBS-DP", "OBS-DA"},
    "radgraph-relations": {"modify", "located_at"},
    **{f"n2c2-2022-sdoh-{site}-entities": {label for label, _ in SOCIAL_SPANS} for site in ("mimic", "uw")},
    **{
        f"n2c2-2022-sdoh-{site}-relations": {"Amount", "Frequency", "Duration", "Status", "History", "Type"}
        for site in ("mimic", "uw")
    },
}


def test_every_gated_task_is_tried():
    assert set(FOUND) == set(GATED)


@pytest.mark.parametrize("name", GATED)
def test_without_the_data_one_paragraph_says_where_to_apply(name, tmp_path):
    task = load_task(name)
    assert task.licence and task.description and task.data and task.data.apply
    with pytest.raises(InputError) as caught:
        read_parts(task, data_root=tmp_path)
    message = str(caught.value)
    place = "physionet.org" if name.startswith("radgraph") else "portal.dbmi.hms.harvard.edu"
    assert f"https://{place}" in message and task.data.root in message and "\n" not in message
    assert "apply" not in task.model_dump_json()


@pytest.mark.parametrize("name", GATED)
def test_files_of_the_same_layout_are_read_and_written_as_answers(name, tmp_path):
    LAYOUTS[name[:9]](tmp_path)
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
        if name.startswith("n2c2-2022"):
            classes = {"StatusTimeVal": "past", "TypeLivingVal": "with_family", "StatusEmployVal": "employed"}
            assert said == set(classes.items())
        if name.startswith("n2c2-2022") and task.kind is TaskKind.relations:
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
