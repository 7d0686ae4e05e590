"""Figures for Prometheus, with names after vLLM's; how many series there are does not depend on clients."""

from __future__ import annotations

from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

OTHER = "other"
"""The label of every route and task that the server does not have."""

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

MOST_TASKS = 2000
"""Tasks with a label of their own, of all that were ever served; later ones are counted as :data:`OTHER`."""

_LATENCY = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0)
_FIRST = (0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)


class Metrics:
    """Counters, histograms and gauges in a registry of their own.

    ``routes`` are the routes of the server (as written in its table, such as ``/v1/prompts/{name}``); ``tasks`` gives
    the tasks that it serves now; ``running`` and ``waiting`` the rows of the engine in and before its batch.
    """

    def __init__(
        self,
        *,
        routes: Collection[str],
        tasks: Callable[[], Collection[str]],
        running: Callable[[], int],
        waiting: Callable[[], int],
    ) -> None:
        self.routes, self.tasks = frozenset(routes), tasks
        self._labelled: set[str] = set()
        self.registry = CollectorRegistry(auto_describe=True)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"clinprompt_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"clinprompt_{name}", text, ["route"], buckets=buckets, registry=self.registry)

        def gauge(name: str, text: str, value: Callable[[], int]) -> None:
            Gauge(f"clinprompt_{name}", text, registry=self.registry).set_function(value)

        self._requests = counter("requests", "Requests answered, refused ones too.", "route", "status")
        self._tasks = counter("tasks", "Tasks asked for; a request may ask for several.", "route", "task", "status")
        self._prompt_tokens = counter("prompt_tokens", "Tokens read, soft prompts not counted.", "task")
        self._generation_tokens = counter("generation_tokens", "Tokens written.", "task")
        self._latency = histogram("e2e_request_latency_seconds", "From request to end of answer.", _LATENCY)
        self._first = histogram("time_to_first_token_seconds", "From request to first token.", _FIRST)
        self._queue = histogram("request_queue_time_seconds", "From request to place in the batch.", _FIRST)
        gauge("num_requests_running", "Rows in the batch of the engine.", running)
        gauge("num_requests_waiting", "Rows that wait for a place in the batch.", waiting)
        gauge("prompts", "Prompts served.", lambda: len(self.tasks()))

    def request(self, route: str, *, status: int, seconds: float, tasks: Collection[str] = ()) -> None:
        """Count a request that was answered with this status after so many seconds, and the tasks it asked for."""
        route = route if route in self.routes else OTHER
        self._requests.labels(route, str(status)).inc()
        self._latency.labels(route).observe(seconds)
        for task in {self._task(task) for task in tasks}:
            self._tasks.labels(route, task, str(status)).inc()

    def tokens(self, task: str, *, read: int, written: int) -> None:
        """Count the tokens that the model read and wrote for a task."""
        task = self._task(task)
        self._prompt_tokens.labels(task).inc(read)
        self._generation_tokens.labels(task).inc(written)

    def first_token(self, route: str, *, seconds: float) -> None:
        """Note after how many seconds an answer began."""
        self._first.labels(route if route in self.routes else OTHER).observe(seconds)

    def queued(self, route: str, *, seconds: float) -> None:
        """Note how many seconds a request waited for its place in the batch."""
        self._queue.labels(route if route in self.routes else OTHER).observe(seconds)

    def text(self) -> bytes:
        """All figures in Prometheus' text format; their media type is :data:`CONTENT_TYPE`."""
        return generate_latest(self.registry)

    def _task(self, task: str) -> str:
        name = task.partition("@")[0]
        if name in self._labelled:
            return name
        if len(self._labelled) >= MOST_TASKS or name not in self.tasks():
            return OTHER
        self._labelled.add(name)
        return name
