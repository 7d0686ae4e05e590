from __future__ import annotations

import pytest

from clinprompt.data.readers.conll import read
from clinprompt.data.tags import chunks
from clinprompt.errors import InputError, InputErrors


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("O I-a I-a B-a I-b", [("a", 1, 2), ("a", 3, 3), ("b", 4, 4)]),
        ("B-a B-a O I-a", [("a", 0, 0), ("a", 1, 1), ("a", 3, 3)]),
        ("B-a E-a S-a I-a", [("a", 0, 1), ("a", 2, 2), ("a", 3, 3)]),
        ("B-a I-a L-a I-a U-b", [("a", 0, 2), ("a", 3, 3), ("b", 4, 4)]),
        ("B-a-b I-a-b", [("a-b", 0, 1)]),
        ("", []),
    ],
)
def test_chunks(tags, found):
    assert chunks(tags.split()) == found


def test_chunks_agree_with_seqeval():
    from itertools import product

    from seqeval.metrics.sequence_labeling import get_entities

    for tags in product(("O", "B-a", "I-a", "I-b"), repeat=4):
        assert chunks(tags) == [tuple(chunk) for chunk in get_entities(list(tags))]


def write(tmp_path, text, name="d.tsv"):
    file = tmp_path / name
    file.write_bytes(text.encode())
    return file


def test_documents_by_comment_and_other_comments(tmp_path):
    text = "# doc_id = n7\n# text = Fever today\nFever\tB-s\ntoday\tO\n\n#\tO\n3\tO\n\n# newdoc id = n8\nWell\tO\n"
    sentences = read(write(tmp_path, text))
    assert [(s.id, s.group, s.text) for s in sentences] == [
        ("d-1", "d:n7", "Fever today"),
        ("d-2", "d:n7", "# 3"),
        ("d-3", "d:n8", "Well"),
    ]
    whole = read(write(tmp_path, text), unit="document")
    assert [(d.id, d.text, [s.fragments for s in d.spans]) for d in whole] == [
        ("d:n7", "Fever today\n# 3", [((0, 5),)]),
        ("d:n8", "Well", []),
    ]


def test_offset_columns_give_the_gaps_back(tmp_path):
    text = "81\t4\t6\tB-dose\nmg\t6\t8\tI-dose\n.\t8\t9\tO\n\nWell\t12\t16\tO\n"
    (document,) = read(write(tmp_path, text), start=1, end=2, unit="document")
    assert document.text == "81mg.   Well"
    assert document.spans[0].fragments == ((0, 4),)
    with pytest.raises(InputError, match="offset columns"):
        read(write(tmp_path, "mg\t6\t9\tO\n"), start=1, end=2)
    with pytest.raises(InputError, match="go back"):
        read(write(tmp_path, "mg\t6\t8\tO\nmg\t5\t7\tO\n"), start=1, end=2)


def test_other_columns_and_crlf(tmp_path):
    file = write(tmp_path, "NN fever B-s x\r\nNN high I-s x\r\n\r\n\r\nNN ok O x")
    first, second = read(file, separator="space", token=1, tag=2)
    assert (first.text, first.spans[0].fragments, second.text) == ("fever high", ((0, 10),), "ok")
    assert read(write(tmp_path, "fever   B-s\n"), separator="blank")[0].text == "fever"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# doc_id = n\t1\n\nhigh fever\tB-s\n", "high fever"),
        ("-DOCSTART-\tO\n\nfever B-s\n", "fever"),
        ("fever NN B-s\n", "fever"),
    ],
)
def test_the_separator_is_that_of_the_first_token(tmp_path, text, words):
    (sentence,) = read(write(tmp_path, text))
    assert sentence.spans[0].surface(sentence.text) == words


@pytest.mark.parametrize(
    ("path", "sentences", "entities"),
    [
        ("bionlp13cg/train.tsv", 3033, 10826),
        ("bionlp13cg/devel.tsv", 1003, 3616),
        ("bionlp13cg/test.tsv", 1906, 6881),
        ("psytar/data/all/train.txt", 3850, 3535),
        ("psytar/data/all/dev.txt", 550, 431),
        ("e3c_english/preprocessed_data/clinical_entities/layer1/English/test.txt", 851, 516),
    ],
)
def test_published_counts(shared_data, path, sentences, entities):
    found = read(shared_data / path)
    assert len(found) == sentences
    assert sum(len(sentence.spans) for sentence in found) == entities


def test_all_lines_at_once(tmp_path):
    file = write(tmp_path, "a\tB\nb\n\tO\nc\tO\n")
    with pytest.raises(InputErrors) as caught:
        read(file)
    assert [fault.where[-6:] for fault in caught.value.faults] == ["line 1", "line 2", "line 3"]


@pytest.mark.parametrize("options", [{"separator": ";"}, {"unit": "token"}, {"start": 1}])
def test_options_are_checked(tmp_path, options):
    with pytest.raises(InputError, match="option"):
        read(write(tmp_path, "a\tO\n"), **options)
