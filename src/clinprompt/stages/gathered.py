"""What several tasks say of one note, put together."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clinprompt.data.sections import sections
from clinprompt.schema.document import Document, Relation, Span
from clinprompt.schema.example import SPAN_KINDS, Answer, Example, TaskKind
from clinprompt.schema.prediction import Prediction


def gathered(item: Document | Example, given: Mapping[str, Answer], kinds: Mapping[str, TaskKind]) -> Document:
    """The note with the spans and relations of all its tasks; ``given`` and ``kinds`` are by task name.

    The place of an extractive answer is a span with the name of its task as label.
    """
    located = [answer if kinds[name] in SPAN_KINDS else _named(answer, name) for name, answer in given.items()]
    spans, relations = _joined(located)
    text = item.text if isinstance(item, Document) else item.note
    return Document(item.id, text, spans, relations, group=item.group)


def marked(prediction: Prediction) -> Answer:
    """The answer with the attribute ``ambiguous`` at spans whose words stand in several places."""
    answer = prediction.answer
    spans = tuple(
        replace(span, attributes={**span.attributes, "ambiguous": "yes"}) if span.id in prediction.ambiguous else span
        for span in answer.spans
    )
    return replace(answer, spans=spans)


def with_sections(document: Document, rules: Mapping[str, str] | None) -> Document:
    """The document with the section that each span begins in as its attribute."""
    parts = sections(document.text, rules)
    ends = [part.end for part in parts]
    spans = tuple(
        replace(span, attributes={**span.attributes, "section": parts[bisect_right(ends, span.start)].id})
        for span in document.spans
    )
    return replace(document, spans=spans)


def written_answers(
    given: Mapping[str, Answer], kinds: Mapping[str, TaskKind], *, placed: bool = True
) -> dict[str, str | None]:
    """Classes, keys and texts by task name; without ``placed`` those only that are not a span of the note too."""
    answers = {
        name: answer for name, answer in given.items() if kinds[name] not in SPAN_KINDS and (placed or not answer.spans)
    }
    return {name: answer.text if answer.label is None else answer.label for name, answer in answers.items()}


def _named(answer: Answer, task: str) -> Answer:
    """The spans of an answer to a question, named by their task."""
    return Answer(spans=tuple(replace(span, label=task) for span in answer.spans))


def _joined(answers: Sequence[Answer]) -> tuple[tuple[Span, ...], tuple[Relation, ...]]:
    """Several tasks' spans and relations with ids that do not clash; equal spans of two tasks are one."""
    names: dict[Any, str] = {}
    spans: dict[str, Span] = {}
    relations: list[Relation] = []
    for answer in answers:
        local = {}
        times = Counter[Any]()  # one answer may name the same words twice, with other attributes
        for span in answer.spans:
            times[span.key] += 1
            key = (span.key, times[span.key])
            if key not in names:
                names[key] = f"T{len(names) + 1}"
            name = local[span.id] = names[key]
            known = spans[name].attributes if name in spans else {}
            spans[name] = replace(span, id=name, attributes={**span.attributes, **known})
        for relation in answer.relations:
            relations.append(
                replace(relation, id=f"R{len(relations) + 1}", head=local[relation.head], tail=local[relation.tail])
            )
    return tuple(spans.values()), tuple(relations)
