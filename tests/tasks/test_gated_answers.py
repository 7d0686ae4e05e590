"""Questions, inference and summaries that are given on application only, on synthetic files of the same layout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from clinprompt.errors import InputError
from clinprompt.schema.example import Split, TaskKind
from clinprompt.stages.prepare import read_parts
from clinprompt.tasks.catalog import CATALOG_ROOT, load_task
from clinprompt.tasks.formulations.generative import formulate, read_back
from clinprompt.tasks.template import TEMPLATES

GATED = sorted(
    path.stem
    for path in (CATALOG_ROOT / "gated").glob("*.yaml")
    if load_task(path).kind not in (TaskKind.entities, TaskKind.relations)  # those: test_gated_catalog.py
)
SAMPLES = Path(__file__).parents[1] / "samples"


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


def pairs(name: str, key: str, count: int) -> str:
    """Each premise with the three classes, as in MedNLI; ``sentence1_parse`` and the like come with the files."""
    labels = ("entailment", "contradiction", "neutral")
    rows = [
        {
            "sentence1": f"Premise {name} {number // 3}.",
            key: f"{name}-{number}",
            "sentence1_parse": "(ROOT (S ...))",
            "sentence2": f"Statement {number}.",
            "gold_label": labels[number % 3],
        }
        for number in range(count)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


def mednli(root: Path) -> None:
    for part in ("train", "dev", "test"):
        write(root / "mednli" / f"mli_{part}_v1.jsonl", pairs(part, "pairID", 6))


def radnli(root: Path) -> None:
    write(root / "radnli" / "radnli_dev_v1.jsonl", pairs("dev", "pair_id", 60))
    write(root / "radnli" / "radnli_test_v1.jsonl", pairs("test", "pair_id", 6))


def bioasq(root: Path) -> None:
    questions = [
        {
            "id": f"5{number:03}", "type": kind, "body": f"Question {number}?", "exact_answer": answer,
            "ideal_answer": ["In words."], "documents": [], "snippets": [{"text": "A snippet.", "offsetInBeginSection": 0}],
        }
        for number in range(30)
        for kind, answer in ((("yesno", "no" if number % 4 else "yes"), ("factoid", [[f"name {number}"]]))[number % 2],)
    ]  # fmt: skip
    write(root / "bioasq" / "training" / "training11b.json", json.dumps({"questions": questions}))
    write(
        root / "bioasq" / "golden" / "12B1_golden.json",
        json.dumps({"questions": [q | {"id": f"6{q['id']}"} for q in questions[:6]]}),
    )


def emrqa(root: Path) -> None:
    def note(number: int) -> dict:
        text = f"RECORD #{number}\n\nHe takes aspirin 81 mg daily.\nHe was well.\n"
        answer = {"text": "He takes aspirin 81 mg daily.", "answer_start": text.index("He takes")}
        asked = [{"question": "What is the dose?", "id": f"{number}-1", "answers": [answer]}]
        return {"context": text, "qas": asked}

    article = {"title": "medication", "paragraphs": [note(number) for number in range(20)]}
    write(root / "emrqa" / "medication-squad.json", json.dumps({"data": [article]}))


def mimic(root: Path) -> None:
    report = "FINAL REPORT\n EXAMINATION: CHEST\n\n FINDINGS: \n Clear lungs.\n\n IMPRESSION: \n\n No acute process.\n"
    for patient in range(60):
        write(root / "mimic_cxr" / "files" / "p10" / f"p100000{patient:02}" / "s50414267.txt", report)
    write(root / "mimic_cxr" / "files" / "p11" / "p11000000" / "s1.txt", "WET READ: 10:14\n nothing\n")
    shutil.copytree(SAMPLES / "sections" / "good", root / "mimic_cxr" / "files", dirs_exist_ok=True)


def i2b2_2010(root: Path) -> None:
    good, there = SAMPLES / "i2b2_2010" / "good", root / "i2b2_2010"
    for number in range(100, 140):  # enough to cut a dev part from
        for kind in ("concept", "ast", "txt"):
            for file in (good / kind).glob("record-13.*"):
                folder = there / "concept_assertion_relation_training_data" / kind
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, folder / f"record-{number}{file.suffix}")
    shutil.copytree(good / "txt", there / "test_data")
    for kind, folder in (("concept", "concepts"), ("ast", "ast")):
        shutil.copytree(good / kind, there / "reference_standard_for_test_data" / folder)


LAYOUTS = {
    "i2b2-2010-assertion-of-problem": i2b2_2010,
    "bioasq-factoid": bioasq,
    "bioasq-yesno": bioasq,
    "emrqa": emrqa,
    "mednli": mednli,
    "mimic-cxr-impression": mimic,
    "radnli": radnli,
}


def test_every_gated_task_is_tried():
    assert set(LAYOUTS) == set(GATED)


@pytest.mark.parametrize("name", GATED)
def test_without_the_data_one_paragraph_says_where_to_apply(name, tmp_path):
    task = load_task(name)
    assert task.name == name and task.licence and task.description and task.group and task.data and task.data.apply
    with pytest.raises(InputError) as caught:
        read_parts(task, data_root=tmp_path)
    message = str(caught.value)
    assert "://" in message and task.data.root in message and "\n" not in message


@pytest.mark.parametrize("name", GATED)
def test_files_of_the_same_layout_are_read_and_written_as_answers(name, tmp_path):
    LAYOUTS[name](tmp_path)
    task = load_task(name)
    parts, _ = read_parts(task, data_root=tmp_path)
    assert set(parts) == set(Split)
    examples = [example for part in parts.values() for example in part]
    groups = [{example.group for example in part} for part in parts.values()]
    assert sum(map(len, groups)) == len(set.union(*groups))
    said = {example.answer.label for example in examples}
    assert said == ({"present", "absent"} if task.about else set(task.labels) or {None})
    for example in examples:
        found = read_back(formulate(example, task, TEMPLATES["plain"]).answer, example, task).answer
        assert (found.label, found.text) == (example.answer.label, example.answer.text)


def test_pairs_about_one_premise_are_one_group(tmp_path):
    mednli(tmp_path)
    parts, _ = read_parts(load_task("mednli"), data_root=tmp_path)
    assert [example.group for example in parts[Split.test]] == ["test-0"] * 3 + ["test-3"] * 3


def test_reports_of_one_patient_are_one_group(tmp_path):
    mimic(tmp_path)
    parts, _ = read_parts(load_task("mimic-cxr-impression"), data_root=tmp_path)
    found = [example for part in parts.values() for example in part]
    assert len(found) == 60 + 2 and len({example.group for example in found}) == 60
