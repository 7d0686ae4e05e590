from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.data.readers.conll import read
from clinprompt.data.writers.conll import TOKENS, write
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Relation, Span
from tests.data.drawn import documents

BACK = {"start": 1, "end": 2, "unit": "document", "by_file": False}


def naive(document: Document) -> tuple[list[Span], Counter[str]]:
    """The spans that BIO tags hold, found by trying one after the other, and why the others are not."""
    tokens = [(match.start(), match.end()) for match in TOKENS.finditer(document.text)]
    lost, kept = Counter[str](), []
    for span in sorted(document.spans, key=lambda span: (span.start - span.end, span.start)):
        covered = [token for token in tokens if span.start < token[1] and token[0] < span.end]
        if len(span.fragments) > 1:
            lost["discontinuous"] += 1
        elif not covered or (covered[0][0], covered[-1][1]) != (span.start, span.end):
            lost["inside tokens"] += 1
        elif any(span.start < other.end and other.start < span.end for other in kept):
            lost["nested"] += 1
        else:
            kept.append(span)
    kept.sort(key=lambda span: span.start)
    lost["ids"] = sum(span.id != f"T{place}" for place, span in enumerate(kept, 1))
    lost["attributes"] = sum(len(span.attributes) for span in kept)
    lost["relations"] = len(document.relations)
    lost["metadata"] = len(document.metadata)
    lost["groups"] = document.group != document.id
    return [Span(span.label, span.fragments, f"T{place}") for place, span in enumerate(kept, 1)], lost


def check(first: Document, second: Document) -> None:
    wanted = [naive(document) for document in (first, second)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.tsv"
        lost = write([first, second], path)
        assert lost == {kind: count for kind, count in sum((lost for _, lost in wanted), Counter()).items() if count}
        assert read(path, **BACK) == [
            Document(document.id, document.text, tuple(spans))
            for document, (spans, _) in zip((first, second), wanted, strict=True)
        ]


@settings(max_examples=40)
@given(documents(identity="a/n1", loose=True), documents(identity="n 2"))
def test_spans_and_texts_are_read_back_and_the_rest_is_counted(first, second):
    check(first, second)


@pytest.mark.slow
@settings(max_examples=3000)
@given(documents(identity="a/n1", loose=True), documents(identity="n 2"))
def test_many_spans_and_texts_are_read_back(first, second):
    check(first, second)


def test_the_form_is_the_one_taggers_read(tmp_path):
    spans = (Span("Sign", ((3, 13),), "T1"), Span("Site", ((3, 8),), "T2"), Span("Dose", ((16, 18),), "T3"))
    write([Document("n", "No chest pain.\n\n81mg", spans)], tmp_path / "out.tsv")
    assert (tmp_path / "out.tsv").read_text().split("\n") == [
        "# newdoc id = n",
        '# text_json = "No chest pain.\\n\\n81mg"',
        "No\t0\t2\tO",
        "chest\t3\t8\tB-Sign",
        "pain\t9\t13\tI-Sign",
        ".\t13\t14\tO",
        "",
        "81\t16\t18\tB-Dose",
        "mg\t18\t20\tO",
        "",
        "",
    ]
    sentences = read(tmp_path / "out.tsv")
    assert [(sentence.text, sentence.group) for sentence in sentences] == [
        ("No chest pain .", "out:n"),
        ("81 mg", "out:n"),
    ]


def test_a_line_break_inside_a_span_does_not_divide_it(tmp_path):
    document = Document("n", "chest\npain", (Span("Sign", ((0, 10),), "T1"),))
    assert write([document], tmp_path / "out.tsv") == {}
    assert read(tmp_path / "out.tsv", **BACK) == [document]


def test_a_text_that_is_not_that_of_the_tokens_is_refused(tmp_path):
    write([Document("n", "chest pain")], tmp_path / "out.tsv")
    file = tmp_path / "out.tsv"
    file.write_text(file.read_text().replace('"chest pain"', '"quince pain"'))
    with pytest.raises(InputError, match="not its text") as caught:
        read(file, **BACK)
    assert "quince" not in str(caught.value)
    file.write_text(file.read_text().replace('"quince pain"', "7"))
    with pytest.raises(InputError, match="line 2"):
        read(file, **BACK)


@pytest.mark.parametrize(
    "bad",
    [
        Document("a\nb", "x"),
        Document(" a", "x"),
        Document("a", "x", (Span("two\tcells", ((0, 1),), "T1"),)),
    ],
)
def test_what_no_line_can_hold_is_refused(tmp_path, bad):
    with pytest.raises(InputError):
        write([bad], tmp_path / "out.tsv")
    with pytest.raises(InputError, match="same id"):
        write([Document("n", "x"), Document("n", "y")], tmp_path / "out.tsv")
    assert list(tmp_path.iterdir()) == []


def test_relations_are_counted(tmp_path):
    document = Document("n", "x", (Span("A", ((0, 1),), "T1"),), (Relation("r", "T1", "T1", "R1"),))
    assert write([replace(document, group="p")], tmp_path / "out.tsv") == {"groups": 1, "relations": 1}


@given(st.text())
def test_tokens_cover_everything_but_blanks(text):
    assert "".join(TOKENS.findall(text)) == "".join(text.split())
