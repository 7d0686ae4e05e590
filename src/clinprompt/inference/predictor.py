"""Backbone, prompts and tasks together: examples in, predictions with provenance out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.protocol import Limits, Placement
from clinprompt.inference.engines.local import Request, answer_all
from clinprompt.schema.example import Example
from clinprompt.schema.prediction import Prediction
from clinprompt.tasks.formulations.generative import formulate, read_back
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
    """Answers questions of any mix of tasks and prompts on one frozen backbone."""

    def __init__(
        self,
        backbone: CausalBackbone,
        template: Template,
        *,
        limits: Limits | None = None,
        tokens_per_batch: int = 8192,
    ) -> None:
        self.backbone, self.template = backbone, template
        self.limits, self.tokens_per_batch = limits or Limits(), tokens_per_batch

    def predict(
        self, questions: Sequence[Question], *, watch: Callable[[int], None] = lambda rows: None
    ) -> list[Prediction]:
        """Predictions in the order of the questions; each is independent of the others.

        Raises :class:`InputError` for an example that does not fit the backbone's context.
        """
        answers = answer_all(
            self.backbone,
            [self._request(question) for question in questions],
            self.limits,
            tokens_per_batch=self.tokens_per_batch,
            watch=watch,
        )
        predictions = []
        for question, answer in zip(questions, answers, strict=True):
            read = read_back(answer.text, question.example, question.task)
            report = replace(read.report, truncated=int(answer.truncated))
            predictions.append(replace(read, report=report, raw=answer.text, provenance=self._provenance(question)))
        return predictions

    def _request(self, question: Question) -> Request:
        pair = formulate(question.example, question.task, self.template, with_answer=False)
        length = 0 if question.vectors is None else question.vectors.shape[0]
        row = self.backbone.encode(pair, name=question.example.id, reserve=length + self.limits.tokens)
        return Request(row, question.vectors, question.placement)

    def _provenance(self, question: Question) -> dict[str, str]:
        return {
            "task": question.task.name,
            "prompt": question.prompt_name,
            "backbone": self.backbone.fingerprint,
            "engine": "local",
            "dtype": str(self.backbone.embeddings.dtype).removeprefix("torch."),
            "decoding": f"greedy, at most {self.limits.tokens} tokens",
        }
