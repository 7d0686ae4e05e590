"""What formats look like: the marks by which XML roots, JSON values, records and lines of text are told apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from clinprompt.data.records import DOCUMENT_KEYS
from clinprompt.data.tags import is_tag

Shape = tuple[str, Callable[[Any], bool], str]
"""A reader's name, whether a value looks like its format, and that in words."""


def _keys(*names: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and set(names) <= value.keys()


def _inside(key: str, *names: str) -> Callable[[Any], bool]:
    """Whether the first item of the list ``key`` is a mapping with these keys."""

    def fits(value: Any) -> bool:
        items = value.get(key) if isinstance(value, dict) else None
        return isinstance(items, list) and bool(items) and _keys(*names)(items[0])

    return fits


def _first_value(*names: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and bool(value) and _keys(*names)(next(iter(value.values())))


def _holds(root: str, *below: str) -> Callable[[Element], bool]:
    return lambda element: element.tag == root and all(element.find(f".//{name}") is not None for name in below)


def _doccano(record: Any) -> bool:
    if not isinstance(record, dict) or not {"text", "data"} & record.keys():
        return False
    places = next((record[key] for key in ("entities", "label", "labels") if key in record), None)
    return isinstance(places, list) and all(
        _keys("start_offset", "label")(place) or (isinstance(place, list) and len(place) == 3) for place in places
    )


SUFFIX_SHAPES = {".ann": "brat", ".con": "i2b2_2010", ".entries": "i2b2_2009", ".pipe": "share"}
"""By files of an ending that only one format has."""

XML_SHAPES: tuple[Shape, ...] = (
    ("ddi", _holds("document", "sentence"), "a <document> of <sentence> elements"),
    ("medquad", lambda root: root.tag in ("Document", "DiseaseFile") and root.find("QAPairs") is not None,
     "a document with <QAPairs>"),
    ("mediqa_rqe", lambda root: root.find(".//pair/chq") is not None, "<pair> elements with <chq>"),
    ("bioc", _holds("collection", "document"), "a BioC <collection>"),
    ("xmi", lambda root: root.tag.endswith("}XMI"), "the root element is XMI"),
)  # fmt: skip
"""By the root element, the first that fits."""

JSON_SHAPES: tuple[Shape, ...] = (
    ("squad", _inside("data", "paragraphs"), "articles with paragraphs under `data`"),
    ("aci_bench", _inside("data", "src", "tgt"), "visits with src and tgt under `data`"),
    ("headqa", _keys("exams"), "examinations under `exams`"),
    ("bioasq", _inside("questions", "body", "type"), "questions with body and type"),
    ("pubmedqa", _first_value("QUESTION", "CONTEXTS"), "PubMed ids with QUESTION and CONTEXTS"),
    ("radgraph", _first_value("text", "entities"), "reports with a text and entities"),
    ("radgraph", _first_value("text", "labeler_1"), "reports with a text and labelers"),
    ("bioc", _inside("documents", "passages"), "BioC documents with passages"),
    ("bioc", _keys("passages"), "a BioC document with passages"),
    ("label_studio", lambda value: isinstance(value, list) and bool(value) and _keys("data", "annotations")(value[0]),
     "tasks with data and annotations"),
)  # fmt: skip
"""By one JSON value for the whole file, the first that fits."""

RECORD_SHAPES: tuple[Shape, ...] = (
    ("medmcqa", _keys("opa", "opd", "cop"), "the fields opa … opd and cop"),
    ("doccano", _doccano, "records with a text and labelled places"),
    ("neurotrialner", _keys("tokens", "ner_tags"), "records with tokens and ner_tags"),
    ("jsonl", lambda record: _keys("id", "text")(record) and record.keys() <= DOCUMENT_KEYS, "documents with spans"),
)  # fmt: skip
"""By the records of a JSON Lines file, the first that fits all."""


def of_lines(lines: Sequence[str]) -> tuple[str, dict[str, Any], str] | None:
    """(reader, options, why) of a text's first lines: PubTator, CoNLL columns or headed sections.

    >>> of_lines(["aspirin\\tB-drug", "daily\\tO", "", "No\\tO"])
    ('conll', {}, 'each line is a token and a BIO tag, with a tab between')
    """
    filled = [line for line in lines if line.strip() and not line.startswith(("-DOCSTART-", "# "))]
    if not filled:
        return None
    if re.fullmatch(r"[^|\t]+\|t\|.*", filled[0]):
        return "pubtator", {}, "the first line is a PubTator title"
    for name, mark in (("tab", "\t"), ("space", " "), ("blank", None)):
        rows = [line.split(mark) for line in filled]
        if mark == " " and any("" in row for row in rows):
            continue  # a run of blanks
        if all(len(row) > 1 and is_tag(row[-1]) for row in rows) and any(row[-1] != "O" for row in rows):
            options = {} if name == "tab" else {"separator": name}
            return "conll", options, f"each line is a token and a BIO tag, with a {name} between"
    headed = [line for line in filled if re.match(r"\s*(FINDINGS|IMPRESSION):", line)]
    if len({line.split(":")[0].strip() for line in headed}) == 2:
        return "sections", {}, "the text has the sections FINDINGS and IMPRESSION"
    return None
