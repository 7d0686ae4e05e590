"""An engine that counts what it reads and writes for one request."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clinprompt.backbones.protocol import Generation, RawAnswer
from clinprompt.inference.engines.engine import Engine
from clinprompt.inference.engines.local import Request


class Metered:
    """Passes everything on to an engine; ``read`` and ``written`` count tokens, soft prompts not among them."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.read, self.written = engine, 0, 0

    def answers(
        self, requests: Sequence[Request], generation: Generation, *, watch: Callable[[int], None] = lambda rows: None
    ) -> list[RawAnswer]:
        """The engine's answers."""
        self.read += sum(map(question_tokens, requests))
        found = self.engine.answers(requests, generation, watch=watch)
        self.written += sum(answer.tokens for answer in found)
        return found

    def likelihoods(self, requests: Sequence[Request], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        """The engine's likelihoods; possible answers count as read."""
        self.read += sum(map(question_tokens, requests))
        return self.engine.likelihoods(requests, choices)


def question_tokens(request: Request) -> int:
    """Tokens of a question: note, the task's words, the cue."""
    return len(request.row.context) + len(request.row.cue)
