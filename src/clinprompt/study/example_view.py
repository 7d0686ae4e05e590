"""A shown example in the form a page draws: the marked note, relations in words, answers side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from clinprompt.data.marked_text import marked, verbatim
from clinprompt.schema.document import Span
from clinprompt.schema.example import Answer
from clinprompt.schema.prediction import DecodeReport
from clinprompt.study.examples_shown import ShownExample
from clinprompt.study.highlight import SYMBOLS, Verdict, marks
from clinprompt.study.score_table import shots_title

NO_ANSWER = "no readable answer"
_TONES = {"correct": "✓", "spurious": "✗", "open": "~"}


@dataclass(frozen=True, slots=True)
class Item:
    """One span or relation of the list below a note; ``text`` says it in words, ``place`` where it stands."""

    verdict: Verdict
    label: str
    text: Markup
    place: str

    @property
    def symbol(self) -> str:
        """The sign that goes with the colour."""
        return SYMBOLS[self.verdict]


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a question, and whether it is the gold answer or the one given."""

    key: str
    text: Markup
    gold: bool
    given: bool


@dataclass(frozen=True, slots=True)
class ExampleView:
    """What the template draws of one example; ``spans`` is ``None`` when no places are asked for."""

    kind: str
    title: str
    verdict: str
    note: Markup
    slots: Mapping[str, Markup]
    spans: tuple[Item, ...] | None
    relations: tuple[Item, ...] | None
    choices: tuple[Choice, ...]
    gold: Markup
    given: Markup
    tone: str
    symbol: str
    faults: str
    raw: Markup


def example_view(shown: ShownExample) -> ExampleView:
    """The view of an example; answers are judged as the strict metrics do."""
    located = shown.kind in ("entities", "relations")
    gold, predicted = _drawn_spans(shown, shown.gold), _drawn_spans(shown, shown.predicted)
    drawn = marks(gold, predicted) if located else []
    spans = tuple(
        Item(mark.verdict, mark.label, verbatim(_surface(mark.fragments, shown.note)), _place(mark.fragments))
        for mark in drawn
    )
    measured = f"{shown.metric} of this example alone: {shown.score:.1f}"
    # A written text is more or less like the gold text, not wrong for differing from it.
    tone = "correct" if shown.right else "open" if shown.gold.text is not None else "spurious"
    return ExampleView(
        kind=shown.kind,
        title=f"{shown.example} · {shown.method}, {shots_title(shown.shots)}",
        verdict="fully right" if shown.right else measured,
        note=marked(shown.note, drawn),
        slots={name: verbatim(text) for name, text in shown.slots.items() if not (name == "options" and shown.choices)},
        spans=spans if located else None,
        relations=_relations(shown) if shown.kind == "relations" else None,
        choices=tuple(
            Choice(key, verbatim(text), key == shown.gold.label, key == shown.predicted.label)
            for key, text in shown.choices
        ),
        gold=_answer(shown.gold),
        given=_answer(shown.predicted),
        tone=tone,
        symbol=_TONES[tone],
        faults=_faults(shown.report),
        raw=verbatim(shown.raw),
    )


def _drawn_spans(shown: ShownExample, answer: Answer) -> tuple[Span, ...]:
    """All spans of an entity task; of a relation task those that relations join, as only they are scored."""
    if shown.kind != "relations":
        return answer.spans
    ends = {end for relation in answer.relations for end in (relation.head, relation.tail)}
    return tuple(span for span in answer.spans if span.id in ends)


def _relations(shown: ShownExample) -> tuple[Item, ...]:
    gold, given = _links(shown.gold), _links(shown.predicted)
    items = []
    for link in sorted(gold | given, key=lambda link: (link[1][1], link[2][1], link)):
        label, head, tail = link
        verdict: Verdict = "spurious" if link not in gold else "correct" if link in given else "missed"
        text = Markup("{} → {}").format(
            verbatim(_surface(head[1], shown.note)), verbatim(_surface(tail[1], shown.note))
        )
        items.append(Item(verdict, label, text, f"{head[0]} {_place(head[1])} → {tail[0]} {_place(tail[1])}"))
    return tuple(items)


def _links(answer: Answer) -> set[tuple]:
    keys = {span.id: span.key for span in answer.spans}
    return {(link.label, keys[link.head], keys[link.tail]) for link in answer.relations}


def _answer(answer: Answer) -> Markup:
    said = answer.text if answer.text is not None else answer.label
    return Markup("<em>{}</em>").format(NO_ANSWER) if said is None else verbatim(said)


def _surface(fragments: tuple[tuple[int, int], ...], note: str) -> str:
    return " … ".join(note[start:end] for start, end in fragments)


def _place(fragments: tuple[tuple[int, int], ...]) -> str:
    return ", ".join(f"{start}–{end}" for start, end in fragments)


def _faults(report: DecodeReport) -> str:
    """What reading the answer back found, in words; empty when there was nothing to report."""
    said = [
        f"{count} {words}"
        for count, words in (
            (report.unreadable, "not readable"),
            (report.unlocated, "not in the note (dropped)"),
            (report.repeated, "said before (dropped)"),
            (report.ambiguous, "with more than one place in the note"),
        )
        if count
    ]
    return ", ".join(said + ["cut off by the length limit"] * bool(report.truncated))
