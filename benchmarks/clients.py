"""Clients in a process of their own: so many at once, each asking again as soon as it has its answer.

    python -m benchmarks.clients

Reads lines of JSON, ``{"address", "clients", "requests"}``, and answers each with the seconds that every request took
and the texts of the answers, in the order of the requests. :class:`Clients` is the other end of its pipes.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import httpx

REPOSITORY = Path(__file__).parents[1]


class Clients:
    """A process full of clients; to be closed as a context."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.clients"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=REPOSITORY,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def ask(self, address: str, requests: Sequence[dict[str, Any]], *, clients: int) -> tuple[list[float], list[str]]:
        """Seconds and text of each request, asked by ``clients`` at once; ``RuntimeError`` when one fails."""
        assert self._process.stdin is not None and self._process.stdout is not None
        line = json.dumps({"address": address, "clients": clients, "requests": list(requests)})
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        if not (told := self._process.stdout.readline()):
            raise RuntimeError("a request failed; what the clients said stands on stderr")
        found = json.loads(told)
        return found["seconds"], found["texts"]


async def asked(address: str, requests: Sequence[dict[str, Any]], *, clients: int) -> dict[str, list[Any]]:
    """All requests by ``clients`` at once; raises for an answer that is not 200."""
    seconds, texts = [0.0] * len(requests), [""] * len(requests)
    left = iter(range(len(requests)))
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    # No TLS is spoken here, and reading the certificates takes longer than some answers.
    async with httpx.AsyncClient(
        base_url=address, limits=limits, timeout=600, trust_env=False, verify=False
    ) as connection:

        async def client() -> None:
            for number in left:
                began = time.perf_counter()
                answer = await connection.post("/v1/completions", json=requests[number])
                seconds[number] = time.perf_counter() - began
                texts[number] = answer.raise_for_status().json()["choices"][0]["text"]

        await asyncio.gather(*(client() for _ in range(clients)))
    return {"seconds": seconds, "texts": texts}


if __name__ == "__main__":
    for given in sys.stdin:
        wanted = json.loads(given)
        print(
            json.dumps(asyncio.run(asked(wanted["address"], wanted["requests"], clients=wanted["clients"]))), flush=True
        )
