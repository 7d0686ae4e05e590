"""Which values the attributes of a user's own annotation have, as the part of a task that asks for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clinprompt.data.assertion import assertion_of, meaning_of
from clinprompt.data.attributes import MEANINGS, MEANT
from clinprompt.errors import InputError
from clinprompt.registry import unknown_name
from clinprompt.schema.document import Document, Span
from clinprompt.schema.example import TaskKind

USUAL = {"assertion": "present", "temporality": "current", "experiencer": "patient"}
WORDS = {one: one for one in MEANT} | {"negated": "absent", "other": "family"}
"""The value where an annotation says what is meant by a flag only, such as ``Negated``."""
UNSAID, FLAG = "not said", "yes"
MOST_VALUES = 24


def with_asked(
    fields: dict[str, Any], documents: Iterable[Document], names: Sequence[str], kind: TaskKind | None
) -> dict[str, Any]:
    """The fields of a task of entities or relations that asks for these attributes too, with their values in the
    documents.

    With ``kind`` question answering the task asks for one attribute of marked mentions instead. Raises
    :class:`InputError` for attributes that the documents do not have, or that are no classes.
    """
    schemas = {name: _schema(documents, name, names) for name in names}
    if kind is TaskKind.relations:
        schemas = {name: _at_ends(schema, fields["labels"], name) for name, schema in schemas.items()}
    renames = {name: {name: FLAG} for name, schema in schemas.items() if FLAG in schema["values"] and name not in USUAL}
    data = {"data": {"reader": "", "attribute_map": renames}} if renames else {}
    if kind is not TaskKind.question_answering:
        said = fields["instruction"].rstrip(".") + f" with {', '.join(_words(name) for name in names)}."
        scored = () if kind is TaskKind.relations else ("attribute-f1", "attribute-accuracy")
        single = [f"{metric}:{name}" for name in names for metric in scored] if len(names) > 1 else []
        metrics = (*scored, *single, *fields["metrics"])
        spoken = {**fields["verbalizer"], **_told_apart(schemas)}
        return {
            **fields, **data, "attributes": schemas, "instruction": said, "metrics": metrics, "verbalizer": spoken,
        }  # fmt: skip
    if len(names) != 1:
        raise InputError("a question is about one attribute", where=", ".join(names), fix="import once for each")
    ((name, schema),) = schemas.items()
    spoken = {label: words for label, words in fields["verbalizer"].items() if label in schema["of"]}
    return {
        **data,
        "name": fields["name"], "kind": kind.value, "codec": "labels", "labels": schema["values"], "verbalizer": spoken,
        "about": {"attribute": name, "of": schema["of"], "usual": schema["usual"]},
        "instruction": f"say the {_words(name)} of it: {', '.join(schema['values'])}.",
        "metrics": ("accuracy", "macro-f1"),
    }  # fmt: skip


def _at_ends(schema: dict[str, Any], labels: Sequence[str], name: str) -> dict[str, Any]:
    """The schema for those entities that stand at the ends of relations."""
    of = [label for label in schema["of"] if label in labels]
    if not of:
        raise InputError(f"no end of a relation has the attribute {name}", allowed=f"of {', '.join(schema['of'])}")
    return {**schema, "of": of}


def unasked(documents: Iterable[Document], names: Sequence[str]) -> Counter[str]:
    """How often each attribute stands that is not asked for; names with a blank are the formats' own."""
    return Counter(
        key
        for document in documents
        for span in document.spans
        for key in span.attributes
        if key not in names and not _is_own(key)
    )


def _told_apart(schemas: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Words for values that several attributes share, such as those of two flags, with the attribute's name."""
    times = Counter(value for schema in schemas.values() for value in schema["values"] if value != schema["usual"])
    return {
        f"{name}={value}": _words(name) + ("" if value == FLAG else f" {value}")
        for name, schema in schemas.items()
        for value in schema["values"]
        if times[value] > 1 and value != schema["usual"]
    }


def _schema(documents: Iterable[Document], name: str, names: Sequence[str]) -> dict[str, Any]:
    # What an attribute of its own says, such as the person, is not said once more by the assertion.
    apart = {meaning for other in names if other != name for meaning in MEANINGS.get(other, ())}
    meanings = [meaning for meaning in MEANINGS.get(name, ()) if meaning not in apart or name != "assertion"]
    said = Counter((span.label, _value(span, name, meanings)) for document in documents for span in document.spans)
    counts = Counter[str]()
    for (_, value), times in said.items():
        if value:
            counts[value] += times
    if not counts:
        there = [key for key, _ in unasked(documents, ()).most_common()]
        raise unknown_name("attribute of these documents", name, there or ["(they have none)"])
    of = sorted({label for label, value in said if value})
    lacking = any(value is None for label, value in said if label in of)
    usual = USUAL.get(name, UNSAID if lacking else "")
    if FLAG in counts and name not in USUAL:
        usual = "no"
    values = [usual] * bool(usual) + [value for value, _ in counts.most_common() if value != usual]
    if not 2 <= len(values) <= MOST_VALUES:
        raise InputError(f"the attribute {name} has {len(values)} values", allowed=f"2 to {MOST_VALUES}")
    return {"values": values, "of": of, "usual": usual}


def _value(span: Span, name: str, meanings: Sequence[str]) -> str | None:
    """The value of one span, ``None`` where it says nothing."""
    own = span.attributes.get(name)
    meant = assertion_of(span.attributes)
    strongest = next((one for one in meanings if getattr(meant, "person" if one == "other" else one)), "")
    # A word of the attribute's own is kept unless other attributes say something stronger.
    if own and (not strongest or meaning_of(own) == strongest):
        return own
    if strongest:
        return WORDS[strongest]
    return FLAG if own == "" else None


def _is_own(key: str) -> bool:
    return " " in key or key in ("concept", "score")


def _words(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").lower()
