"""Formats and their options as a person names them on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinprompt.cli.console import console

if TYPE_CHECKING:
    from clinprompt.data.guess import Guess


def given_format(
    source: Path,
    reader: str,
    given: list[str],
    group: str = "",
    *,
    answers: bool = True,
    how: str = "--reader names another format",
) -> Guess:
    """The reader and its options as the user names them, or guessed, which is said with ``how`` to name another.

    Without ``answers`` it is guessed as for new notes: those of the data, if there are any, do not matter.
    """
    from dataclasses import replace

    from clinprompt.data.guess import Guess, guess
    from clinprompt.data.new_notes import guess_notes

    options = ({"group": group} if group else {}) | named_options(given, "--option")
    if reader != "auto":
        return Guess(reader, options, path=source)
    found = guess(source) if answers else guess_notes(source)
    console.line(f"read as {found.reader}: {found.why} ({how})")
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


def format_and_path(words: list[str]) -> tuple[str, Path]:
    """The format (``auto`` where none is named) and the path of ``[FORMAT] PATH``."""
    from clinprompt.errors import InputError

    if len(words) > 2:
        fix = "name one folder or file; several are read from the folder above them"
        raise InputError(f"{len(words)} names were given", where=" ".join(words), allowed="[FORMAT] PATH", fix=fix)
    return (words[0] if len(words) == 2 else "auto"), Path(words[-1])


def named_split(given: list[str]) -> dict[str, Any]:
    """How ``--split`` divides the data: ``dev``, ``test`` (shares) and ``seed``, or ``parts`` with their paths."""
    from clinprompt.errors import InputError
    from clinprompt.schema.example import Split

    named = named_options([part for text in given for part in text.split(",")], "--split")
    numbers = {name: value for name, value in named.items() if type(value) in (int, float)}
    paths = {name: value for name, value in named.items() if isinstance(value, str) and value}
    shares = {"dev", "test", "seed"} >= numbers.keys() == named.keys() and type(numbers.get("seed", 0)) is int
    if shares:
        return numbers
    if not paths or paths.keys() != named.keys() or not {*Split} >= paths.keys():
        raise InputError(
            "this does not say how to divide the data",
            where=f"--split {' '.join(given)}",
            allowed="dev=0.15,test=0.25,seed=13 (shares; the rest is train), or train=PATH,dev=PATH,test=PATH",
        )
    return {"parts": {Split(name): path for name, path in paths.items()}}
