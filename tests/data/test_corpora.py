"""Readers on the published corpora: counts equal those of their descriptions (skipped where they are absent)."""

from __future__ import annotations

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

EXAMPLE_CORPORA = [
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
    assert sum(len(span.attributes) for span in spans) == 1416
    counted = Counter({key: 0 for note in notes for key in note.metadata})
    for note in notes:
        counted.update({key: int(value) for key, value in note.metadata.items()})
    assert counted == {"brat equivalences": 2023, "brat notes": 335}


def test_the_same_mentions_in_two_formats(shared_data):
    brat = READERS["brat"](shared_data / "ncbi_disease/standoff/devel")
    conll = READERS["conll"](shared_data / "ncbi_disease/conll/devel.tsv")

    def mentions(documents):
        surfaces = (span.surface(document.text) for document in documents for span in document.spans)
        return Counter("".join(surface.split()) for surface in surfaces)

    assert mentions(brat) == mentions(conll)


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
