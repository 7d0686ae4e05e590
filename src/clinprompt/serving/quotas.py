"""Quotas of callers: how many requests and characters in any minute, and when to come again."""

from __future__ import annotations

import math
import threading
from collections import deque

from clinprompt.serving.keys import Caller
from clinprompt.serving.refused import Refused

WINDOW = 60.0
"""Seconds in which a quota may be used up once."""

_SLOTS = 60
"""Parts of a window; what is used within one is kept as one entry, so memory does not grow with the load."""


_MARGIN = 0.001
"""Seconds more than rounding errors of a clock's differences."""


class Bucket:
    """What was used of one quota in the last ``seconds``: never more than the quota in any span of that length.

    A bucket that is refilled at a constant rate lets twice its size pass in a window (full, then refilled). This one
    gets back what was taken exactly ``seconds`` later, never before and at most one slot later.
    """

    def __init__(self, *, seconds: float = WINDOW) -> None:
        self.seconds = seconds
        self._taken: deque[tuple[float, int]] = deque()
        self._first = 0.0
        self.used = 0

    def wait(self, amount: int, *, quota: int, now: float) -> float:
        """Seconds until ``amount`` fits, 0 when it fits now, infinity when it is more than the whole quota."""
        while self._taken and now - self._taken[0][0] >= self.seconds:
            self.used -= self._taken.popleft()[1]
        if amount > quota:
            return math.inf
        free, due = quota - self.used, now
        for time, taken in self._taken:
            if amount <= free:
                break
            free, due = free + taken, time + self.seconds
        return max(0.0, due - now)

    def take(self, amount: int, *, now: float) -> None:
        """Use this amount now; whether it fits is asked with :meth:`wait`."""
        if not amount:
            return
        self.used += amount
        if self._taken and now - self._first < self.seconds / _SLOTS:
            self._taken[-1] = (now, self._taken[-1][1] + amount)
        else:
            self._first = now
            self._taken.append((now, amount))


class Quotas:
    """The buckets of all callers. Times are of a monotonic clock and are given by who asks."""

    def __init__(self, *, seconds: float = WINDOW) -> None:
        self.seconds = seconds
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._lock = threading.Lock()

    def take(self, caller: Caller, *, now: float, requests: int = 1, characters: int = 0) -> None:
        """Count requests and characters of notes against the caller's quotas: both or, when one is used up, none.

        Raises :class:`Refused`: 429 with the seconds after which the same request fits if nothing else is asked
        meanwhile, 413 when it has more characters than the quota of a whole minute.
        """
        with self._lock:
            asked = [
                (self._bucket(caller.name, "requests"), requests, caller.requests, "requests"),
                (self._bucket(caller.name, "characters"), characters, caller.characters, "characters"),
            ]
            waits = [
                (0.0 if quota is None else bucket.wait(amount, quota=quota, now=now), quota, what)
                for bucket, amount, quota, what in asked
            ]
            longest, quota, what = max(waits, key=lambda one: one[0])
            if math.isinf(longest):
                raise Refused(
                    413,
                    "request_exceeds_quota",
                    f"the request has more {what} than the key's quota of {quota} a minute",
                )
            if longest > 0:
                raise Refused(
                    429, "rate_limit_exceeded", f"the key's quota of {quota} {what} a minute is used up",
                    retry_after=math.ceil(longest + _MARGIN),
                )  # fmt: skip
            for bucket, amount, quota, _ in asked:
                if quota is not None:
                    bucket.take(amount, now=now)

    def _bucket(self, name: str, what: str) -> Bucket:
        return self._buckets.setdefault((name, what), Bucket(seconds=self.seconds))
