"""Hypothesis strategies for notes that are hard to annotate: repeats, emoji, CRLF, nesting, gaps."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer, Example, TaskKind
from clinprompt.tasks.task import AttributeSchema, Task

PIECES = (
    *("pain", "chest pain", "pt", "septum", "aspirin 80 mg", "none", "a", "aa", "#2", "# 3", "drug: x"),
    *(" ", " ", " ", "  ", "\r\n", "\n", "\u00a0", "\t", "\u2028", "."),
    *(";", ":", "|", ">", "#", "\\", "=", " > ", " | ", "; ", "\\n"),
    *("e\u0301", "\u0301", "é", "😀", "👩\u200d⚕️", "ß", "İ", "中文"),
)

notes = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=24).map("".join),
    st.text(min_size=1, max_size=40),
)

ENTITIES = Task(
    name="hard-entities",
    kind=TaskKind.entities,
    codec="entities",
    instruction="List the entities.",
    labels=("Drug", "Dose", "Odd", "none", "Colon"),
    verbalizer={"Dose": "strength of drug", "Odd": " a;b|c#2\\ ", "Colon": "x: y > z=1"},
    metrics=("span-f1",),
)

RELATIONS = Task(
    name="hard-relations",
    kind=TaskKind.relations,
    codec="relations",
    instruction="List the relations.",
    labels=("Drug", "Dose", "Odd"),
    verbalizer={"Odd": "a=b>c", "dose of": "dose; of: 1"},
    relations={
        "dose of": {"head": ("Dose",), "tail": ("Drug",)},
        "any": {"head": ("Drug", "Odd"), "tail": ("Drug", "Dose", "Odd")},
        "to odd": {"head": ("Drug", "Dose", "Odd"), "tail": ("Odd",)},
    },
    metrics=("relation-f1",),
)

SAID = RELATIONS.model_copy(
    update={
        "attributes": {
            "Sure": AttributeSchema(values=("yes", "no; not"), of=("Drug",), usual="yes"),
            "When": AttributeSchema(values=("now", "then=1")),
        }
    }
)
"""Relations between mentions with attributes."""


@st.composite
def fragments(draw, length: int):
    """One to three fragments in text order within ``length`` characters, neighbours may touch."""
    count = draw(st.integers(1, 3 if length > 3 else 1))
    cuts = sorted(draw(st.lists(st.integers(0, length), min_size=2 * count, max_size=2 * count)))
    pairs = tuple((cuts[2 * i], cuts[2 * i + 1]) for i in range(count))
    kept = tuple(pair for pair in pairs if pair[0] < pair[1])
    return kept or ((0, length),)


def spans_of(note: str, labels: tuple[str, ...], *, at_most: int):
    """Strategies for spans of one note, ids ``g1``, ``g2``, …, in any order."""
    drawn = st.tuples(st.sampled_from(labels), fragments(len(note)))
    return st.lists(drawn, max_size=at_most).map(
        lambda pairs: tuple(
            Span(label=label, fragments=parts, id=f"g{i}") for i, (label, parts) in enumerate(pairs, start=1)
        )
    )


@st.composite
def entity_examples(draw, task: Task = ENTITIES):
    note = draw(notes)
    return example(note, Answer(spans=draw(spans_of(note, task.labels, at_most=6))))


@st.composite
def relation_examples(draw, task: Task = RELATIONS):
    note = draw(notes)
    spans = tuple(
        replace(span, attributes={name: draw(st.sampled_from(asked.values)) for name, asked in task.attributes.items()})
        for span in draw(spans_of(note, task.labels, at_most=5))
    )
    possible = [
        (label, head.id, tail.id)
        for label, ends in task.relations.items()
        for head in spans
        for tail in spans
        if head.label in ends.head and tail.label in ends.tail
    ]
    chosen = draw(st.lists(st.sampled_from(possible), max_size=6)) if possible else []
    relations = tuple(Relation(label, head, tail) for label, head, tail in chosen)
    return example(note, Answer(spans=spans, relations=relations))


def example(note: str, answer: Answer, **more) -> Example:
    return Example(id="x1", inputs={"note": note}, answer=answer, group="g", **more)


def span_keys(answer: Answer) -> set:
    return {span.key for span in answer.spans}


def relation_keys(answer: Answer) -> set:
    keys = {span.id: span.key for span in answer.spans}
    return {(link.label, keys[link.head], keys[link.tail]) for link in answer.relations}


def asserted_relations(answer: Answer, task: Task) -> set:
    """Relations by what their ends say, the attributes that the task asks for among it."""
    ends = {}
    for span in answer.spans:
        asked = [name for name, schema in task.attributes.items() if span.label in (schema.of or task.labels)]
        ends[span.id] = (span.key, tuple((name, span.attributes[name]) for name in asked))
    return {(link.label, ends[link.head], ends[link.tail]) for link in answer.relations}
