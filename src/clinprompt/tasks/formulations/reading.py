"""The reading formulation: an example as questions about its text, answered by places of the text (arXiv 2310.06239).

Entities: one question per label (and per way its attributes can be). Relations: a first pass finds the mentions at one
end of relations, a second one asks about each of them, with its words in the question. Extractive answers: the
example's own question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from clinprompt.errors import InputError
from clinprompt.registry import unknown_name
from clinprompt.schema.document import Fragment, Span
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.formulated import SpanQuestion
from clinprompt.tasks.codecs.entities import Place, form_of, numbered, text_order
from clinprompt.tasks.codecs.quote import NO_ANSWER, QUOTE
from clinprompt.tasks.codecs.relations import Link, check_link, gold_links, linked
from clinprompt.tasks.grounding import Grounder, Part
from clinprompt.tasks.task import HEAD, Task

LABEL, WORDS = "label", "words"
"""How a question is worded: the words of its label alone, or a question in full words."""

ANSWER = "answer"
"""The label of the place of an extractive answer."""

LONGEST_HEAD = 80
"""Characters of a mention that a question about it repeats; all of it is marked in the context."""

_READABLE = ("entities", "relations", "quote")


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing that a task asks of a text, in words, with ``{head}`` where those of a mention go.

    ``label`` is the entity label or the relation asked for, ``finds`` the label of the spans that answer and
    ``attributes`` theirs. ``of`` is the label of the mention that a question of the second pass is about, empty in the
    first.
    """

    label: str
    text: str
    finds: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    of: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question put to one text, with what its answers mean; ``head`` is the mention that it is about."""

    ask: Ask
    question: SpanQuestion
    head: Place | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One answer to a question: its characters in the text, and how sure the model is (a logit)."""

    asked: Asked
    place: Fragment
    score: float = 0.0


def can_be_read(task: Task) -> bool:
    """Whether the answers of a task are places in its text: entities, relations and extractive answers."""
    return task.codec in _READABLE


def questions(task: Task, *, wording: str) -> tuple[Ask, ...]:
    """Everything a task asks of a text, the first pass first; ``wording`` is ``label`` or ``words``.

    What is not written under the task's ``questions`` is made from the words of its labels. Where several labels can
    answer one written question, each answers a question of its own, with the words of the label behind it. Raises
    :class:`InputError` for a task that cannot be read.
    """
    if not can_be_read(task):
        raise InputError(
            f"task {task.name!r} cannot be put as reading comprehension: its answers are not places in a text",
            allowed=f"tasks with the codec {', '.join(_READABLE)}",
            fix="use a decoder backbone for this task",
        )
    if wording not in (LABEL, WORDS):
        raise unknown_name("wording", wording, (LABEL, WORDS))
    full = wording == WORDS
    if task.codec == "quote":
        return (Ask(ANSWER, "", ANSWER),)
    if task.codec == "entities":
        return tuple(
            Ask(label, _entity(label, form, task) if full else form, label, attributes)
            for form, (label, attributes) in task.forms().items()
        )
    heads = [label for label in task.labels if label in _ends(task, heads=True)]
    first = [Ask(label, _entity(label, task.words(label), task) if full else task.words(label), label)
             for label in heads]  # fmt: skip
    second = [
        Ask(name, _relation(name, of, finds, task) if full else _named(name, of, finds, task), finds, of=of)
        for name in task.relations
        for of in _end(task, name, head=True)
        for finds in _end(task, name, head=False)
    ]
    return (*first, *second)


def first_pass(example: Example, task: Task, *, wording: str) -> list[Asked]:
    """The questions that need no other answers: all of them, for relations those about the heads."""
    asks = [ask for ask in questions(task, wording=wording) if not ask.of]
    if task.codec == "quote":
        if not example.inputs.get("question"):
            raise InputError("the example has no question", where=f"example {example.id} of task {task.name}")
        asks = [replace(ask, text=example.inputs["question"]) for ask in asks]
    return [Asked(ask, SpanQuestion(ask.label, ask.text, example.note)) for ask in asks]


def second_pass(example: Example, task: Task, heads: Iterable[Place], *, wording: str) -> list[Asked]:
    """One question per head, relation that it may have, and label at the relation's other end; none for no relations.

    A head that is not one stretch cannot be marked and is passed over.
    """
    asks = [ask for ask in questions(task, wording=wording) if ask.of]
    found = []
    for label, fragments in sorted(dict.fromkeys(heads), key=text_order):
        if len(fragments) > 1:
            continue
        [(start, end)] = fragments
        words = _shortened(example.note[start:end])
        for ask in asks:
            if ask.of == label:
                question = SpanQuestion(ask.label, ask.text.replace(HEAD, words), example.note, head=(start, end))
                found.append(Asked(ask, question, (label, fragments)))
    return found


def gold_heads(example: Example, task: Task) -> list[Place]:
    """The annotated mentions that the second pass asks about, in text order; also those that have no relation."""
    labels = _ends(task, heads=True)
    return sorted({span.key for span in example.answer.spans if span.label in labels}, key=text_order)


def training_questions(example: Example, task: Task, *, wording: str) -> list[SpanQuestion]:
    """All questions about an example with their gold answers, the impossible ones among them; of relations with the
    annotated heads.

    Answers that are no single stretch of text, and relations of a mention with itself, are left out
    (:func:`~clinprompt.tasks.formulations.unaskable.unaskable`). Raises :class:`InputError` for an answer outside the
    task's schema.
    """
    asked = first_pass(example, task, wording=wording)
    asked += second_pass(example, task, gold_heads(example, task), wording=wording)
    gold = _gold(example, task)
    return [replace(one.question, answers=tuple(sorted(gold.get(_key(one), ())))) for one in asked]


def assemble(example: Example, task: Task, found: Iterable[Found]) -> tuple[Answer, int]:
    """The answer that the places found make, and how many of them it cannot hold.

    Equal places are one; of two values of an attribute the surer stays. A relation has its head and tail
    as the schema says, whichever was asked for first; one of a mention with itself is left out and counted. Of
    extractive answers the surest is taken, and ``unanswerable`` where there is none.
    """
    if task.codec == "quote":
        return _quoted(example, found), 0
    if task.codec == "relations":
        links = [_link(one, task) for one in found if one.asked.head is not None]
        kept = {link for link in links if _is_plain(link)}
        return linked(kept), sum(not _is_plain(link) for link in links)
    best: dict[Place, Found] = {}
    for one in found:
        place = (one.asked.ask.finds, (one.place,))
        if place not in best or one.score > best[place].score:
            best[place] = one
    return Answer(spans=numbered({place: one.asked.ask.attributes for place, one in best.items()})), 0


def heads_found(found: Iterable[Found]) -> list[Place]:
    """The mentions that the second pass asks about, from the answers to the first."""
    return [(one.asked.ask.finds, (one.place,)) for one in found]


def asks_twice(task: Task) -> bool:
    """Whether a task has a second pass."""
    return task.codec == "relations"


_Key = tuple[str, str, tuple[tuple[str, str], ...], Place | None]


def _key(asked: Asked) -> _Key:
    ask = asked.ask
    return (ask.label, ask.finds, tuple(sorted(ask.attributes.items())), asked.head)


def _gold(example: Example, task: Task) -> dict[_Key, set[Fragment]]:
    """The answers to each question."""
    found: dict[_Key, set[Fragment]] = {}
    if task.codec == "quote":
        return {(ANSWER, ANSWER, (), None): quoted_places(example, task)}
    if task.codec == "relations":
        for name, (label, fragments) in ((span.label, span.key) for span in example.answer.spans):
            if len(fragments) == 1:
                found.setdefault((name, label, (), None), set()).add(fragments[0])
        for link in gold_links(example.answer):
            check_link(link, example, task)
            name, head, tail = link
            head, tail = (tail, head) if _from_tail(task) else (head, tail)
            if _is_plain(link):
                found.setdefault((name, tail[0], (), head), set()).add(tail[1][0])
        return found
    forms = task.forms()
    for span in {span.key: span for span in reversed(example.answer.spans)}.values():
        label, attributes = forms[form_of(span, forms, example, task)]
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


def _link(found: Found, task: Task) -> Link:
    head, tail = found.asked.head, (found.asked.ask.finds, (found.place,))
    assert head is not None
    return (found.asked.ask.label, tail, head) if _from_tail(task) else (found.asked.ask.label, head, tail)


def _is_plain(link: Link) -> bool:
    """Whether two different mentions, each one stretch of text, stand at the ends."""
    _, head, tail = link
    return head != tail and len(head[1]) == len(tail[1]) == 1


def _from_tail(task: Task) -> bool:
    """Whether the mentions asked about are the relations' tails: the end of fewer labels, as the drug among details."""
    heads = {label for ends in task.relations.values() for label in ends.head}
    return len({label for ends in task.relations.values() for label in ends.tail}) < len(heads)


def _end(task: Task, name: str, *, head: bool) -> tuple[str, ...]:
    """The labels at the end of a relation that is asked about, or at its other one."""
    ends = task.relations[name]
    return ends.tail if head == _from_tail(task) else ends.head


def _ends(task: Task, *, heads: bool) -> set[str]:
    return {label for name in task.relations for label in _end(task, name, head=heads)}


def _entity(label: str, form: str, task: Task) -> str:
    if label not in task.questions or label in task.relations:  # of a shared name the question is the relation's
        return f"Find all mentions of {form} in the text."
    return task.questions[label] + ("" if form == task.words(label) else f" ({form})")


def _relation(name: str, of: str, finds: str, task: Task) -> str:
    words = task.words(finds)
    if name not in task.questions:
        return f'Find every {words} in the relation "{task.words(name)}" with the {task.words(of)} {HEAD}.'
    return task.questions[name] + (f" ({words})" if len(_end(task, name, head=False)) > 1 else "")


def _named(name: str, of: str, finds: str, task: Task) -> str:
    """The words of a relation and, where there are several, of the labels at its ends."""
    answers = f", {task.words(finds)}" if len(_end(task, name, head=False)) > 1 else ""
    about = f"{task.words(of)} " if len(_end(task, name, head=True)) > 1 else ""
    return f"{task.words(name)}{answers}: {about}{HEAD}"


def _shortened(words: str) -> str:
    """A mention in one line, cut after a word where it is long."""
    line = " ".join(words.split())
    return line if len(line) <= LONGEST_HEAD else line[:LONGEST_HEAD].rpartition(" ")[0] or line[:LONGEST_HEAD]
