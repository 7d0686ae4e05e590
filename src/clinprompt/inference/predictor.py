"""Backbone, prompts and tasks together: examples in, predictions with provenance out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from clinprompt.backbones.protocol import Generation, Placement, RawAnswer, Row
from clinprompt.backbones.tokenizing import TokenizerBackbone
from clinprompt.errors import InputError
from clinprompt.inference.constraint import Constraint, Grammars
from clinprompt.inference.engines.engine import Engine
from clinprompt.inference.engines.local import LocalEngine, Request
from clinprompt.inference.scores import scored, shares
from clinprompt.schema.example import Example
from clinprompt.schema.formulated import Piece
from clinprompt.schema.prediction import Prediction
from clinprompt.tasks.formulations.generative import answer_form, formulate, possible_answers, read_back
from clinprompt.tasks.task import Task
from clinprompt.tasks.template import Template

CONSTRAINED, CHECKED, FREE_TEXT = "constrained", "checked", "free text"
"""How an answer was grounded: while it was written, only afterwards, or not at all, because any text may be right."""


@dataclass(frozen=True, slots=True)
class Question:
    """One example of one task with the prompt that shall answer it (``None``: the task's words alone).

    ``prompt_name`` is the prompt's name with its version, by which an engine elsewhere knows it.
    For encoders also the prompt's scorers, tensors by name, and how questions are worded. ``shown`` are examples with
    their answers that stand before the note; encoders cannot see them.
    """

    example: Example
    task: Task
    vectors: Tensor | None = None
    placement: Placement = Placement.suffix
    prompt_name: str = ""
    heads: Mapping[str, Tensor] | None = None
    wording: str = "label"
    shown: tuple[Example, ...] = ()


class Predictor:
    """Answers questions of any mix of tasks and prompts on one state of a backbone's weights.

    With ``choices`` a task with a closed list of answers gets the likeliest of them instead of a written text. With
    ``grammars`` an answer is written within its codec's form: words of the note, labels of the task, in the form that
    is read. Either way the same codec reads the answer and checks it against the note. ``check`` is called before each
    question is put into tokens, and what it raises ends the work, of which long notes need much before any answer.
    """

    def __init__(
        self,
        backbone: TokenizerBackbone,
        template: Template,
        *,
        generation: Generation | None = None,
        choices: bool = False,
        grammars: Grammars | None = None,
        engine: Engine | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.backbone, self.template, self.check = backbone, template, check
        self.choices, self.grammars = choices, grammars
        self.joint = grammars.joint(backbone, template.joint) if grammars else template.joint
        self.generation = generation or Generation()
        self.engine: Engine = engine or LocalEngine(backbone)

    def predict(
        self, questions: Sequence[Question], *, watch: Callable[[int], None] = lambda rows: None
    ) -> list[Prediction]:
        """Predictions in the order of the questions; each is independent of the others.

        Raises :class:`InputError` for an example that does not fit the backbone's context.
        """
        chosen = self.likeliest(questions, watch=watch) if self.choices else [None] * len(questions)
        free = [question for question, found in zip(questions, chosen, strict=True) if found is None]
        answers = iter(self.engine.answers([self.request(one) for one in free], self.generation, watch=watch))
        return [
            self._read(question, next(answers)) if found is None else found
            for question, found in zip(questions, chosen, strict=True)
        ]

    def fits(self, question: Question) -> bool:
        """Whether the backbone's context has room for the question, its prompt and the longest answer."""
        try:
            self._encode(question)
        except InputError:
            return False
        return True

    def likelihoods(self, questions: Sequence[Question], answers: Sequence[Sequence[str]]) -> list[list[float]]:
        """Log-probability in nats of answer texts to each question, each with its end token."""
        return self.engine.likelihoods([self.request(question) for question in questions], answers)

    def possible(self, question: Question) -> tuple[str, ...] | None:
        """The answer texts among which to choose; ``None`` where there is no closed list of them."""
        return possible_answers(question.example, question.task, self.template)

    def sureness(self, questions: Sequence[Question], given: Sequence[Prediction]) -> list[float]:
        """Mean log-probability in nats of the tokens of written answers, each with its end token."""
        values = self.likelihoods(questions, [[one.raw] for one in given])
        lengths = [len(self.backbone.tokens(Piece(one.raw))) + 1 for one in given]
        return [value / length for [value], length in zip(values, lengths, strict=True)]

    def chosen(self, question: Question, text: str, score: float | None = None) -> Prediction:
        """The prediction that one of a question's possible answers stands for, chosen by likelihood.

        ``score`` is the share of the likelihood that it was chosen for.
        """
        raw = RawAnswer(text, len(self.backbone.tokens(Piece(text))), truncated=False, constrained=True)
        return replace(self._read(question, raw, chosen=True), score=score)

    def likeliest(
        self, questions: Sequence[Question], *, watch: Callable[[int], None] = lambda rows: None
    ) -> list[Prediction | None]:
        """The likeliest of the possible answers to each question; ``None`` where there is no closed list of them."""
        listed = [self.possible(question) for question in questions]
        closed = [i for i, texts in enumerate(listed) if texts]
        texts = [listed[i] or () for i in closed]
        values = self.likelihoods([questions[i] for i in closed], texts)
        found: list[Prediction | None] = [None] * len(questions)
        for i, possible, likely in zip(closed, texts, values, strict=True):
            best = max(range(len(possible)), key=likely.__getitem__)
            found[i] = self.chosen(questions[i], possible[best], shares(likely)[best])
        watch(len(closed))
        return found

    def _read(self, question: Question, answer: RawAnswer, *, chosen: bool = False) -> Prediction:
        read = read_back(answer.text, question.example, question.task)
        report = replace(read.report, truncated=int(answer.truncated))
        provenance = self._provenance(question, answer, chosen=chosen)
        told = replace(read, report=report, raw=answer.text, provenance=provenance)
        return scored(told, answer, self.backbone.text)

    def request(self, question: Question) -> Request:
        """The row that asks a question, with its prompt and what the answer may be."""
        row = self._encode(question)
        constraint = lambda: self._constraint(question)  # noqa: E731
        return Request(row, question.vectors, question.placement, constraint, question.prompt_name)

    def _encode(self, question: Question) -> Row:
        self.check()
        pair = formulate(question.example, question.task, self.template, with_answer=False, shown=question.shown)
        length = 0 if question.vectors is None else question.vectors.shape[-2]
        return self.backbone.encode(pair, name=question.example.id, reserve=length + self.generation.tokens)

    def _constraint(self, question: Question) -> Constraint | None:
        form = answer_form(question.example, question.task) if self.grammars else None
        return self.grammars.constraint(form, self.joint) if self.grammars and form else None

    def _provenance(self, question: Question, answer: RawAnswer, *, chosen: bool) -> dict[str, str]:
        manner = "greedy" if self.generation.beams == 1 else f"{self.generation.beams} beams"
        if (heat := self.generation.temperature) > 0.0:
            manner = f"drawn at temperature {heat:g}, top_p {self.generation.top_p:g}, seed {self.generation.seed}"
        return {
            "task": question.task.name,
            "prompt": question.prompt_name,
            "backbone": self.backbone.fingerprint,
            **self.backbone.computing,
            "grounding": self._grounding(question, answer),
            "decoding": "likeliest choice" if chosen else f"{manner}, at most {self.generation.tokens} tokens",
        }

    def _grounding(self, question: Question, answer: RawAnswer) -> str:
        if answer.constrained:
            return CONSTRAINED
        return FREE_TEXT if answer_form(question.example, question.task) is None else CHECKED
