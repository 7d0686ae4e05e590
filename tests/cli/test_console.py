from __future__ import annotations

import io
import sys

from clinprompt.cli import console as module
from clinprompt.cli.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_progress_is_a_few_plain_lines(monkeypatch, capsys):
    seconds = iter(range(0, 1000, 4))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(seconds)))
    with Console().progress("teach", 10) as advance:
        for step in range(10):
            advance(loss=1 / (step + 1))
    lines = capsys.readouterr().err.splitlines()
    # Every step takes four seconds and at most one line comes in ten: after steps 3, 6 and 9, then the end.
    assert lines == [
        "teach 3/10, 28 s left loss 0.3333",
        "teach 6/10, 16 s left loss 0.1667",
        "teach 9/10, 4 s left loss 0.1111",
        "teach 10 done in 44 s loss 0.1",
    ]


def test_in_a_terminal_progress_is_a_bar(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with Console().progress("teach", 4) as advance:
        advance(3, loss=0.5)
        advance()
    shown = stream.getvalue()
    assert "teach" in shown and "4/4" in shown and "loss 0.5" in shown


def test_nothing_to_do_is_no_line_and_no_bar(monkeypatch, capsys):
    with Console().progress("evaluate", 0) as advance:
        advance(0, loss=1.0)
    assert capsys.readouterr() == ("", "")


def test_long_cells_are_not_folded_in_a_pipe(capsys):
    Console().table(("name", "what"), [("x" * 60, "y" * 90)])
    assert f"{'x' * 60}  {'y' * 90}" in capsys.readouterr().out


def test_markup_in_names_is_text(capsys):
    Console().line("[bold]task[/bold]")
    assert capsys.readouterr().err == "[bold]task[/bold]\n"
