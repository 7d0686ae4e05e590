from __future__ import annotations

import sys

import pytest
import typer

from clinprompt.cli.lazy import LazyCommand, as_command
from clinprompt.errors import InputError


def lazy(target: str) -> LazyCommand:
    return LazyCommand("probe", target=target, help="A probe.", panel="Start", shared=())


def test_nothing_is_imported_before_the_command_is_called(monkeypatch):
    monkeypatch.delitem(sys.modules, "this", raising=False)
    command = lazy("this:that")
    assert command.get_short_help_str() == "A probe." and "this" not in sys.modules


def test_a_function_and_an_app_both_become_commands():
    app = typer.Typer()
    app.command("one")(lambda: None)
    app.command("two")(lambda: None)
    assert set(as_command(app).commands) == {"one", "two"}
    assert not hasattr(as_command(lambda: None), "commands")


def test_a_missing_module_names_itself():
    with pytest.raises(InputError, match="'no_such_module'"):
        lazy("no_such_module:part").load()
