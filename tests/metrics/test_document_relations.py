from __future__ import annotations

from dataclasses import replace

import pytest

from clinprompt.data.projection import Tally, project_each
from clinprompt.data.readers.pubtator import read
from clinprompt.metrics import METRICS
from clinprompt.metrics.scoring import group_counts, score
from clinprompt.schema.concepts import ConceptRelation, mentioned, stated
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.prediction import Prediction
from tests.house.sources import REPOSITORY

DIRECTED, UNDIRECTED = METRICS["document-relation-f1"](), METRICS["document-relation-f1:undirected"]()
CDR = REPOSITORY.parent / "shared" / "data" / "bc5cdr" / "pubtator" / "CDR_TestSet.PubTator.txt"


def mention(label: str, start: int, end: int, concept: str = "", name: str = "") -> Span:
    return Span(label, ((start, end),), name, {"concept": concept} if concept else {})


MENTIONS = (
    mention("Chemical", 0, 7, "D0001"),
    mention("Disease", 10, 16, "D0002"),
    mention("Chemical", 50, 57, "D0001"),
    mention("Disease", 60, 70, "D0003|D0004"),
)
RELATIONS = [ConceptRelation("CID", "D0001", "D0002"), ConceptRelation("CID", "D0001", "D0003")]
WINDOWS = [
    Example(
        id=f"d@{offset}", inputs={"note": "n" * 40}, answer=Answer(), group="d", document="d", offset=offset,
        metadata=mentioned(MENTIONS) | stated(RELATIONS),
    )
    for offset in (0, 50)
]  # fmt: skip


def said(*links: tuple[Span, Span]) -> Answer:
    spans = [replace(span, id=f"s{number}") for number, span in enumerate(span for link in links for span in link)]
    return Answer(
        spans=tuple(spans),
        relations=tuple(Relation("CID", f"s{2 * i}", f"s{2 * i + 1}") for i in range(len(links))),
    )


def counts(first: Answer, second: Answer, metric=DIRECTED) -> list[float]:
    predictions = [Prediction("d@0", first), Prediction("d@50", second)]
    found, groups = group_counts(metric, WINDOWS, predictions)
    assert groups == ("d",)
    return found[0].tolist()


def test_a_pair_counts_once_in_a_document_whatever_window_says_it():
    first = said((mention("Chemical", 0, 7), mention("Disease", 10, 16)))
    assert counts(first, Answer()) == [1, 1, 2]
    again = said(
        (mention("Chemical", 0, 7), mention("Disease", 10, 16)), (mention("Chemical", 1, 7), mention("Disease", 9, 12))
    )
    assert counts(again, Answer()) == [1, 1, 2]  # overlapping mentions are looked up too


def test_a_composite_mention_stands_for_each_of_its_concepts():
    second = said((mention("Chemical", 0, 7), mention("Disease", 10, 20)))  # 50-57 and 60-70 in the document
    assert counts(Answer(), second) == [1, 2, 2]  # D0003 is stated, D0004 is not


def test_what_is_no_mention_is_a_concept_of_its_own_words():
    strange = said(
        (mention("Chemical", 20, 25), mention("Disease", 10, 16)),
        (mention("Chemical", 30, 35), mention("Disease", 10, 16)),
    )
    assert counts(strange, Answer()) == [0, 1, 2]  # the same five letters twice
    other_label = said((mention("Disease", 1, 5), mention("Disease", 10, 16)))
    assert counts(other_label, Answer()) == [0, 1, 2]


def test_direction_counts_only_where_it_is_asked_for():
    turned = said((mention("Disease", 10, 16), mention("Chemical", 0, 7)))
    assert counts(turned, Answer()) == [0, 1, 2]
    assert counts(turned, Answer(), metric=UNDIRECTED) == [1, 1, 2]


@pytest.mark.skipif(not CDR.is_file(), reason="the corpus is not beside the repository")
def test_the_gold_of_bc5cdr_is_the_published_number_of_relations():
    documents = read(CDR, concepts="nearest")[:100]
    ends = (("Chemical",), ("Disease",))
    projected = project_each(documents, labels=(*ends[0], *ends[1]), relations={"CID": ends}, window=600)
    examples = list(Tally().examples(projected))
    found = score(DIRECTED, examples, [Prediction(example.id, example.answer) for example in examples], resamples=10)
    sums, groups = group_counts(DIRECTED, examples, [Prediction(example.id, example.answer) for example in examples])
    stated_in_all = sum(
        "CID" in line
        for line in CDR.read_text(encoding="utf-8").split("\n\n")[0:100]
        for line in line.splitlines()
        if line.count("\t") == 3
    )
    assert len(groups) == 100 and sums[:, 2].sum() == stated_in_all
    # What the nearest mentions of a window say is nearly all right, and not all there is to say.
    assert sums[:, 0].sum() / sums[:, 1].sum() > 0.95
    assert 80 < found.value < 100
