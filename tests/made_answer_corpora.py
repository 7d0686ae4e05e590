"""Synthetic files in the layouts of corpora with questions, pairs of sentences and summaries, gated and public."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import openpyxl

from clinprompt.data.readers.pubmedqa import official_parts

SAMPLES = Path(__file__).parent / "samples"


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


def progress_notes(root: Path) -> None:
    labels = ("Direct", "Indirect", "Neither", "Not Relevant")
    for stay, part in enumerate(("train", "dev", "test"), 9000):
        rows = [f'{stay},"Sepsis, {part}.","# Part {n}\n- treat",{labels[n % 4]}\n' for n in range(8)]
        write(
            root / "n2c2_2022_track3" / f"{part}.csv", "HADM ID,Assessment,Plan Subsection,Relation\n" + "".join(rows)
        )


def medbullets(root: Path) -> None:
    rows = ["link,question,opa,opb,opc,opd,answer_idx,answer,explanation\n"]
    rows += [
        f'https://x/{n},"Case {n}, which drug?",a{n},b{n},c{n},d{n},{"ABCD"[n % 4]},x,"Long,\nwords"\n'
        for n in range(40)
    ]
    write(root / "medbullets" / "medbullets_op4.csv", "".join(rows))


def headqa(root: Path) -> None:
    (root / "headqa" / "HEAD_EN").mkdir(parents=True)
    for part in ("train", "dev", "test"):
        shutil.copy(SAMPLES / "headqa" / "good.json", root / "headqa" / "HEAD_EN" / f"{part}_HEAD_EN.json")


def scinli(root: Path) -> None:
    rows = (SAMPLES / "scinli" / "good.jsonl").read_text("utf-8").splitlines()
    for part in ("dev", "test"):
        write(root / "scinli" / "SciNLI_dataset" / f"{part}.jsonl", "".join(row + "\n" for row in rows))
    table = ["id\tsentence1\tsentence2\tlabel\n"]
    table += ["\t".join(json.loads(row)[name] for name in table[0].split()) + "\n" for row in rows]
    write(root / "scinli" / "human_annotated_train" / "train_1.tsv", "".join(table))


def aci_bench(root: Path) -> None:
    (root / "aci_bench" / "data" / "challenge_data").mkdir(parents=True)
    for part in ("train", "valid", "clef_taskC_test3"):
        shutil.copy(SAMPLES / "aci_bench" / "good.csv", root / "aci_bench" / "data" / "challenge_data" / f"{part}.csv")


def mts_dialog(root: Path) -> None:
    (root / "mts_dialog" / "Main-Dataset").mkdir(parents=True)
    for part in ("TrainingSet", "ValidationSet", "TestSet-2-MEDIQA-Sum-2023"):
        there = root / "mts_dialog" / "Main-Dataset" / f"MTS-Dialog-{part}.csv"
        shutil.copy(SAMPLES / "mts_dialog" / "good.csv", there)


def mediqa_rqe(root: Path) -> None:
    (root / "mediqa_rqe").mkdir()
    for part in ("TrainingSet-AMIA2016", "ValidationSet-AMIA2016", "TestSet-wLabels"):
        shutil.copy(SAMPLES / "mediqa_rqe" / "good.xml", root / "mediqa_rqe" / f"MEDIQA2019-Task2-RQE-{part}.xml")


def medmcqa(root: Path) -> None:
    row = {"question": "Pulse?", "exp": "b", "cop": 2, "opa": "20", "opb": "70", "opc": "170", "opd": "270"}
    rows = [json.dumps(row | {"question": f"Pulse {number}?", "id": f"m{number:04}"}) for number in range(4183)]
    write(root / "medmcqa" / "data" / "dev.json", "\n".join(rows) + "\n")


def pubmedqa(root: Path) -> None:
    said = ("yes", "no", "maybe")
    rows = {
        str(number): {"QUESTION": f"Does it help {number}?", "CONTEXTS": ["Few.", "Some."], "final_decision": said[number % 3]}
        for number in range(60)
    }  # fmt: skip
    write(root / "pubmedqa" / "data" / "ori_pqal.json", json.dumps(rows))
    labels = {name: str(row["final_decision"]) for name, row in rows.items()}
    test = {name: labels[name] for name in official_parts(labels, fold=0)["test"]}
    write(root / "pubmedqa" / "data" / "test_ground_truth.json", json.dumps(test))


def meqsum(root: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(("File", "CHQ", "Summary"))
    for number in range(1000):
        book.active.append((f"q{number}.txt", f"My knee hurts since day {number}. What helps?", "What helps?"))
    (root / "meqsum").mkdir()
    book.save(root / "meqsum" / "MeQSum_ACL2019_BenAbacha_Demner-Fushman.xlsx")
