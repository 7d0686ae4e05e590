"""BioC XML to and from records of the shape of BioC JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

from clinprompt.errors import InputError

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# An XML parser makes a line feed of a carriage return, and blanks of line breaks in attributes.
_ESCAPES = {"\r": "&#13;"}
_ATTRIBUTE_ESCAPES = {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"}
_PARTS = {"passage": "passages", "sentence": "sentences", "annotation": "annotations", "relation": "relations"}


def record_of(element: Element, *, where: str) -> dict[str, Any]:
    """The record of a ``document``, ``passage``, ``sentence``, ``annotation`` or ``relation`` element."""
    record: dict[str, Any] = {"infons": {}, "id": element.get("id")}
    for child in element:
        if child.tag == "infon":
            record["infons"][child.get("key", "")] = child.text or ""
        elif child.tag == "offset":
            record["offset"] = _number(child.text, where=where)
        elif child.tag in ("id", "text"):
            record[child.tag] = child.text or ""
        elif child.tag == "location":
            place = {key: _number(child.get(key), where=where) for key in ("offset", "length")}
            record.setdefault("locations", []).append(place)
        elif child.tag == "node":
            record.setdefault("nodes", []).append({"refid": child.get("refid", ""), "role": child.get("role", "")})
        elif child.tag in _PARTS:
            record.setdefault(_PARTS[child.tag], []).append(record_of(child, where=where))
    return record


def opening(infons: Mapping[str, str], *, source: str, date: str) -> str:
    """Everything of a collection before its first document."""
    infon_lines = "".join(_infons(infons, where="collection"))
    head = f"<source>{escape(source)}</source><date>{escape(date)}</date><key></key>{infon_lines}"
    return f"<?xml version='1.0' encoding='UTF-8'?>\n<collection>{head}\n"


CLOSING = "</collection>\n"


def document_lines(record: Mapping[str, Any]) -> str:
    """The ``document`` element of a record; :class:`InputError` for characters that XML does not have."""
    where = f"document {record['id']}"
    passages = "".join(_passage(passage, where=where) for passage in record["passages"])
    infons = "".join(_infons(record["infons"], where=where))
    return f"<document><id>{_escaped(record['id'], where=where)}</id>{infons}{passages}</document>\n"


def _passage(passage: Mapping[str, Any], *, where: str) -> str:
    parts = [*_infons(passage["infons"], where=where), f"<offset>{passage['offset']}</offset>"]
    parts.append(f"<text>{_escaped(passage['text'], where=where)}</text>")
    for annotation in passage["annotations"]:
        places = "".join(
            f'<location offset="{at["offset"]}" length="{at["length"]}"/>' for at in annotation["locations"]
        )
        inner = "".join(_infons(annotation["infons"], where=where)) + places
        words = _escaped(annotation["text"], where=where)
        parts.append(f"<annotation{_id(annotation, where=where)}>{inner}<text>{words}</text></annotation>")
    for relation in passage["relations"]:
        nodes = "".join(
            f"<node refid={_quoted(node['refid'], where=where)} role={_quoted(node['role'], where=where)}/>"
            for node in relation["nodes"]
        )
        inner = "".join(_infons(relation["infons"], where=where)) + nodes
        parts.append(f"<relation{_id(relation, where=where)}>{inner}</relation>")
    return f"<passage>{''.join(parts)}</passage>"


def _infons(infons: Mapping[str, str], *, where: str) -> Iterator[str]:
    for key, value in infons.items():
        yield f"<infon key={_quoted(key, where=where)}>{_escaped(value, where=where)}</infon>"


def _id(record: Mapping[str, Any], *, where: str) -> str:
    return f" id={_quoted(record['id'], where=where)}" if record["id"] else ""


def _escaped(text: str, *, where: str) -> str:
    _check(text, where=where)
    return escape(text, _ESCAPES)


def _quoted(text: str, *, where: str) -> str:
    _check(text, where=where)
    return quoteattr(text, _ATTRIBUTE_ESCAPES)


def _check(text: str, *, where: str) -> None:
    found = _NOT_XML.search(text)
    if found:
        raise InputError(
            f"the character U+{ord(found.group()):04X} cannot stand in XML", where=where, fix="write a .json file"
        )


def _number(text: str | None, *, where: str) -> int:
    if not text or not re.fullmatch("[0-9]{1,9}", text.strip()):
        raise InputError("an offset or a length is no whole number", where=where)
    return int(text)
