"""The tasks of one request found in its notes: questions, windows, answers, findings."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event

from clinprompt import __version__
from clinprompt.data.mentions import span_number
from clinprompt.inference.engines.ticket import Terms
from clinprompt.inference.long_notes import LongNotes, Plan
from clinprompt.inference.predictor import Predictor
from clinprompt.schema.document import Document, Span
from clinprompt.schema.example import SPAN_KINDS, Answer
from clinprompt.schema.formulated import Piece
from clinprompt.schema.prediction import DecodeReport, Prediction
from clinprompt.serving.asked import example_of
from clinprompt.serving.findings import (
    Extraction,
    Faults,
    FoundLabel,
    FoundRelation,
    FoundSpan,
    FoundText,
    Inputs,
    Note,
    NoteFindings,
    TaskFindings,
    Usage,
)
from clinprompt.serving.metered import Metered
from clinprompt.serving.refused import Refused
from clinprompt.serving.served import Served
from clinprompt.serving.server import Server
from clinprompt.serving.shared_reader import RequestReader
from clinprompt.stages.adapted import answering
from clinprompt.stages.mention_answers import mention_questions
from clinprompt.stages.reading import planned_as_trained, reader


@dataclass(frozen=True, slots=True)
class Asked:
    """A task of a request: as it was named, the prompt that answers it, and the texts of its other inputs."""

    name: str
    served: Served
    inputs: Inputs = field(default_factory=dict)


def check_asked(asked: Sequence[Asked]) -> None:
    """Raise :class:`Refused` for a task about mentions without a task that finds such mentions."""
    found = {label for one in asked if one.served.task.kind in SPAN_KINDS for label in one.served.task.labels}
    for one in asked:
        about = one.served.task.about
        if about and not found & set(about.of):
            raise Refused(
                400, "missing_mentions",
                f"{one.name} asks about mentions of {', '.join(about.of)}: add a task that finds them", param="tasks",
            )  # fmt: skip


def extract(server: Server, notes: Sequence[Note], asked: Sequence[Asked], *, cancelled: Event) -> Extraction:
    """What the tasks find in the notes; waits for the engine.

    Raises :class:`InputError` for a note without room, and what the engine raises for a request that is given up.
    """
    return _Extracting(server, cancelled).run(notes, asked)


class _Extracting:
    """One request: its engine, its count of tokens, and one reader of notes for each template."""

    def __init__(self, server: Server, cancelled: Event) -> None:
        self.server, self.settings, self.cancelled = server, server.settings, cancelled
        self.until = time.monotonic() + self.settings.limits.seconds
        self.meter: Metered | None = None
        if server.engine is not None:
            self.meter = Metered(server.engine.session(deadline=self.until, cancelled=cancelled))
        self.readers: dict[str, LongNotes] = {}
        self.read: Counter[str] = Counter()

    def run(self, notes: Sequence[Note], asked: Sequence[Asked]) -> Extraction:
        plans: dict[tuple[int, int], Plan] = {}
        for i, note in enumerate(notes):
            for j, one in enumerate(asked):
                if note.text.strip() and not one.served.task.about:
                    plans[i, j] = self._plan(note, one)
        found: dict[tuple[int, int], Prediction] = {}
        for template in dict.fromkeys(one.served.opened.template.hash for one in asked):
            mine = [key for key in plans if asked[key[1]].served.opened.template.hash == template]
            if mine:
                answers = self.readers[template].answers([plans[key] for key in mine])
                found |= zip(mine, answers, strict=True)
        results = []
        for i, note in enumerate(notes):
            tasks = {
                j: findings(
                    one, note.text, found.get((i, j)), windows=len(plans[i, j].places) if (i, j) in plans else 0
                )
                for j, one in enumerate(asked)
                if not one.served.task.about
            }
            for j, one in enumerate(asked):
                if one.served.task.about:
                    tasks[j] = self._about(note, one, list(tasks.values()))
            ordered = [tasks[j] for j in range(len(asked))]
            results.append(NoteFindings(id=note.id, characters=len(note.text), tasks=ordered))
        read = self.meter.read if self.meter else self.read
        written = self.meter.written if self.meter else Counter[str]()
        for prompt in read | written:
            self.server.metrics.tokens(prompt, read=read[prompt], written=written[prompt])
        return Extraction(
            results=results, usage=Usage(prompt_tokens=read.total(), completion_tokens=written.total())
        )  # fmt: skip

    def _reader(self, served: Served) -> LongNotes:
        template = served.opened.template.hash
        if template not in self.readers:
            predictor: Predictor | RequestReader
            if self.server.reader is not None:
                predictor = self.server.reader.for_request(Terms(self.until, self.cancelled))
            else:
                predictor = served.opened.predictor(
                    self.settings.decoding, tokens=self.settings.answer_tokens, engine=self.meter
                )
            self.readers[template] = reader(predictor, self.settings.long_notes)
        return self.readers[template]

    def _plan(self, note: Note, one: Asked) -> Plan:
        served, notes = one.served, self._reader(one.served)
        example = example_of(served, note.id, note.text, one.inputs, param=f"questions.{one.name}")
        question = answering(served.prompt).question(
            example, served.task, served.opened.template, name=served.reference
        )
        plan = planned_as_trained(
            notes, question, self.settings.long_notes, window=self.settings.window, extent=served.prompt.card.extent
        )
        if self.meter is None:  # a reader's tokens: the windows' text
            texts = (note.text[slice(*place)] for place in plan.places)
            self.read[served.reference] += sum(len(notes.predictor.backbone.tokens(Piece(text))) for text in texts)
        return plan

    def _about(self, note: Note, one: Asked, tasks: Sequence[TaskFindings]) -> TaskFindings:
        """Ask about the mentions that tasks have found; what is said becomes an attribute of theirs."""
        about = one.served.task.about
        assert about is not None
        places: dict[tuple[str, tuple[tuple[int, int], ...]], list[FoundSpan]] = {}
        for task in tasks:
            for span in task.spans:
                places.setdefault((span.label, tuple(span.fragments)), []).append(span)
        spans = tuple(Span(label, fragments, id=f"T{n}") for n, (label, fragments) in enumerate(places, 1))
        document = Document(note.id, note.text, spans)
        questions, _ = mention_questions(
            [document], [(one.served.prompt, one.served.task)], window=self.settings.window
        )
        predictor = self._reader(one.served).predictor
        answers = predictor.predict(questions) if questions else []
        said: list[FoundSpan] = []
        for question, answer in zip(questions, answers, strict=True):
            label = answer.answer.label
            span = spans[span_number(question.example)]
            own = FoundSpan(
                id=f"T{len(said) + 1}", label=span.label, fragments=list(span.fragments),
                text=span.surface(note.text), attributes={} if label is None else {about.attribute: label},
                ambiguous=False, score=rounded(answer.score),
            )  # fmt: skip
            said.append(own)
            if label is not None:
                for mention in places[span.key]:
                    mention.attributes[about.attribute] = label
        report = sum((answer.report for answer in answers), DecodeReport())
        last = answers[-1].provenance if answers else {}
        return TaskFindings(
            task=one.name, prompt=one.served.reference, kind=one.served.task.kind.value, spans=said, relations=[],
            answer=None, score=None, report=faults(report), windows=len({q.example.offset for q in questions}),
            provenance=provenance(one.served, last),
        )  # fmt: skip


def findings(one: Asked, note: str, prediction: Prediction | None, *, windows: int) -> TaskFindings:
    """A prediction about a note as it is told; ``None``: the note is blank and was not asked about."""
    found = prediction or Prediction("", Answer())
    answer = found.answer
    names = {span.id: f"T{n}" for n, span in enumerate(answer.spans, 1)}
    spans = [
        FoundSpan(
            id=names[span.id], label=span.label, fragments=list(span.fragments), text=span.surface(note),
            attributes=dict(span.attributes), ambiguous=span.id in found.ambiguous,
            score=rounded(found.scores.get(span.id)),
        )
        for span in answer.spans
    ]  # fmt: skip
    relations = [
        FoundRelation(id=f"R{n}", label=link.label, head=names[link.head], tail=names[link.tail],
                      score=rounded(found.scores.get(link.id)))
        for n, link in enumerate(answer.relations, 1)
    ]  # fmt: skip
    told: FoundText | FoundLabel | None = None
    if answer.label is not None:
        told = FoundLabel(label=answer.label)
    elif answer.text is not None:
        told = FoundText(text=answer.text)
    return TaskFindings(
        task=one.name, prompt=one.served.reference, kind=one.served.task.kind.value, spans=spans, relations=relations,
        answer=told, score=rounded(found.score), report=faults(found.report), windows=windows,
        provenance=provenance(one.served, found.provenance),
    )  # fmt: skip


def provenance(served: Served, told: Mapping[str, str]) -> dict[str, str]:
    """What made an answer: that of the prediction, and the prompt's file and method."""
    card = served.prompt.card
    return {**told, "sha256": served.banked.sha256, "method": card.method, "clinprompt": __version__}


def faults(report: DecodeReport) -> Faults:
    """The counts of a report."""
    return Faults(
        items=report.items, unreadable=report.unreadable, unlocated=report.unlocated, ambiguous=report.ambiguous,
        truncated=report.truncated, repeated=report.repeated,
    )  # fmt: skip


def rounded(score: float | None) -> float | None:
    """A score in four digits: more are noise of the last bits, which depend on the neighbours in a batch."""
    return None if score is None else round(score, 4)
