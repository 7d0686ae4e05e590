"""What a person or a program sees of a command: lines, progress, tables, one JSON object."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console as Screen
from rich.table import Table
from rich.text import Text

from clinprompt.errors import InputError
from clinprompt.stages.progress import Advance

_QUIET_SECONDS = 10.0
"""Without a terminal, progress is a plain line, at most one in so many seconds."""


class Console:
    """Progress and messages on stderr; results on stdout, as tables or, with ``--json``, as one object.

    Of several processes of one run only the first speaks; of errors each tells its own.
    """

    def __init__(self) -> None:
        self.json = False

    @property
    def rank(self) -> str:
        """The number that torchrun gave this process, ``0`` without torchrun."""
        return os.environ.get("RANK", "0")

    def stage(self, name: str, text: str = "") -> None:
        """A line that says which stage begins."""
        self._err().print(Text.assemble((f"▸ {name}", "bold"), f"  {text}" if text else ""))

    def line(self, text: str) -> None:
        """A plain line."""
        self._err().print(Text(text))

    def warn(self, text: str) -> None:
        """A line that deserves attention."""
        self._err().print(Text.assemble(("note: ", "yellow"), text))

    def fail(self, error: InputError) -> None:
        """The paragraph of an error; with ``--json`` also as an object on stdout."""
        who = "" if self.rank == "0" else f"process {self.rank}: "
        _screen(sys.stderr).print(Text.assemble(who, ("error: ", "bold red"), str(error)))
        if self.json:
            faults = getattr(error, "faults", [error])
            parts = ("what", "where", "allowed", "fix")
            self.result({"errors": [{part: getattr(fault, part) for part in parts} for fault in faults]})

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str = "") -> None:
        """A table on stdout (stderr with ``--json``); columns of numbers stand to the right."""
        table = Table(
            title=title or None,
            title_justify="left",
            title_style="bold",
            box=None,
            pad_edge=False,
            show_header=any(columns),
        )
        for position, column in enumerate(columns):
            numeric = bool(rows) and all(isinstance(row[position], (int, float)) for row in rows)
            table.add_column(column, justify="right" if numeric else "left", header_style="bold", overflow="fold")
        for row in rows:
            table.add_row(*(cell if isinstance(cell, Text) else Text(_cell(cell)) for cell in row))
        _screen(sys.stderr if self.json else sys.stdout, quiet=self.rank != "0").print(table)

    def result(self, value: Mapping[str, Any]) -> None:
        """With ``--json``, print the object on stdout; without, nothing (the tables are the result)."""
        if self.json and self.rank == "0":
            from clinprompt.stages.atomic import plain

            sys.stdout.write(json.dumps(plain(value), ensure_ascii=False) + "\n")
            sys.stdout.flush()

    @contextmanager
    def progress(self, name: str, total: int | None) -> Iterator[Advance]:
        """A bar with the time left while the block runs; plain lines when stderr is not a terminal; nothing for 0.

        ``with console.progress("teach", 300) as advance: advance(1, loss=0.2)``: a ``Progress`` for stages.
        """
        if total == 0:
            yield lambda steps=1, **values: None
            return
        screen = self._err()
        with _bar(screen, name, total) if screen.is_terminal else _lines(self.line, name, total) as advance:
            yield advance

    def _err(self) -> Screen:
        return _screen(sys.stderr, quiet=self.rank != "0")


def _screen(stream: TextIO, *, quiet: bool = False) -> Screen:
    """A screen on the stream as it is now; in a file or pipe, lines are long enough not to be folded."""
    terminal = stream.isatty()
    width = None if terminal else 200
    return Screen(file=stream, highlight=False, soft_wrap=not terminal, width=width, quiet=quiet)


@contextmanager
def _bar(screen: Screen, name: str, total: int | None) -> Iterator[Advance]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[values]}"),
    )  # fmt: skip
    with Progress(*columns, console=screen) as progress:
        task = progress.add_task(name, total=total, values="")

        def advance(steps: int = 1, **values: Any) -> None:
            progress.advance(task, steps)
            if values:
                progress.update(task, values=_values(values))

        yield advance


@contextmanager
def _lines(line: Callable[[str], None], name: str, total: int | None) -> Iterator[Advance]:
    began = shown = time.monotonic()
    done, last = 0, ""

    def advance(steps: int = 1, **values: Any) -> None:
        nonlocal done, last, shown
        done += steps
        last = _values(values) if values else last
        now = time.monotonic()
        if now - shown >= _QUIET_SECONDS:
            shown = now
            left = f", {_duration((now - began) / done * (total - done))} left" if total and done else ""
            line(f"{name} {done}{f'/{total}' if total else ''}{left} {last}".rstrip())

    yield advance
    line(f"{name} {done} done in {_duration(time.monotonic() - began)} {last}".rstrip())


def _values(values: Mapping[str, Any]) -> str:
    return " ".join(f"{name} {_cell(value)}" for name, value in values.items())


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


console = Console()
"""The console of this process; :mod:`clinprompt.cli.main` sets its mode from the command line."""
