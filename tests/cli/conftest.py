from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from clinprompt.cli import main
from clinprompt.cli.console import console


@dataclass
class Ended:
    """How a command ended: exit code and both streams."""

    code: int
    out: str
    err: str


@pytest.fixture
def clinprompt(capsys, monkeypatch) -> Callable[..., Ended]:
    """Runs the command line in this process."""
    monkeypatch.setattr(console, "json", False)
    for name in main.POSTURE:
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["clinprompt", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.run(arguments)
        streams = capsys.readouterr()
        return Ended(code=int(ended.value.code or 0), out=streams.out, err=streams.err)

    return call
