"""Work for the thread that owns the network, between two of its steps."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import torch

from clinprompt.inference.engines.ticket import Terms


class Call:
    """A function to run there; ``future`` ends with what it returns or raises."""

    def __init__(self, work: Callable[[], Any], terms: Terms) -> None:
        self.work, self.terms = work, terms
        self.future: Future[Any] = Future()

    def run(self) -> None:
        """Do it, unless it is not wanted any more."""
        if (reason := self.terms.broken()) is not None:
            self.future.set_exception(reason)
            return
        try:
            self.future.set_result(self.work())
        except BaseException as error:
            self.future.set_exception(error)
            if isinstance(error, torch.AcceleratorError) or not isinstance(error, Exception):
                raise
