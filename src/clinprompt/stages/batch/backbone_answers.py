"""Notes answered by a backbone in this process: every note in windows, every prompt's task, one answer each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict

from clinprompt.errors import InputError
from clinprompt.inference.coverage import coverage
from clinprompt.inference.long_notes import Plan
from clinprompt.prompts.fit import check_template
from clinprompt.prompts.prompt_file import SoftPrompt
from clinprompt.schema.document import Document
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.prediction import DecodeReport, Prediction
from clinprompt.stages.adapted import answering, open_prompt, prompt_applied
from clinprompt.stages.batch.asked import RunError, on_given_mentions, task_of
from clinprompt.stages.batch.note_answer import NoteAnswer
from clinprompt.stages.batch.notes import Item
from clinprompt.stages.configs import PredictSettings
from clinprompt.stages.gathered import gathered, marked, with_sections, written_answers
from clinprompt.stages.mention_answers import attributed
from clinprompt.stages.opened import Opened
from clinprompt.stages.opened_engine import open_engine
from clinprompt.stages.reading import planned_as_trained, reader
from clinprompt.tasks.task import Task

_NOTES = (400, 413, 422, 500)
"""Statuses with which another engine says that it will not take a row; all others are about the engine itself."""


class BackboneAnswers:
    """A backbone with its prompts; refuses prompts of another backbone and prompts that have gone silent.

    An encoder has the weights that were trained with its one prompt, until it is closed.
    """

    def __init__(self, settings: PredictSettings, *, opened: Opened | None = None) -> None:
        opened = opened or open_engine(settings.engine, settings.backbone)
        with ExitStack() as weights:
            if len(settings.prompts) == 1:
                prompts = [weights.enter_context(prompt_applied(settings.prompts[0], opened))]
            else:
                prompts = [open_prompt(path, opened) for path in settings.prompts]
            self._take(settings, opened, prompts)
            self.close = weights.pop_all().close

    def _take(self, settings: PredictSettings, opened: Opened, prompts: Sequence[SoftPrompt]) -> None:
        opened.check_decoding(settings.decoding, tokens="answer_tokens" in settings.model_fields_set)
        opened = opened.templated(prompts[0].card.template)
        for prompt, path in zip(prompts, settings.prompts, strict=True):
            check_template(prompt.card, opened.template.name, opened.template.hash, where=str(path))
        tasks = [task_of(prompt.card, path) for prompt, path in zip(prompts, settings.prompts, strict=True)]
        self.settings, self.template = settings, opened.template
        self.predictor = opened.predictor(settings.decoding, tokens=settings.answer_tokens)
        self.notes = reader(self.predictor, settings.long_notes)
        self.unconstrained, self.remarks = opened.unconstrained(settings.decoding), opened.remarks(settings.decoding)
        self.cards = [prompt.card for prompt in prompts]
        self.kinds = {task.name: task.kind for task in tasks}
        pairs = list(zip(prompts, tasks, strict=True))
        self.direct = [pair for pair in pairs if not pair[1].about]
        self.about = [pair for pair in pairs if pair[1].about]  # asked when the mentions are known
        self.on_given = on_given_mentions(tasks)

    def answers(self, items: Sequence[Item], *, watch: Callable[[float], None]) -> list[NoteAnswer | InputError]:
        """An answer per note, or why it has no room in the backbone's context."""
        planned = [self._planned(item) for item in items]
        asked = [plan for plans in planned if not isinstance(plans, InputError) for plan in plans]
        windows = sum(len(plan.places) for plan in asked)
        found = iter(self._asked(asked, lambda rows: watch(rows / windows)))
        said = [[next(found) for _ in plans] if not isinstance(plans, InputError) else [] for plans in planned]
        sound = [place for place, plans in enumerate(planned) if not isinstance(plans, InputError)]
        given = {place: self._given(planned[place], said[place]) for place in sound}  # type: ignore[arg-type]
        with self._engine_blamed():
            documents, about = attributed(
                [self._document(items[place], given[place]) for place in sound],
                self.about,
                self.predictor,
                window=self.settings.window,
            )
        made: list[NoteAnswer | InputError] = [plans if isinstance(plans, InputError) else None for plans in planned]  # type: ignore[misc]
        for place, document, more in zip(sound, documents, about, strict=True):
            made[place] = self._answer(document, planned[place], said[place], more, given[place])  # type: ignore[arg-type]
        return made

    def _asked(self, plans: Sequence[Plan], watch: Callable[[int], None]) -> list[Prediction]:
        with self._engine_blamed():
            return self.notes.answers(plans, watch=watch)

    @contextmanager
    def _engine_blamed(self) -> Iterator[None]:
        """When the engine is another program that is gone or says no, no note is to blame."""
        try:
            yield
        except InputError as fault:
            if self.settings.engine.kind == "local" or getattr(fault, "status", None) in _NOTES:
                raise
            raise RunError(fault.what, where=fault.where, allowed=fault.allowed, fix=fault.fix) from None

    def _planned(self, item: Item) -> list[Plan] | InputError:
        """The question of each task; none about a note without a word."""
        if isinstance(item, Document) and not item.text.strip():
            return []
        try:
            return [self._plan(item, prompt, task) for prompt, task in self.direct]
        except InputError as fault:
            return fault

    def _plan(self, item: Item, prompt: SoftPrompt, task: Task) -> Plan:
        """One task about one note."""
        example = item
        if isinstance(item, Document):
            example = Example(item.id, {"note": item.text}, Answer(), item.group, document=item.id)
        question = answering(prompt).question(example, task, self.template, name=prompt.card.full_name)
        settings = self.settings
        return planned_as_trained(
            self.notes, question, settings.long_notes, window=settings.window, extent=prompt.card.extent
        )

    def _given(self, plans: Sequence[Plan], said: Sequence[Prediction]) -> dict[str, Answer]:
        mark = self.settings.mark_ambiguous
        return {
            plan.question.task.name: marked(one) if mark else one.answer for plan, one in zip(plans, said, strict=True)
        }

    def _document(self, item: Item, given: dict[str, Answer]) -> Document:
        return item if self.on_given and isinstance(item, Document) else gathered(item, given, self.kinds)

    def _answer(
        self,
        document: Document,
        plans: Sequence[Plan],
        said: Sequence[Prediction],
        about: Sequence[Prediction],
        given: dict[str, Answer],
    ) -> NoteAnswer:
        if self.settings.mark_sections:
            document = with_sections(document, self.notes.rules)
        answers = written_answers(given, self.kinds)
        unplaced = written_answers(given, self.kinds, placed=False)
        everything = [*said, *about]
        return NoteAnswer(
            characters=len(document.text),
            spans=document.spans,
            relations=document.relations,
            answers=answers,
            placed=tuple(name for name in answers if name not in unplaced),
            ledger=tuple(asdict(coverage(plan, one)) for plan, one in zip(plans, said, strict=True)),
            decoding=sum((one.report for one in everything), DecodeReport()),
            grounding=Counter(one.provenance["grounding"] for one in everything),
            provenance=dict(everything[0].provenance) if everything else {},
        )
