"""What prediction asks of an engine, wherever it runs the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from clinprompt.backbones.protocol import Generation, RawAnswer
from clinprompt.inference.engines.local import Request


class Engine(Protocol):
    """Answers requests of any mix of tasks and prompts, each the same whatever the others are."""

    def answers(
        self,
        requests: Sequence[Request],
        generation: Generation,
        *,
        watch: Callable[[int], None] = lambda rows: None,
    ) -> list[RawAnswer]:
        """The requests' answers in their order; ``watch`` hears of progress."""
        ...

    def likelihoods(self, requests: Sequence[Request], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        """Log-probability in nats of each request's possible answers, each with its end token."""
        ...
