"""The reading formulation: an example as questions about its text, answered by places of the text (arXiv 2310.06239).

Entities: one question per label (and per way its attributes can be). Relations: a first pass finds the mentions at one
end of relations in the same way, a second one asks about each of them, with its words in the question, for what stands
at the other end. Extractive answers: the example's own question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from clinprompt.errors import InputError
from clinprompt.schema.document import Fragment, Span
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.formulated import SpanQuestion
from clinprompt.tasks.codecs.entities import Place, asked_of, numbered, text_order, words_of
from clinprompt.tasks.codecs.quote import NO_ANSWER, QUOTE
from clinprompt.tasks.codecs.relations import End, Link, check_link, end_of, gold_links, linked
from clinprompt.tasks.formulations.asks import ANSWER, Ask, from_tail, head_labels, questions
from clinprompt.tasks.grounding import Grounder, Part
from clinprompt.tasks.task import HEAD, Task

LONGEST_HEAD = 80
"""Characters of a mention that a question about it repeats; all of it is marked in the context."""

_Known = TypeVar("_Known")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question put to one text, with what its answers mean; ``head`` is the mention that it is about."""

    ask: Ask
    question: SpanQuestion
    head: End | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One answer to a question: its characters in the text, and how sure the model is (a logit)."""

    asked: Asked
    place: Fragment
    score: float = 0.0


def first_pass(example: Example, task: Task, *, wording: str) -> list[Asked]:
    """The questions that need no other answers: all of them, for relations those about the heads."""
    asks = [ask for ask in questions(task, wording=wording) if not ask.of]
    if task.codec == "quote":
        if not example.inputs.get("question"):
            raise InputError("the example has no question", where=f"example {example.id} of task {task.name}")
        asks = [replace(ask, text=example.inputs["question"]) for ask in asks]
    return [Asked(ask, SpanQuestion(ask.label, ask.text, example.note)) for ask in asks]


def second_pass(example: Example, task: Task, heads: Iterable[End], *, wording: str) -> list[Asked]:
    """One question per head, relation that it may have, and label at the relation's other end; none for no relations.

    A head that is not one stretch cannot be marked and is passed over.
    """
    asks = [ask for ask in questions(task, wording=wording) if ask.of]
    found = []
    for head in sorted(dict.fromkeys(heads), key=lambda end: text_order(end[:2])):
        label, fragments, _ = head
        if len(fragments) > 1:
            continue
        [(start, end)] = fragments
        words = _shortened(example.note[start:end])
        for ask in asks:
            if ask.of == label:
                question = SpanQuestion(ask.label, ask.text.replace(HEAD, words), example.note, head=(start, end))
                found.append(Asked(ask, question, head))
    return found


def gold_heads(example: Example, task: Task) -> list[End]:
    """The annotated mentions that the second pass asks about, in text order; also those that have no relation.

    One that is annotated with several values of its attributes has those that come first.
    """
    labels = head_labels(task)
    said = {span.key: end_of(span, asked_of(span, task)) for span in reversed(example.answer.spans)}
    return [said[place] for place in sorted(said, key=text_order) if place[0] in labels]


def second_values(example: Example, task: Task) -> set[Link]:
    """The gold relations that only say other values of an attribute than those that are asked for.

    A mention that is asked about has one set of values, and so has what answers about it at one place.
    """
    heads = {head[:2]: head for head in gold_heads(example, task)}
    known: set[tuple[str, Place, Place]] = set()
    others = set()
    for link in sorted(gold_links(example.answer, task)):
        head, tail = _turned(link, task)
        key = (link[0], head[:2], tail[:2])
        if heads.get(head[:2]) != head or key in known:
            others.add(link)
        else:
            known.add(key)
    return others


def training_questions(example: Example, task: Task, *, wording: str) -> list[SpanQuestion]:
    """All questions about an example with their gold answers, the impossible ones among them; of relations with the
    annotated heads.

    Answers that are no single stretch of text, relations of a mention with itself and second values are left out
    (:func:`~clinprompt.tasks.formulations.unaskable.unaskable`). Raises :class:`InputError` for an answer outside the
    task's schema.
    """
    asked = first_pass(example, task, wording=wording)
    asked += second_pass(example, task, gold_heads(example, task), wording=wording)
    gold = _gold(example, task)
    return [replace(one.question, answers=tuple(sorted(gold.get(_key(one), ())))) for one in asked]


def assemble(example: Example, task: Task, found: Iterable[Found]) -> tuple[Answer, int]:
    """The answer that the places found make, and how many of them it cannot hold.

    Equal places are one; of two values of an attribute at a place, in relations as answers about the same mention, the
    surer stays. A relation has its head and tail as the schema says, whichever was asked for first; one of a mention
    with itself is left out and counted. Of extractive answers the surest is taken, and ``unanswerable`` where there is
    none.
    """
    if task.codec == "quote":
        return _quoted(example, found), 0
    if task.codec == "relations":
        pairs = [one for one in found if one.asked.head is not None]
        plain = [one for one in pairs if _is_plain(_link(one, task))]
        surest = _surest(plain, lambda one: (one.asked.ask.label, one.asked.head, _place(one)))
        return linked({_link(one, task) for one in surest.values()}), len(pairs) - len(plain)
    best = _surest(found, _place)
    return Answer(spans=numbered({place: one.asked.ask.attributes for place, one in best.items()})), 0


def heads_found(found: Iterable[Found], *, most: int) -> tuple[list[End], int]:
    """The mentions that the second pass asks about, from the answers to the first, and how many were left out.

    Each has its surest values; of more than ``most`` the surest are kept, in the order in which they were found.
    """
    several = _surest(found, _place)
    kept = {place for place, _ in sorted(several.items(), key=lambda item: -item[1].score)[:most]}
    return [(*place, _said(one.asked.ask)) for place, one in several.items() if place in kept], len(several) - len(kept)


_Said = tuple[tuple[str, str], ...]
_Key = tuple[str, str, _Said, End | None]


def _said(ask: Ask) -> _Said:
    return tuple(sorted(ask.attributes.items()))


def _key(asked: Asked) -> _Key:
    return (asked.ask.label, asked.ask.finds, _said(asked.ask), asked.head)


def _gold(example: Example, task: Task) -> dict[_Key, set[Fragment]]:
    """The answers to each question."""
    found: dict[_Key, set[Fragment]] = {}
    if task.codec == "quote":
        return {(ANSWER, ANSWER, (), None): quoted_places(example, task)}
    forms = task.forms()
    if task.codec == "relations":
        ends = {end for link in example.answer.relations for end in (link.head, link.tail)}
        for link in gold_links(example.answer, task):
            check_link(link, example, task)
        heads = head_labels(task)
        for span in example.answer.spans:
            if span.id in ends or span.label in heads:
                words_of(span, forms, example, task)
        for label, fragments, said in gold_heads(example, task):
            if len(fragments) == 1:
                found.setdefault((label, label, said, None), set()).add(fragments[0])
        for link in gold_links(example.answer, task) - second_values(example, task):
            head, tail = _turned(link, task)
            if _is_plain(link):
                found.setdefault((link[0], tail[0], tail[2], head), set()).add(tail[1][0])
        return found
    for span in {span.key: span for span in reversed(example.answer.spans)}.values():
        label, attributes = forms[words_of(span, forms, example, task)]
        if len(span.fragments) == 1:
            found.setdefault((label, label, tuple(sorted(attributes.items())), None), set()).add(span.fragments[0])
    return found


def quoted_places(example: Example, task: Task) -> set[Fragment]:
    """Where the words of an extractive answer stand; nowhere for a question without answer."""
    places = {span.fragments[0] for span in example.answer.spans if len(span.fragments) == 1}
    words = QUOTE.encode(example, task)
    if words == NO_ANSWER or places:
        return places
    located = Grounder(example.note).locate((Part(words),))
    assert located is not None
    return {located.fragments[0]}


def _quoted(example: Example, found: Iterable[Found]) -> Answer:
    best = max(found, key=lambda one: (one.score, -one.place[0]), default=None)
    if best is None:
        return Answer(text=NO_ANSWER)
    span = Span(ANSWER, (best.place,), id="A1")
    return Answer(spans=(span,), text=span.surface(example.note))


def _place(found: Found) -> Place:
    return (found.asked.ask.finds, (found.place,))


def _surest(found: Iterable[Found], key: Callable[[Found], _Known]) -> dict[_Known, Found]:
    best: dict[_Known, Found] = {}
    for one in found:
        if key(one) not in best or one.score > best[key(one)].score:
            best[key(one)] = one
    return best


def _link(found: Found, task: Task) -> Link:
    ask, head = found.asked.ask, found.asked.head
    assert head is not None
    ends = (head, (*_place(found), _said(ask)))
    return (ask.label, ends[1], ends[0]) if from_tail(task) else (ask.label, *ends)


def _turned(link: Link, task: Task) -> tuple[End, End]:
    """The mention that is asked about, and what answers."""
    _, head, tail = link
    return (tail, head) if from_tail(task) else (head, tail)


def _is_plain(link: Link) -> bool:
    """Whether two different mentions, each one stretch of text, stand at the ends."""
    _, head, tail = link
    return head[:2] != tail[:2] and len(head[1]) == len(tail[1]) == 1


def _shortened(words: str) -> str:
    """A mention in one line, cut after a word where it is long."""
    line = " ".join(words.split())
    return line if len(line) <= LONGEST_HEAD else line[:LONGEST_HEAD].rpartition(" ")[0] or line[:LONGEST_HEAD]
