"""Commands that are imported when they are called, so that ``clinprompt --help`` stays quick."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from clinprompt.errors import InputError


class LazyCommand(TyperCommand):
    """A name and a line of help that stand for ``module:attribute``, a function or a typer app.

    ``shared`` are the options that every command has; they are added when the real command is loaded.
    """

    def __init__(self, name: str, *, target: str, help: str, panel: str, shared: Sequence[Any]) -> None:
        super().__init__(name=name, help=help, rich_help_panel=panel)
        self.target = target
        self.shared = shared

    def load(self) -> Any:
        """The real command; :class:`InputError` when a package that it needs is not installed."""
        module, _, attribute = self.target.partition(":")
        try:
            part = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise InputError(
                f"the command {self.name!r} needs the Python module {error.name!r}, which is not installed",
                fix="run `make setup`, or `clinprompt doctor` to see what is missing",
            ) from error
        command = as_command(part)
        command.name = self.name
        add_options(command, self.shared)
        return command

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Hand over to the real command."""
        return self.load().make_context(info_name, args, parent=parent, **extra)


def as_command(part: Any) -> Any:
    """The command of a typer app or of a plain function."""
    app = part
    if not isinstance(part, typer.Typer):
        app = typer.Typer(add_completion=False)
        app.command()(part)
    app.pretty_exceptions_enable = False
    return typer.main.get_command(app)


def add_options(command: Any, options: Sequence[Any]) -> None:
    """Add options to a command, or to every command of a group."""
    if isinstance(command, TyperGroup):
        for member in command.commands.values():
            add_options(member, options)
    else:
        command.params.extend(options)
