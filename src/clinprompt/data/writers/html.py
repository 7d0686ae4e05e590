"""One page of notes with their annotation, for people: nothing is loaded, nothing runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinprompt.data.answered import Answers, again, made_by
from clinprompt.data.assertion import assertion_of
from clinprompt.data.atomic import new_file
from clinprompt.data.marked_text import lanes, marked, verbatim
from clinprompt.schema.document import Document, Fragment, Span

_TEMPLATE = "notes.html.j2"
_MANY = 12
"""Notes from which on the lists below them are folded."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One span as drawn; ``name`` is the class of its label, ``tag`` stands once where it begins."""

    name: str
    label: str
    fragments: tuple[Fragment, ...]
    lane: int
    tag: str
    title: str

    @property
    def gap_title(self) -> str:
        """What a pointer on the gap between two fragments shows."""
        return f"gap inside {self.label}"


def write(
    documents: Iterable[Document],
    path: Path,
    *,
    overwrite: bool = False,
    provenance: Mapping[str, Any] | None = None,
    answers: Iterable[Answers] | None = None,
    title: str = "Annotated notes",
) -> dict[str, int]:
    """Write one HTML file and return what it does not show, counted (metadata).

    Every note stands in it character for character, marks nested and labelled in colour and in words; below it
    its mentions with their places, its relations and its answers as tables, for keyboards and screen readers.
    It follows the reader's light or dark setting, prints, and needs no script and no network. The page holds
    the notes' text: it is to be kept like them. The documents are gone through twice, for the list of labels and
    for the notes; what can be read only once is held.

    Raises :class:`InputError` when the file is there already.
    """
    import jinja2

    pairs = again(documents, answers)
    ids, counted = list[str](), Counter[str]()
    for document, _ in pairs:
        ids.append(document.id)
        counted.update(span.label for span in document.spans)
    # The golden angle keeps the hues of any number of labels apart.
    labels = [
        {"name": f"l{place}", "label": label, "count": count, "hue": round(210 + place * 137.5) % 360}
        for place, (label, count) in enumerate(counted.most_common())
    ]
    names = {str(label["label"]): str(label["name"]) for label in labels}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    lost = 0

    def views() -> Iterator[dict[str, Any]]:
        nonlocal lost
        for document, said in pairs:
            lost += len(document.metadata)
            yield _view(document, said, names, folded=len(ids) >= _MANY)

    page = environment.get_template(_TEMPLATE).generate(
        title=title, made_by=made_by(provenance), labels=labels, ids=ids, documents=views()
    )
    with new_file(path, overwrite=overwrite) as part, part.open("w", encoding="utf-8", newline="") as stream:
        stream.writelines(page)
    return {"metadata": lost} if lost else {}


def _view(document: Document, answers: Answers, names: Mapping[str, str], *, folded: bool) -> dict[str, Any]:
    words = {span.id: f"{_words(span, document.text)} ({span.label})" for span in document.spans}
    return {
        "id": document.id,
        "group": document.group if document.group != document.id else "",
        "text": marked(document.text, _marks(document.spans, names)),
        "spans": [
            {
                "label": span.label,
                "words": verbatim(_words(span, document.text)),
                "place": ", ".join(f"{start}–{end}" for start, end in span.fragments),
                "more": _more(span),
            }
            for span in sorted(document.spans, key=lambda span: span.fragments)
        ],
        "relations": [
            {"label": link.label, "head": words[link.head], "tail": words[link.tail]} for link in document.relations
        ],
        "answers": [{"task": task, "text": text} for task, text in answers.items() if text is not None],
        "folded": folded,
    }


def _marks(spans: Sequence[Span], names: Mapping[str, str]) -> list[Mark]:
    """The spans as marks, the shorter ones nearer to the text."""
    ordered = sorted(spans, key=lambda span: (span.end - span.start, span.fragments, span.label))
    placed = zip(ordered, lanes([span.fragments for span in ordered]), strict=True)
    return [
        Mark(
            names[span.label],
            span.label,
            span.fragments,
            lane,
            _tag(span),
            f"{span.label}: {_more(span)}".removesuffix(": "),
        )
        for span, lane in placed
    ]


def _tag(span: Span) -> str:
    """The label with what turns its meaning round: a reader must not take what is denied for what is found."""
    said = assertion_of(span.attributes)
    turned = {"absent": said.negated, "possible": said.possible, "hypothetical": said.hypothetical, "past": said.past}
    words = [word for word, holds in turned.items() if holds] + [said.person] * bool(said.person)
    return f"{span.label}: {', '.join(words)}" if words else span.label


def _words(span: Span, text: str) -> str:
    return " … ".join(text[start:end] for start, end in span.fragments)


def _more(span: Span) -> str:
    return ", ".join(f"{key} {value}".strip() for key, value in span.attributes.items())
