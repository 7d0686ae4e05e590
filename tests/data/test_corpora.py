"""Readers on the published corpora: counts equal those of their descriptions (skipped where they are absent)."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from clinprompt.data.overlap import overlap
from clinprompt.data.readers import READERS

DDI = "ddi2013/DDICorpus"
RQE = "mediqa_rqe/MEDIQA2019-Task2-RQE-"
MTS = "mts_dialog/Main-Dataset/MTS-Dialog-"

SPAN_CORPORA = [
    ("brat", "maccrobat/MACCROBAT2020", {}, 200, 25189, 16307, 200),
    ("brat", "ncbi_disease/standoff/devel", {}, 100, 787, 0, 100),
    ("conll", "ncbi_disease/conll/test.tsv", {}, 940, 960, 0, 940),
    ("conll", "ncbi_disease/conll/devel.tsv", {}, 923, 787, 0, 923),
    ("conll", "bc5cdr/BC5CDR-IOB/test.tsv", {}, 4797, 5385 + 4424, 0, 4797),
    ("conll", "psytar/data/all/test.txt", {}, 1191, 1077, 0, 1191),
    (
        "conll",
        "e3c_english/preprocessed_data/clinical_entities/layer1/English/train.txt",
        {"separator": "space"},
        669,
        437,
        0,
        669,
    ),
    ("ddi", f"{DDI}/Train", {}, 6976, 14765, 4020, 714),
    ("ddi", f"{DDI}/Train", {"untyped": "int"}, 6976, 14765, 4021, 714),
    ("ddi", f"{DDI}/Test/Test for DDI Extraction task", {}, 1299, 3040, 979, 191),
    ("ddi", f"{DDI}/Test/Test for DrugNER task", {}, 665, 686, 0, 112),
]

EI = "evidence_inference/annotations"
ACI = "aci_bench/data/challenge_data"

EXAMPLE_CORPORA = [
    ("squad", "covid_qa/200423_covidQA.json", {}, 1380, {}),
    ("squad", "covid_qa/200423_covidQA.json", {"passage": 2000}, 1380, {}),
    # Of 112, 233 and 257 prompts, 1, 2 and 7 have no valid row.
    (
        "evidence_inference",
        EI,
        {"part": "train", "absent": True},
        112 - 1,
        {"significantly increased": 22, "significantly decreased": 33},
    ),
    ("evidence_inference", EI, {"part": "dev", "absent": True}, 233 - 2, {"no significant difference": 96}),
    ("evidence_inference", EI, {"part": "test", "absent": True}, 257 - 7, {"no significant difference": 107}),
    ("medquad", "medquad", {}, 2231, {}),
    ("aci_bench", f"{ACI}/train.csv", {}, 67, {}),
    ("aci_bench", f"{ACI}/valid.csv", {}, 20, {}),
    ("aci_bench", f"{ACI}/clinicalnlp_taskB_test1.csv", {}, 40, {}),
    ("aci_bench", f"{ACI}/clinicalnlp_taskC_test2.csv", {}, 40, {}),
    ("aci_bench", f"{ACI}/clef_taskC_test3.csv", {}, 40, {}),
    ("text_pairs", "sumpubmed", {"answers": "abstract", "key": "_([0-9]+)$"}, 100, {}),
    ("text_pairs", "sumpubmed", {"answers": "shorter_abstract", "key": "_([0-9]+)$", "cut": [80, 100]}, 20, {}),
    (
        "jsonl",
        "medqa_usmle/questions",
        {"note": "question", "options": "options", "label": "answer_idx"},
        1273,
        {"A": 353, "B": 309, "C": 346, "D": 265},
    ),
    ("pubmedqa", "pubmedqa/data/ori_pqal.json", {"part": "train"}, 450, {}),
    ("pubmedqa", "pubmedqa/data/ori_pqal.json", {"part": "dev", "fold": 3}, 50, {}),
    (
        "pubmedqa",
        "pubmedqa/data/ori_pqal.json",
        {"part": "test", "test_ids": "test_ground_truth.json"},
        500,
        {"yes": 276, "no": 169, "maybe": 55},
    ),
    ("scinli", "scinli/SciNLI_dataset/dev.jsonl", {}, 2000, {"entailment": 500, "contrasting": 500}),
    ("scinli", "scinli/SciNLI_dataset/test.jsonl", {}, 4000, {"neutral": 1000, "reasoning": 1000}),
    ("scinli", "scinli/human_annotated_train", {}, 2000, {"entailment": 500}),
    ("meqsum", "meqsum/MeQSum_ACL2019_BenAbacha_Demner-Fushman.xlsx", {}, 1000, {}),
    ("meqsum", "meqsum/MeQSum_ACL2019_BenAbacha_Demner-Fushman.xlsx", {"cut": [500, 1000]}, 500, {}),
    ("headqa", "headqa/HEAD_EN/train_HEAD_EN.json", {}, 2657, {}),
    ("headqa", "headqa/HEAD_EN/train_HEAD_EN.json", {"images": False}, 2657 - 68, {}),
    ("headqa", "headqa/HEAD_EN/dev_HEAD_EN.json", {}, 1366, {}),
    ("headqa", "headqa/HEAD_EN/test_HEAD_EN.json", {}, 2742, {"C": 745}),
    ("medmcqa", "medmcqa/data/dev.json", {}, 4183, {"A": 1348}),
    ("medmcqa", "medmcqa/data/dev.json", {"cut": [3400, 4183]}, 783, {}),
    ("mediqa_rqe", f"{RQE}TrainingSet-AMIA2016.xml", {}, 8588, {"true": 4655}),
    ("mediqa_rqe", f"{RQE}ValidationSet-AMIA2016.xml", {}, 302, {"true": 129}),
    ("mediqa_rqe", f"{RQE}TestSet-wLabels.xml", {}, 230, {"true": 115, "false": 115}),
    ("mts_dialog", f"{MTS}TrainingSet.csv", {}, 1201, {}),
    ("mts_dialog", f"{MTS}ValidationSet.csv", {"target": "section of header"}, 100, {}),
    ("mts_dialog", f"{MTS}TestSet-1-MEDIQA-Chat-2023.csv", {"target": "header"}, 200, {}),
    (
        "csv_table",
        "scifact_rte/RTE-scifact/train.tsv",
        {"note": "sentence1", "hypothesis": "sentence2", "label": "entailment", "quotes": False},
        564,
        {"entailment": 370, "not_entailment": 194},
    ),
    (
        "csv_table",
        "mmlu_medical/test",
        {"note": "1", "options": ["2", "3", "4", "5"], "label": "6", "header": False},
        1089,
        {},
    ),
]


@pytest.mark.parametrize(("reader", "path", "options", "records", "spans", "relations", "groups"), SPAN_CORPORA)
def test_documents(shared_data, reader, path, options, records, spans, relations, groups):
    found = READERS[reader](shared_data / path, **options)
    assert len(found) == records
    assert sum(len(document.spans) for document in found) == spans
    assert sum(len(document.relations) for document in found) == relations
    assert len({document.group for document in found}) == groups


@pytest.mark.parametrize(("reader", "path", "options", "records", "labels"), EXAMPLE_CORPORA)
def test_examples(shared_data, reader, path, options, records, labels):
    found = READERS[reader](shared_data / path, **options)
    assert len(found) == len({example.id for example in found}) == records
    assert labels.items() <= Counter(example.answer.label for example in found).items()


def test_maccrobat_in_detail(shared_data):
    notes = READERS["brat"](shared_data / "maccrobat/MACCROBAT2020")
    spans = [span for note in notes for span in note.spans]
    assert sum(len(span.fragments) > 1 for span in spans) == 44
    said = Counter(key for span in spans for key in span.attributes)
    assert said["POLARITY"] + said["TREND"] == 1416
    assert said["brat event"] == 14368
    lines = [line for note in notes for line in note.metadata.get("brat lines", "").split("\n") if line]
    remarks = [span.attributes["note AnnotatorNotes"] for span in spans if "note AnnotatorNotes" in span.attributes]
    assert Counter(line[0] for line in lines) == {"*": 2023, "#": 2}
    assert sum(len(remark.split("\n")) for remark in remarks) == 333


def test_the_same_mentions_in_two_formats(shared_data):
    brat = READERS["brat"](shared_data / "ncbi_disease/standoff/devel")
    conll = READERS["conll"](shared_data / "ncbi_disease/conll/devel.tsv")

    def mentions(documents):
        surfaces = (span.surface(document.text) for document in documents for span in document.spans)
        return Counter("".join(surface.split()) for surface in surfaces)

    assert mentions(brat) == mentions(conll)


def test_covid_answers_stand_where_they_are_said_to(shared_data):
    """234 published offsets miss their words; each is put where they stand, and the others are as published."""
    file = shared_data / "covid_qa/200423_covidQA.json"
    published = {
        str(question["id"]): (paragraph["context"], question["answers"][0])
        for article in json.loads(file.read_text(encoding="utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    }
    found = READERS["squad"](file)
    assert len({example.group for example in found}) == 98
    assert sum("answers whose offset was corrected" in example.metadata for example in found) == 234
    for example in found:
        [span] = example.answer.spans
        context, answer = published[example.id]
        assert example.note == context and span.surface(context) == example.answer.text == answer["text"].strip()
        assert abs(span.start - answer["answer_start"]) <= 5
    for example in READERS["squad"](file, passage=2000):
        [span] = example.answer.spans
        context, answer = published[example.id]
        assert span.surface(example.note) == answer["text"].strip() and len(example.note) <= 2000
        assert context[example.offset : example.offset + len(example.note)] == example.note


def test_evidence_of_every_prompt(shared_data):
    root = shared_data / EI
    found = [
        e for part in ("train", "dev", "test") for e in READERS["evidence_inference"](root, part=part, absent=True)
    ]
    whole = READERS["evidence_inference"](root, absent=True)
    assert sorted(example.id for example in whole) == sorted(example.id for example in found)
    # The annotators of five prompts disagree, each side once.
    assert sum(example.metadata["rows of another class"] != "0" for example in whole) == 5
    assert all(example.metadata["evidence"] for example in whole)
    short = READERS["evidence_inference"](root, absent=True, passage=1500)
    for example, cut in zip(whole, short, strict=True):
        places = [tuple(map(int, place.split("-"))) for place in example.metadata["evidence"].split()]
        last = cut.offset + len(cut.note)
        assert example.note[cut.offset : last] == cut.note
        assert any(cut.offset <= start < end <= last for start, end in places)


def test_both_forms_of_aci_bench_are_equal(shared_data):
    for name in ("valid", "clinicalnlp_taskB_test1"):
        rows = READERS["aci_bench"](shared_data / f"{ACI}/{name}.csv")
        assert READERS["aci_bench"](shared_data / f"{ACI}_json/{name}.json") == rows


def test_medquad_documents(shared_data):
    found = READERS["medquad"](shared_data / "medquad")
    assert len({example.group for example in found}) == 264 - 6  # six documents have no pair at all
    assert all(example.answer.text and "\n" not in example.answer.text for example in found)
    assert any("\n" in example.answer.text for example in READERS["medquad"](shared_data / "medquad", unfold=False))


def test_one_published_pair_is_odd(shared_data):
    notes = READERS["ddi"](shared_data / DDI / "Train")
    assert Counter(key for note in notes for key in note.metadata) == {
        "pairs without a type": 1,
        "entities that differ from the text": 1,
    }


def test_questions_of_one_corpus_in_another(shared_data):
    meqsum = READERS["meqsum"](shared_data / "meqsum/MeQSum_ACL2019_BenAbacha_Demner-Fushman.xlsx")
    rqe = [
        example
        for part in ("TrainingSet-AMIA2016", "ValidationSet-AMIA2016", "TestSet-wLabels")
        for example in READERS["mediqa_rqe"](shared_data / f"{RQE}{part}.xml")
    ]
    shared = overlap(rqe, meqsum)
    assert shared.normalised >= shared.exact > 0
    assert len(shared.examples) >= shared.normalised
