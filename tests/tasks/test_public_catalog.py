"""The public tasks against the corpora themselves, where a checkout has them beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinprompt.data.readers import READERS
from clinprompt.schema.document import Document
from clinprompt.schema.example import Answer, Example
from clinprompt.tasks.catalog import CATALOG_ROOT, load_task
from clinprompt.tasks.formulations.generative import formulate, read_back
from clinprompt.tasks.task import Task
from clinprompt.tasks.template import TEMPLATES

from ..annotated import example, relation_keys, span_keys

DATA = Path(__file__).parents[2] / "../shared/data"
PUBLIC = sorted(path.stem for path in (CATALOG_ROOT / "public").glob("*.yaml"))

# Sizes published with the corpora: sentences (CoNLL, DDI), documents (brat), questions or pairs (the others).
SIZES = {
    "aci-bench": {"train": 67, "dev": 20, "test": 40},
    "bc5cdr-cid": {"train": 500, "dev": 500, "test": 500},
    "bc5cdr-entities": {"train": 4560, "dev": 4581, "test": 4797},
    "bc5cdr-disease": {"train": 4560, "dev": 4581, "test": 4797},
    "bionlp13cg": {"train": 3033, "dev": 1003, "test": 1906},
    "biored-entities": {"train": 400, "dev": 100, "test": 100},
    "biored-relations": {"train": 400, "dev": 100, "test": 100},
    "covid-qa": {"all": 1380},
    "ddi-entities": {"train": 6976, "test": 665},
    "ddi-relations": {"train": 6976, "test": 1299},
    "e3c-entities": {"train": 669, "test": 851},
    "e3c-nested": {"all": 84},
    "evidence-inference": {"train": 111, "dev": 231, "test": 250},
    "headqa": {"train": 2657, "dev": 1366, "test": 2742},
    "maccrobat-assertion-of-finding": {"all": 200},
    "maccrobat-assertions": {"all": 200},
    "maccrobat-entities": {"all": 200},
    "maccrobat-order": {"all": 200},
    "maccrobat-relations": {"all": 200},
    "mediqa-rqe": {"train": 8588, "dev": 302, "test": 230},
    "medmcqa": {"train": 3000, "dev": 400, "test": 783},
    "medqa-usmle": {"test": 1273},
    "medqa-usmle-cut": {"all": 1273},
    "medquad": {"all": 2231},
    "meqsum": {"train": 400, "dev": 100, "test": 500},
    "mmlu-medical": {"test": 1089},
    "mts-dialog-header": {"train": 1201, "dev": 100, "test": 200},
    "mts-dialog": {"train": 1201, "dev": 100, "test": 200},
    "ncbi-disease": {"train": 5432, "dev": 923, "test": 940},
    "neurotrialner": {"train": 787, "dev": 153, "test": 153},
    "psytar": {"train": 3850, "dev": 550, "test": 1191},
    "pubmedqa": {"train": 450, "dev": 50, "test": 500},
    "scifact-rte": {"train": 564, "test": 209},
    "scinli": {"train": 2000, "dev": 2000, "test": 4000},
    "sumpubmed": {"train": 70, "dev": 10, "test": 20},
}


def in_schema(record: Document, task: Task) -> Example:
    """The whole document as one example, with the part of its annotation that the task asks for."""
    spans = tuple(span for span in record.spans if span.label in task.labels)
    labels = {span.id: span.label for span in spans}
    relations = tuple(
        link
        for link in record.relations
        if (ends := task.relations.get(link.label))
        and labels.get(link.head) in ends.head
        and labels.get(link.tail) in ends.tail
    )
    return example(record.text, Answer(spans=spans, relations=relations))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_task_states_licence_data_and_description(name):
    task = load_task(name)
    assert task.name == name
    assert task.licence and task.description and task.data and task.data.parts


@pytest.mark.skipif(not DATA.is_dir(), reason="the public corpora are not here")
@pytest.mark.parametrize("name", PUBLIC)
def test_the_parts_read_with_the_published_sizes_and_a_gold_answer_goes_there_and_back(name):
    task = load_task(name)
    if task.data.obtain and not (DATA / task.data.root).is_dir():
        pytest.skip(f"{task.data.root} is not among the public corpora that are here")
    sizes = {}
    for part, options in task.data.parts.items():
        rest = {key: value for key, value in options.items() if key != "path"}
        path = DATA / task.data.root / options["path"]
        records = READERS[task.data.reader](path, **{**task.data.options, **rest})
        sizes[part] = len(records)
        if isinstance(records[0], Document):
            spoken = {span.label for record in records for span in record.spans}
            assert set(task.about.of if task.about else task.labels) <= spoken
            linked = {relation.label for record in records for relation in record.relations}
            assert set(task.relations) <= linked
            for record in records[:20] if not task.about else ():
                gold = in_schema(record, task)
                answer = read_back(formulate(gold, task, TEMPLATES["markers"]).answer, gold, task).answer
                assert relation_keys(answer) == relation_keys(gold.answer)
                if not task.relations:
                    assert span_keys(answer) == span_keys(gold.answer)
            continue
        for record in records[:50]:
            pair = formulate(record, task, TEMPLATES["plain"])
            found = read_back(pair.answer, record, task).answer
            assert (found.label, found.text) == (record.answer.label, record.answer.text)
    assert sizes == SIZES[name]
