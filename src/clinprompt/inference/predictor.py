"""Backbone, prompts and tasks together: examples in, predictions with provenance out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.protocol import Generation, Placement, RawAnswer, Row
from clinprompt.errors import InputError
from clinprompt.inference.engines.local import LocalEngine, Request
from clinprompt.schema.example import Example
from clinprompt.schema.formulated import Piece, TextPair
from clinprompt.schema.prediction import Prediction
from clinprompt.tasks.formulations.generative import formulate, possible_answers, read_back
from clinprompt.tasks.task import Task
from clinprompt.tasks.template import Template


@dataclass(frozen=True, slots=True)
class Question:
    """One example of one task with the prompt that shall answer it (``None``: the task's words alone)."""

    example: Example
    task: Task
    vectors: Tensor | None = None
    placement: Placement = Placement.suffix
    prompt_name: str = ""


class Predictor:
    """Answers questions of any mix of tasks and prompts on one state of a backbone's weights.

    With ``choices`` a task with a closed list of answers gets the likeliest of them instead of a text written freely:
    its answers can always be read.
    """

    def __init__(
        self,
        backbone: CausalBackbone,
        template: Template,
        *,
        generation: Generation | None = None,
        choices: bool = False,
        engine: LocalEngine | None = None,
    ) -> None:
        self.backbone, self.template, self.choices = backbone, template, choices
        self.generation = generation or Generation()
        self.engine = engine or LocalEngine(backbone)

    def predict(
        self, questions: Sequence[Question], *, watch: Callable[[int], None] = lambda rows: None
    ) -> list[Prediction]:
        """Predictions in the order of the questions; each is independent of the others.

        Raises :class:`InputError` for an example that does not fit the backbone's context.
        """
        requests = [self._request(question) for question in questions]
        listed = [
            possible_answers(question.example, question.task, self.template) if self.choices else None
            for question in questions
        ]
        closed = [i for i, texts in enumerate(listed) if texts]
        free = [i for i, texts in enumerate(listed) if not texts]
        answers: dict[int, RawAnswer] = {}
        written = self.engine.answers([requests[i] for i in free], self.generation, watch=watch)
        answers |= dict(zip(free, written, strict=True))
        answers |= dict(zip(closed, self._likeliest(closed, requests, listed, watch), strict=True))
        predictions = []
        for i, question in enumerate(questions):
            read = read_back(answers[i].text, question.example, question.task)
            report = replace(read.report, truncated=int(answers[i].truncated))
            provenance = self._provenance(question, chosen=bool(listed[i]))
            predictions.append(replace(read, report=report, raw=answers[i].text, provenance=provenance))
        return predictions

    def fits(self, question: Question) -> bool:
        """Whether the backbone's context has room for the question, its prompt and the longest answer."""
        pair = formulate(question.example, question.task, self.template, with_answer=False)
        try:
            self._encode(question, pair)
        except InputError:
            return False
        return True

    def likelihoods(self, questions: Sequence[Question], answers: Sequence[Sequence[str]]) -> list[list[float]]:
        """Log-probability in nats of answer texts to each question, each with its end token."""
        return self.engine.likelihoods([self._request(question) for question in questions], answers)

    def chosen(self, question: Question, text: str) -> Prediction:
        """The prediction that one of a question's possible answers stands for, chosen by likelihood."""
        read = read_back(text, question.example, question.task)
        return replace(read, raw=text, provenance=self._provenance(question, chosen=True))

    def _likeliest(
        self,
        closed: Sequence[int],
        requests: Sequence[Request],
        listed: Sequence[Sequence[str] | None],
        watch: Callable[[int], None],
    ) -> list[RawAnswer]:
        """The likeliest of its possible answers for each of these questions."""
        texts = [listed[i] or () for i in closed]
        found = []
        for one, values in zip(texts, self.engine.likelihoods([requests[i] for i in closed], texts), strict=True):
            text = one[max(range(len(one)), key=values.__getitem__)]
            found.append(RawAnswer(text, len(self.backbone.tokens(Piece(text))), truncated=False))
        watch(len(closed))
        return found

    def _request(self, question: Question) -> Request:
        pair = formulate(question.example, question.task, self.template, with_answer=False)
        return Request(self._encode(question, pair), question.vectors, question.placement)

    def _encode(self, question: Question, pair: TextPair) -> Row:
        length = 0 if question.vectors is None else question.vectors.shape[0]
        return self.backbone.encode(pair, name=question.example.id, reserve=length + self.generation.tokens)

    def _provenance(self, question: Question, *, chosen: bool) -> dict[str, str]:
        manner = "greedy" if self.generation.beams == 1 else f"{self.generation.beams} beams"
        return {
            "task": question.task.name,
            "prompt": question.prompt_name,
            "backbone": self.backbone.fingerprint,
            "engine": "local",
            "dtype": str(self.backbone.embeddings.dtype).removeprefix("torch."),
            "decoding": "likeliest choice" if chosen else f"{manner}, at most {self.generation.tokens} tokens",
        }
