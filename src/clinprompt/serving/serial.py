"""A stand-in for the live engine: one request after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from clinprompt.backbones.protocol import Generation, RawAnswer
from clinprompt.inference.engines.local import LocalEngine, Request


@dataclass(frozen=True)
class Written:
    text: str
    tokens: int
    chance: float
    best: tuple = ()


class Ticket:
    def __init__(self, future: Future) -> None:
        self.future = future

    def result(self, timeout: float | None = None) -> RawAnswer:
        return self.future.result(timeout)

    def cancel(self) -> None:
        self.future.cancel()

    @property
    def done(self) -> bool:
        return self.future.done()


class SerialEngine:
    running = waiting = 0

    def __init__(self, backbone: Any, *, rows: int = 64, tokens: int = 8192, waiting: int = 256) -> None:
        self.local = LocalEngine(backbone, rows=rows, tokens=tokens)
        self.thread = ThreadPoolExecutor(1)

    def submit(self, request: Request, generation: Generation, *, deadline=None, chances=0, heard=None) -> Ticket:
        def run() -> RawAnswer:
            [answer] = self.local.answers([request], generation)
            if heard is not None:
                heard(Written(answer.text, answer.tokens, 0.0))
            return answer

        return Ticket(self.thread.submit(run))

    def session(self, *, deadline: float | None = None, cancelled: threading.Event | None = None) -> Any:
        return Session(self)

    def call(self, fn: Callable[[], Any]) -> Any:
        return self.thread.submit(fn).result()

    def close(self, *, drain: float) -> None:
        self.thread.shutdown(wait=False, cancel_futures=True)


class Session:
    def __init__(self, engine: SerialEngine) -> None:
        self.engine = engine

    def answers(self, requests, generation, *, watch=lambda rows: None):
        return self.engine.call(lambda: self.engine.local.answers(requests, generation, watch=watch))

    def likelihoods(self, requests, choices):
        return self.engine.call(lambda: self.engine.local.likelihoods(requests, choices))
