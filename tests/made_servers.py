"""Real servers on a port of this machine, on a tiny backbone with a bank of random prompts."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clinprompt.serving.process import Draining, listen
from clinprompt.serving.server import Server, open_server
from clinprompt.serving.settings import ServeSettings
from clinprompt.stages.banked import add_prompts, open_bank
from clinprompt.stages.opened import Opened
from tests.made_prompts import write_random_prompt
from tests.zygote import Worker, ended, zygote

TASKS = {"meds": "medications", "diagnosis": "impression", "strengths": "strength"}


def write_bank(folder: Path, opened: Opened, tasks: dict[str, tuple[str, str]]) -> Path:
    """A bank of random prompts; ``tasks``: name in the bank to task of the catalogue and placement."""
    for seed, (name, (task, placement)) in enumerate(tasks.items()):
        file = write_random_prompt(
            folder.parent / f"{name}.safetensors", opened, task=task, placement=placement, seed=seed
        )
        add_prompts(open_bank(folder), [file], name=name)
    return folder


@contextmanager
def running(server: Server) -> Iterator[str]:
    """Serve in a thread; gives the address."""
    listener = listen("127.0.0.1", 0)
    ready = threading.Event()
    process = Draining(server, told=ready.set)
    thread = threading.Thread(target=process.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        process.should_exit = True
        thread.join(60)
        assert not thread.is_alive()
        server.close()


def settings_for(bank: Path, **changes) -> ServeSettings:
    """Short answers, so that tests are quick."""
    return ServeSettings(**{"bank": bank, "port": 0, "answer_tokens": 12, **changes})


@contextmanager
def served(bank: Path, opened: Opened, **changes) -> Iterator[tuple[Server, str]]:
    """A server and its address."""
    made = ServeSettings(bank=bank, port=0, **changes) if opened.reads else settings_for(bank, **changes)
    server = open_server(made, opened=opened)
    with running(server) as address:
        yield server, address


def connected(address: str, path: str, body: dict, *, share: float = 1.0) -> socket.socket:
    """A connection that has sent a request, or of its body the first ``share``."""
    host, port = address.removeprefix("http://").split(":")
    content = json.dumps(body).encode()
    connection = socket.create_connection((host, int(port)))
    head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    sent = content[: int(share * len(content))]
    connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + sent)
    return connection


def wait_until(condition, *, seconds: float = 20.0) -> float:
    """Wait until something is so; the seconds that it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not happen in time"
        time.sleep(0.005)
    return time.monotonic() - began


def serving(path: Path, *words: str, target: str = "tests.made_servers:start") -> tuple[Worker, str]:
    """``clinprompt serve --json`` with these words as a process, once it listens, and its address."""
    worker = zygote().fork(path, target, words=[*words, "--json"])
    wait_until(lambda: '"address"' in worker.said or ended(worker.pid), seconds=120)
    [line] = [line for line in worker.said.splitlines() if '"address"' in line] or [worker.said]
    return worker, json.loads(line)["address"]


def start(words: list[str]) -> None:
    """What such a process does."""
    from clinprompt.cli.main import run

    run(["serve", *words])
