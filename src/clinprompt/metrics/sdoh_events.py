"""Events of n2c2 2022 track 2 (social determinants of health): triggers, labelled arguments, span-only arguments.

As the track's scorer (brat_scoring, its defaults for the track; Lybarger et al. 2023, JAMIA 30:1367) has it: events
are aligned one to one where their triggers have the same type and share a character, in text order, the first that
fits; of aligned events a labelled argument is right with the same type and subtype wherever it stands, another
argument with the same type, first start and last end. The score sums all three over events and documents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from clinprompt.errors import InputError
from clinprompt.metrics.metric import Counts, Metric, f1
from clinprompt.schema.document import Span
from clinprompt.schema.example import Answer, Example

TRIGGERS = ("Alcohol", "Drug", "Tobacco", "Employment", "LivingStatus")
LABELLED = ("StatusTime", "StatusEmploy", "TypeLiving")
"""Arguments with a subtype; it stands in the span attribute named like the type with ``Val`` at its end."""

Item = Literal["trigger", "labelled", "span"]
ITEMS: tuple[Item, ...] = ("trigger", "labelled", "span")


def sdoh_f1(labels: Sequence[str] = ()) -> Metric:
    """Micro-F1 of n2c2 2022 SDoH events over triggers, labelled arguments and span-only arguments together."""
    return SdohF1("sdoh-f1", ITEMS)


def trigger_f1(labels: Sequence[str] = ()) -> Metric:
    """Micro-F1 of the triggers of n2c2 2022 SDoH events: same type and a character in common."""
    return SdohF1("sdoh-f1:triggers", ("trigger",))


def labelled_f1(labels: Sequence[str] = ()) -> Metric:
    """Micro-F1 of the labelled arguments (status, kind of living) of n2c2 2022 SDoH events: same subtype."""
    return SdohF1("sdoh-f1:labelled", ("labelled",))


def span_only_f1(labels: Sequence[str] = ()) -> Metric:
    """Micro-F1 of the span-only arguments (amount, duration, …) of n2c2 2022 SDoH events: exact range."""
    return SdohF1("sdoh-f1:spans", ("span",))


@dataclass(frozen=True, slots=True)
class Event:
    """A trigger with its arguments: for labelled ones type and subtype, for others type, start and end."""

    trigger: Span
    labelled: tuple[tuple[str, str], ...]
    spans: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class SdohF1:
    """``[hits, predicted, gold]`` of the chosen items."""

    name: str
    items: tuple[Item, ...]

    def counts(self, gold: Example, predicted: Answer) -> Counts:
        """The sums over the chosen items of one example."""
        by_item = item_counts(gold.answer, predicted)
        return np.sum([by_item[item] for item in self.items], axis=0, dtype=np.float64)

    def value(self, total: Counts) -> Counts:
        """F1 in percent for sums ``[..., 3]``."""
        return f1(total[..., 0], total[..., 1], total[..., 2], nothing=100.0)


def item_counts(gold: Answer, predicted: Answer) -> dict[Item, tuple[int, int, int]]:
    """Hits, predicted and gold of triggers, labelled and span-only arguments."""
    expected, given = events(gold), events(predicted)
    aligned = _aligned(expected, given)
    labelled = sum((Counter(one.labelled) & Counter(other.labelled)).total() for one, other in aligned)
    spans = sum((Counter(one.spans) & Counter(other.spans)).total() for one, other in aligned)
    return {
        "trigger": (len(aligned), len(given), len(expected)),
        "labelled": (labelled, sum(len(e.labelled) for e in given), sum(len(e.labelled) for e in expected)),
        "span": (spans, sum(len(e.spans) for e in given), sum(len(e.spans) for e in expected)),
    }


def events(answer: Answer) -> list[Event]:
    """The events of an answer in text order: the heads of its relations, and the triggers without an argument."""
    spans = {span.id: span for span in answer.spans}
    arguments: dict[str, list[Span]] = {}
    for link in answer.relations:
        if link.head not in spans or link.tail not in spans:
            raise InputError("a relation names a span that its answer does not have")
        arguments.setdefault(link.head, []).append(spans[link.tail])
    triggers = [span for span in answer.spans if span.id in arguments or span.label in TRIGGERS]
    return [
        _event(span, arguments.get(span.id, []))
        for span in sorted(triggers, key=lambda span: (span.start, span.end, span.label))
    ]


def _event(trigger: Span, arguments: Sequence[Span]) -> Event:
    return Event(
        trigger,
        tuple(
            (span.label, span.attributes.get(f"{span.label}Val", "")) for span in arguments if span.label in LABELLED
        ),
        tuple((span.label, span.start, span.end) for span in arguments if span.label not in LABELLED),
    )


def _aligned(expected: Sequence[Event], given: Sequence[Event]) -> list[tuple[Event, Event]]:
    """Greedy as in the scorer: another alignment of as many triggers could give the arguments another score."""
    free = list(given)
    found = []
    for event in expected:
        for place, other in enumerate(free):
            if _same_trigger(event.trigger, other.trigger):
                found.append((event, free.pop(place)))
                break
    return found


def _same_trigger(one: Span, other: Span) -> bool:
    return one.label == other.label and one.start < other.end and other.start < one.end
