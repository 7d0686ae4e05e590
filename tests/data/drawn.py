"""Hypothesis strategies for documents that a format must hold exactly."""

from __future__ import annotations

from hypothesis import strategies as st

from clinprompt.schema.document import Document, Relation, Span
from clinprompt.schema.example import Answer, Example, Split

PIECES = (
    "pain",
    "a",
    "81 mg",
    "😀",
    "👩\u200d⚕️",
    "e\u0301",
    "\u0301",
    "\r\n",
    "\n",
    "\r",
    "\t",
    " ",
    "  ",
    "\u00a0",
)
PIECES += (
    "\u2028",
    "\x85",
    "\x0b",
    "\ufeff",
    ".",
    ". The",
    ";",
    "T1\tDrug 0 1\tx",
    "\n\n",
    "中文",
    "\\",
    '"',
    "#",
    "|",
)
texts = st.one_of(st.lists(st.sampled_from(PIECES), max_size=20).map("".join), st.text(max_size=40))
labels = st.sampled_from(("Drug", "Dose", "Sign_or-symptom", "症状"))
names = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1, max_size=6)
values = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=8)
maps = st.dictionaries(st.text(max_size=5), st.text(max_size=8), max_size=2)


@st.composite
def fragments(draw, length: int):
    cuts = draw(st.lists(st.integers(0, length), min_size=2, max_size=6))
    cuts = sorted(cuts[: len(cuts) // 2 * 2])
    pairs = tuple((start, end) for start, end in zip(cuts[::2], cuts[1::2], strict=True) if start < end)
    return pairs or ((0, length),)


@st.composite
def documents(draw, *, identity: str = "note", loose: bool = False):
    """A document as brat can hold it; ``loose`` adds groups and metadata of any text, which JSON and Parquet hold."""
    text = draw(texts)
    count = draw(st.integers(0, 6)) if text else 0
    spans = tuple(
        Span(
            label=draw(labels),
            fragments=draw(fragments(len(text))),
            id=f"T{place}",
            attributes=draw(maps if loose else st.dictionaries(names, values, max_size=2)),
        )
        for place in range(1, count + 1)
    )
    ends = st.sampled_from([span.id for span in spans]) if spans else st.nothing()
    links = st.builds(Relation, label=labels, head=ends, tail=ends)
    drawn = draw(st.lists(links, max_size=3)) if spans else []
    relations = tuple(
        Relation(label=link.label, head=link.head, tail=link.tail, id=f"R{place}")
        for place, link in enumerate(drawn, 1)
    )
    return Document(
        id=identity,
        text=text,
        spans=spans,
        relations=relations,
        group=draw(st.text(max_size=5)) if loose else "",
        metadata=draw(maps) if loose else {},
    )


@st.composite
def examples(draw):
    document = draw(documents(loose=True))
    slots = draw(st.dictionaries(st.sampled_from(("question", "hypothesis", "options")), texts))
    return Example(
        id=draw(st.text(max_size=8)),
        inputs={"note": document.text, **slots},
        answer=Answer(
            spans=document.spans,
            relations=document.relations,
            label=draw(st.none() | st.text(max_size=4)),
            text=draw(st.none() | texts),
        ),
        group=draw(st.text(max_size=4)),
        document=document.id,
        offset=draw(st.integers(0, 2**40)),
        choices=draw(st.lists(st.tuples(st.text(max_size=2), texts), max_size=3).map(tuple)),
        split=draw(st.none() | st.sampled_from(Split)),
        metadata=draw(maps),
    )


def has_xml_form(document: Document) -> bool:
    """Whether XML 1.0 has all characters of a document (``Char`` of its grammar)."""
    said = [document.id, document.text, document.group, *document.metadata, *document.metadata.values()]
    for span in document.spans:
        said += [span.id, span.label, *span.attributes, *span.attributes.values()]
    return all(
        character in "\t\n\r"
        or " " <= character <= "\ud7ff"
        or "\ue000" <= character <= "\ufffd"
        or character >= "\U00010000"
        for character in "".join(said)
    )
