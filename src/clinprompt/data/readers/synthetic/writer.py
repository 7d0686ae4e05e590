"""Write a note piece by piece and keep the exact place of everything that will be asked for."""

from __future__ import annotations

from collections.abc import Mapping

from clinprompt.schema.document import Document, Fragment, Relation, Span


class NoteWriter:
    """Text that grows at its end, with spans and relations recorded while their words are written.

    >>> writer = NoteWriter()
    >>> writer.write("takes ")
    >>> writer.mention("drug", "aspirin")
    'T1'
    >>> writer.document(id="n1").spans[0].surface("takes aspirin")
    'aspirin'
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._spans: list[Span] = []
        self._relations: list[Relation] = []
        self.position = 0

    def write(self, text: str) -> None:
        """Append words that carry no annotation."""
        self._parts.append(text)
        self.position += len(text)

    def mention(self, label: str, text: str, **attributes: str) -> str:
        """Append words that are one mention; the span's id."""
        start = self.position
        self.write(text)
        return self.mark(label, (start, self.position), **attributes)

    def mark(self, label: str, *fragments: Fragment, **attributes: str) -> str:
        """Annotate words that already stand in the note; the span's id."""
        span_id = f"T{len(self._spans) + 1}"
        self._spans.append(Span(label=label, fragments=fragments, id=span_id, attributes=attributes))
        return span_id

    def place(self, span_id: str) -> Fragment:
        """Where a span written earlier begins and ends."""
        span = self._spans[int(span_id[1:]) - 1]
        return (span.start, span.end)

    def relate(self, label: str, head: str, tail: str) -> None:
        """Link two spans by their ids."""
        self._relations.append(Relation(label=label, head=head, tail=tail, id=f"R{len(self._relations) + 1}"))

    def document(self, *, id: str, group: str = "", metadata: Mapping[str, str] | None = None) -> Document:
        """The finished note."""
        return Document(
            id=id,
            text="".join(self._parts),
            spans=tuple(self._spans),
            relations=tuple(self._relations),
            group=group,
            metadata=dict(metadata or {}),
        )
