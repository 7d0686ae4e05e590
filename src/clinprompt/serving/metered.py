"""An engine that counts what it reads and writes for one request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from clinprompt.backbones.protocol import Generation, RawAnswer
from clinprompt.inference.engines.engine import Engine
from clinprompt.inference.engines.local import Request


class Metered:
    """Passes everything on to an engine; ``read`` and ``written`` count tokens by prompt.

    The vectors of soft prompts are not among them.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.read: Counter[str] = Counter()
        self.written: Counter[str] = Counter()

    def answers(
        self, requests: Sequence[Request], generation: Generation, *, watch: Callable[[int], None] = lambda rows: None
    ) -> list[RawAnswer]:
        """The engine's answers."""
        self._count(requests)
        found = self.engine.answers(requests, generation, watch=watch)
        for request, answer in zip(requests, found, strict=True):
            self.written[request.prompt] += answer.tokens
        return found

    def likelihoods(self, requests: Sequence[Request], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        """The engine's likelihoods; possible answers count as read."""
        self._count(requests)
        return self.engine.likelihoods(requests, choices)

    def _count(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self.read[request.prompt] += question_tokens(request)


def question_tokens(request: Request) -> int:
    """Tokens of a question: note, the task's words, the cue."""
    return len(request.row.context) + len(request.row.cue)
