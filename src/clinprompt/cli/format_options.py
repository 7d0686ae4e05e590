"""Formats and their options as a person names them on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinprompt.cli.console import console

if TYPE_CHECKING:
    from clinprompt.data.guess import Guess


def given_format(source: Path, reader: str, given: list[str], group: str) -> Guess:
    """The reader and its options as the user names them, or guessed, which is said."""
    from dataclasses import replace

    from clinprompt.data.guess import Guess, guess

    options = ({"group": group} if group else {}) | named_options(given, "--option")
    if reader != "auto":
        return Guess(reader, options, path=source)
    found = guess(source)
    console.line(f"read as {found.reader}: {found.why} (--reader names another format)")
    return replace(found, options={**found.options, **options})


def named_options(given: list[str], flag: str) -> dict[str, Any]:
    """Options that were given as ``name=value``."""
    from clinprompt.errors import InputError
    from clinprompt.stages.yaml_text import parse

    options = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise InputError("this is not an option", where=f"{flag} {text}", allowed="name=value")
        options[name.strip()] = parse(value, where=f"{flag} {name}")
    return options
