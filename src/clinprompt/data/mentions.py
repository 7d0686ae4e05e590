"""Questions about single mentions: one example per annotated mention, whose class is an attribute's value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from clinprompt.data.attributes import Asked, refuse_unknown
from clinprompt.data.projection import Projected, ProjectionReport
from clinprompt.data.windows import Window, windows
from clinprompt.schema.document import Document, Span
from clinprompt.schema.example import Answer, Example

Naming = Callable[[str, Span], str]
"""How a mention of a stretch of note is named in a question."""


def ask_about_mentions(
    documents: Iterable[Document],
    asked: Asked,
    *,
    naming: Naming,
    label_map: Mapping[str, str] | None = None,
    window: int | None = None,
    gold: bool = True,
) -> Iterator[Projected]:
    """One example for each mention with a label of ``asked.of``, after renaming by ``label_map``.

    Its note is the window (of at most ``window`` characters; the whole document without) in which the mention stands
    farthest from the edges, so mentions of one window share their note; its question is ``naming`` of the two; its id
    ``<document>@<offset>#<number of the span in the document>``. Mentions that no window holds whole are counted.
    Without ``gold`` the answers stay empty. Documents come one after the other; after the last, values that the task
    does not have raise :class:`InputError`.
    """
    unknown = Counter[str]()
    for document in documents:
        spans, outside, merged = _mentions(document, asked.of, label_map or {})
        places = windows(document.text, longest=window, overlap=window // 4) if window else [(0, len(document.text))]
        cut: Counter[str] = Counter()
        made = []
        for number, span in spans:
            place = _best(places, span)
            if place is None:
                cut[span.label] += 1
                continue
            value = asked.value(span) if gold else None
            if gold and value is None:
                unknown[asked.given(span)] += 1
            made.append(_example(document, span, number, place, value, naming))
        yield (
            made,
            ProjectionReport(
                documents=1, examples=len(made), spans=len(made), merged=merged, outside=outside, cut_spans=cut
            ),
        )
    refuse_unknown(unknown)


def span_number(example: Example) -> int:
    """Which span of its document, from 0, an example of :func:`ask_about_mentions` asks about."""
    return int(example.id.rpartition("#")[2])


def _mentions(
    document: Document, of: Sequence[str], renames: Mapping[str, str]
) -> tuple[list[tuple[int, Span]], Counter[str], int]:
    """Spans with their numbers in the document, what has another label, and how many stand there twice."""
    outside: Counter[str] = Counter()
    found: dict[object, tuple[int, Span]] = {}
    asked = 0
    for number, span in enumerate(document.spans):
        renamed = replace(span, label=renames.get(span.label, span.label))
        if renamed.label in of:
            asked += 1
            found.setdefault(renamed.key, (number, renamed))
        else:
            outside[span.label] += 1
    return list(found.values()), outside, asked - len(found)


def _best(places: Sequence[Window], span: Span) -> Window | None:
    whole = [place for place in places if place[0] <= span.start and span.end <= place[1]]
    return max(whole, key=lambda place: min(span.start - place[0], place[1] - span.end), default=None)


def _example(
    document: Document, span: Span, number: int, place: Window, value: str | None, naming: Naming
) -> Example:  # fmt: skip
    note = document.text[slice(*place)]
    return Example(
        id=f"{document.id}@{place[0]}#{number}",
        inputs={"note": note, "question": naming(note, span.shifted(-place[0]))},
        answer=Answer(label=value),
        group=document.group,
        document=document.id,
        offset=place[0],
        metadata=dict(document.metadata),
    )
