"""`clinprompt serve` under load, against the plain servers that people write around peft and around CTranslate2.

    python -m benchmarks.serving --threads 2 --rounds 3 --no-memory [--only "200 prompts"] [--json]

The embedded backbone with 1, 20 and 200 random prompts of 20 vectors before the note; 1, 8 and 64 clients in a process
of their own ask `/v1/completions` about notes of 300 characters, no note twice, the tasks in turn, greedy and free
(a plain server grounds nothing), at most 24 tokens. Each client asks again when it has its answer.
*peft*: FastAPI around `peft` and `transformers.generate`, an adapter per prompt, `set_adapter` and one request at a
time behind a lock. *CTranslate2*: FastAPI around it with the prompt as tokens of a checkpoint, one prompt only, as many
answers side by side as there are threads. Every server is a process with as many threads. All answers must be the
same texts. Told are requests per second, and over the requests of all rounds the median and the slowest hundredth of
what clients waited. The clients take their share of the same processor.
Hardware: CPU of 2 cores, five to ten minutes; always on the CPU, in float32.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any, Self

import numpy as np
import torch

from benchmarks.case import Case, Line, Variant, fastest
from benchmarks.clients import REPOSITORY, Clients
from benchmarks.command import Options, aim, run
from benchmarks.served_bank import LENGTH, TOKENS, ServedBank
from benchmarks.timing import Step

OURS, PEFT, CT2 = "clinprompt serve float32", "peft float32", "CTranslate2 float32"
REQUESTS = {1: 4, 2: 4, 8: 16, 64: 64}
"""How many requests a round has for so many clients."""

Waits = defaultdict[tuple[str, str], list[list[float]]]
"""Seconds of every request in each round, by case and variant."""


def cases(options: Options, *, waits: Waits) -> Iterator[Case]:
    """Every number of clients for every number of prompts, whose servers run as long as its cases."""
    for prompts in (2,) if options.quick else (1, 20, 200):
        bank = ServedBank(options.models / f"{prompts} served prompts", prompts)
        ways = (OURS, PEFT, CT2) if prompts == 1 or options.quick else (OURS, PEFT)
        with Servers(bank, ways) as servers, Clients() as clients:
            for at_once in (2,) if options.quick else (1, 8, 64):
                yield _case(servers, clients, at_once, waits)


class Servers:
    """The servers of a bank in processes of their own, started together when one of them is first wanted."""

    def __init__(self, bank: ServedBank, ways: Sequence[str]) -> None:
        self.bank, self.ways = bank, ways
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._addresses: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.communicate()

    def address(self, way: str) -> str:
        """Where a server listens; ``RuntimeError`` when it did not start."""
        if not self._running:
            self.bank.write(checkpoint=CT2 in self.ways)
            self._running = {name: self._started(name) for name in self.ways}
        if way not in self._addresses:
            told = self._running[way].stdout
            assert told is not None
            if not (line := told.readline()):
                raise RuntimeError(f"{way} did not start; what it said stands on stderr")
            self._addresses[way] = json.loads(line)["address"]
        return self._addresses[way]

    def _started(self, way: str) -> subprocess.Popen[str]:
        folder, threads = self.bank.folder, torch.get_num_threads()
        plain = {PEFT: "peft", CT2: "ctranslate2"}
        if way in plain:
            command = ["benchmarks.plain_server", plain[way], str(folder), str(threads)]
        else:
            command = ["clinprompt", "serve", "--bank", str(folder / "bank"), "--port", "0", "--json"]
            command += ["--set", "decoding.grounded=false"]
        return subprocess.Popen(
            [sys.executable, "-m", *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)}, cwd=REPOSITORY,
        )  # fmt: skip


def _case(servers: Servers, clients: Clients, at_once: int, waits: Waits) -> Case:
    bank, requests = servers.bank, REQUESTS[at_once]
    name = f"{bank.count} prompts, {at_once} clients"

    def build(way: str) -> Callable[[], Step]:
        def built() -> Step:
            address, seeds = servers.address(way), count()

            def step() -> dict[str, torch.Tensor]:
                asked = bank.requests(requests, seed=next(seeds))  # other notes in every round, the same for all ways
                seconds, said = clients.ask(address, asked, clients=at_once)
                waits[name, way].append(seconds)
                return {"texts": torch.tensor([list(hashlib.sha256(text.encode()).digest()) for text in said])}

            return step

        return built

    return Case(
        name,
        {way: Variant(build(way), "float32", like=PEFT) for way in servers.ways},
        unit="request",
        units=requests,
        baselines={way.removesuffix(" float32"): (way,) for way in servers.ways if way != OURS},
        settings={"prompts": bank.count, "clients": at_once, "vectors": LENGTH, "new tokens": TOKENS},
    )


def conclude(lines: list[Line], options: Options, *, waits: Waits) -> dict[str, Any]:
    """Requests per second, waiting, and the aims: many clients far faster than one by one, one client hardly slower."""
    found: dict[str, Any] = {"requests per second": {}, "seconds waited": {}}
    for line in lines:
        case, variant = line["case"], line["variant"]
        told = f"{case}, {variant.removesuffix(' float32')}"
        seconds = np.concatenate(waits[case, variant][-options.rounds :])  # without the rounds before the timed ones
        found["requests per second"][told] = round(1 / line["seconds per unit"], 2)
        found["seconds waited"][told] = {f"p{q}": round(float(np.percentile(seconds, q)), 4) for q in (50, 99)}
    if options.quick:
        return found
    faster = {
        (prompts, clients): fastest(lines, case=f"{prompts} prompts, {clients} clients", prefix=OURS, than="peft")
        for prompts, clients in ((200, 64), (1, 1))
    }
    aims = [
        aim("64 clients, 200 prompts: at least 2 times the requests of peft", least=2.0, reached=faster[200, 64]),
        aim("1 client, 1 prompt: at least 0.9 times", least=0.9, reached=faster[1, 1]),
    ]
    return found | {"aims": aims}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run from the command line."""
    waits: Waits = defaultdict(list)
    return run(
        "serving", partial(cases, waits=waits), description=__doc__, conclude=partial(conclude, waits=waits), argv=argv
    )


if __name__ == "__main__":
    main()
