"""A corpus seen through one task: its labels kept or renamed, long documents cut into windows, losses
counted.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from clinprompt.data.windows import Window, windows
from clinprompt.errors import InputError
from clinprompt.schema.concepts import STATED, concept_relations, mentioned, stated
from clinprompt.schema.document import Document, Relation, Span
from clinprompt.schema.example import Answer, Example

Ends = tuple[Collection[str], Collection[str]]
"""The entity labels that may stand at the head and at the tail of a relation."""


@dataclass(frozen=True, slots=True)
class ProjectionReport:
    """What became of the annotation of the projected documents; reports add up.

    ``spans`` and ``relations`` are those that stand whole in at least one example. ``outside`` counts, by
    label of the corpus, what the task does not ask for; ``cut_spans`` and ``cut_relations``, by label of
    the task, what fits in no window; ``wrong_ends`` relations between entity labels that the task does not
    allow; ``merged`` spans and relations that became equal to another by renaming; ``blank`` windows
    without a word, which give no example.
    """

    documents: int = 0
    examples: int = 0
    spans: int = 0
    relations: int = 0
    blank: int = 0
    merged: int = 0
    outside: Counter[str] = field(default_factory=Counter)
    cut_spans: Counter[str] = field(default_factory=Counter)
    cut_relations: Counter[str] = field(default_factory=Counter)
    wrong_ends: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: ProjectionReport) -> ProjectionReport:
        return ProjectionReport(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


Projected = tuple[list[Example], ProjectionReport]
"""The examples of one document and the report of what they do not hold."""


@dataclass(slots=True)
class Tally:
    """The sum of the reports of examples that come one after the other; whole when they have ended."""

    report: ProjectionReport = field(default_factory=ProjectionReport)

    def examples(self, projected: Iterable[Projected]) -> Iterator[Example]:
        """The examples, each document's after its report was added."""
        for examples, report in projected:
            self.report += report
            yield from examples


def project(
    document: Document,
    *,
    labels: Collection[str],
    relations: Mapping[str, Ends] | None = None,
    label_map: Mapping[str, str] | None = None,
    window: int | None = None,
    overlap: int = 0,
) -> tuple[list[Example], ProjectionReport]:
    """The examples of one document for one task, and the report of what they do not hold.

    ``label_map`` renames labels of the corpus, of spans and of relations alike (to ``""``: leave out); of
    the result ``labels`` and ``relations`` are kept. With ``relations`` an answer holds the relations and
    the spans at their ends only; ``labels`` may then be empty, for all that the relations allow. ``window``
    and ``overlap`` are characters, without ``window`` the document is one example. Ids are
    ``<document>@<offset>``; ids of spans stay.
    """
    links = relations or {}
    wanted = set(labels) or {label for ends in links.values() for end in ends for label in end}
    spans, names, report = _spans(document, wanted, label_map or {})
    metadata = _metadata(document, spans.values(), links, label_map or {})
    kept, report = _relations(document, spans, names, links, label_map or {}, report)
    places = windows(document.text, longest=window, overlap=overlap) if window else [(0, len(document.text))]
    examples = [
        _example(document, place, list(spans.values()), kept, metadata, related=bool(links))
        for place in places
        if document.text[slice(*place)].strip()
    ]
    if links:
        ends = {name for relation in kept for name in (relation.head, relation.tail)}
        spans = {name: span for name, span in spans.items() if name in ends}
    whole = {name for name, span in spans.items() if any(_inside(span, place) for place in places)}
    joined = [
        relation
        for relation in kept
        if any(all(_inside(spans[end], place) for end in (relation.head, relation.tail)) for place in places)
    ]
    return examples, replace(
        report,
        documents=1,
        examples=len(examples),
        blank=len(places) - len(examples),
        spans=len(whole),
        relations=len(joined),
        cut_spans=Counter(span.label for name, span in spans.items() if name not in whole),
        cut_relations=Counter(relation.label for relation in kept) - Counter(relation.label for relation in joined),
    )


def project_each(
    documents: Iterable[Document],
    *,
    labels: Collection[str],
    relations: Mapping[str, Ends] | None = None,
    label_map: Mapping[str, str] | None = None,
    window: int | None = None,
    overlap: int = 0,
    strict: bool = False,
) -> Iterator[Projected]:
    """:func:`project` of one document after the other.

    With ``strict`` (for annotation that was made for this very task) :class:`InputError` lists, after the last, the
    labels that the task does not have, unless ``label_map`` names them.
    """
    links, used = relations or {}, Counter[str]()
    known = {*labels, *links, *(label for ends in links.values() for end in ends for label in end)}
    for document in documents:
        used.update(item.label for item in (*document.spans, *document.relations))
        yield project(document, labels=labels, relations=relations, label_map=label_map, window=window, overlap=overlap)
    if strict:
        _refuse_unknown(used, known=known, label_map=label_map or {})


def relabel(
    examples: Iterable[Example], *, labels: Collection[str], label_map: Mapping[str, str] | None = None
) -> Iterator[Example]:
    """Examples of a class task with their classes renamed, without those renamed to ``""``.

    Raises :class:`InputError` after the last for classes that the task does not have after renaming.
    """
    renames, used = label_map or {}, Counter[str]()
    for example in examples:
        old = example.answer.label or ""
        used[old] += 1
        new = renames.get(old, old)
        if new:
            yield replace(example, answer=replace(example.answer, label=new))
    _refuse_unknown(used, known=set(labels), label_map=renames)


def _refuse_unknown(used: Counter[str], *, known: set[str], label_map: Mapping[str, str]) -> None:
    # A rename to a label that the task does not have would leave the annotation out in silence.
    unknown = {label: count for label, count in used.items() if label_map.get(label, label) not in {*known, ""}}
    unknown |= {label: used[label] for label in used if not label and label not in label_map}
    if not unknown:
        return
    listed = []
    for label, count in sorted(unknown.items(), key=lambda item: (-item[1], item[0])):
        near = difflib.get_close_matches(label, sorted(known), n=1, cutoff=0.6)
        listed.append(f"{label!r} ({count} times{f', did you mean {near[0]!r}?' if near else ''})")
    raise InputError(
        f"the data have labels that the task does not have: {', '.join(listed)}",
        allowed=", ".join(sorted(known)),
        fix="add them to the task's labels or to its label_map (to '' to leave them out)",
    )


def _spans(
    document: Document, wanted: set[str], renames: Mapping[str, str]
) -> tuple[dict[str, Span], dict[str, str], ProjectionReport]:
    """Kept spans by a name, the name for each span id of the corpus, and the report so far."""
    outside: Counter[str] = Counter()
    spans: dict[str, Span] = {}
    names: dict[str, str] = {}
    by_key: dict[tuple[str, tuple[Window, ...]], str] = {}
    merged = 0
    for place, span in enumerate(document.spans):
        label = renames.get(span.label, span.label)
        if label not in wanted:
            outside[span.label] += 1
            continue
        kept = replace(span, label=label)
        fresh = span.id if span.id and span.id not in spans else f"#{place}"
        name = by_key.setdefault(kept.key, fresh)
        merged += name in spans
        spans.setdefault(name, kept)
        names.setdefault(span.id, name)
    return spans, names, ProjectionReport(outside=outside, merged=merged)


def _relations(
    document: Document,
    spans: Mapping[str, Span],
    names: Mapping[str, str],
    links: Mapping[str, Ends],
    renames: Mapping[str, str],
    report: ProjectionReport,
) -> tuple[list[Relation], ProjectionReport]:
    """Kept relations between kept spans, and the report with those that are not."""
    outside, wrong_ends = Counter(report.outside), Counter(report.wrong_ends)
    kept: dict[tuple[str, str, str], Relation] = {}
    merged = report.merged
    for relation in document.relations:
        label = renames.get(relation.label, relation.label)
        if label not in links:
            outside[relation.label] += 1
            continue
        head, tail = names.get(relation.head), names.get(relation.tail)
        if (
            head is None
            or tail is None
            or spans[head].label not in links[label][0]
            or spans[tail].label not in links[label][1]
        ):
            wrong_ends[label] += 1
            continue
        merged += (label, head, tail) in kept
        kept.setdefault((label, head, tail), replace(relation, label=label, head=head, tail=tail))
    return list(kept.values()), replace(report, outside=outside, wrong_ends=wrong_ends, merged=merged)


def _inside(span: Span, place: Window) -> bool:
    return place[0] <= span.start and span.end <= place[1]


def _metadata(
    document: Document, spans: Iterable[Span], links: Collection[str], renames: Mapping[str, str]
) -> dict[str, str]:
    """The document's metadata; with ``links``, of its relations between concepts those, and all its concepts."""
    found = dict(document.metadata)
    if not links:
        return found
    found.pop(STATED, None)
    renamed = [
        replace(relation, label=renames.get(relation.label, relation.label))
        for relation in concept_relations(document.metadata)
    ]
    return found | stated([relation for relation in renamed if relation.label in links]) | mentioned(list(spans))


def _example(
    document: Document,
    place: Window,
    spans: Sequence[Span],
    relations: Sequence[Relation],
    metadata: Mapping[str, str],
    *,
    related: bool,
) -> Example:
    here = [span.shifted(-place[0]) for span in spans if _inside(span, place)]
    ids = {span.id for span in here}
    joined = tuple(relation for relation in relations if relation.head in ids and relation.tail in ids)
    if related:
        ends = {name for relation in joined for name in (relation.head, relation.tail)}
        here = [span for span in here if span.id in ends]
    return Example(
        id=f"{document.id}@{place[0]}",
        inputs={"note": document.text[slice(*place)]},
        answer=Answer(spans=tuple(here), relations=joined),
        group=document.group,
        document=document.id,
        offset=place[0],
        metadata=dict(metadata),
    )
