"""YAML as a person means it: ``1e-4`` is a number, ``no`` is a word, a key given twice is a fault."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from clinprompt.errors import InputError

_KINDS = {
    "null": (r"~|null|Null|NULL|", "~nN\0"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    "merge": (r"<<", "<"),
}
"""What unquoted words stand for: the core schema of YAML 1.2 and the merge key, by first letters."""


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    table: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for kind, (pattern, letters) in _KINDS.items():
        rule = (f"tag:yaml.org,2002:{kind}", re.compile(f"(?:{pattern})$"))
        for letter in letters:
            table.setdefault("" if letter == "\0" else letter, []).append(rule)
    return table


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = _resolvers()

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen and key.value != "<<":
                problem = f"the key {key.value!r} is given twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


class _Dumper(yaml.SafeDumper):
    # Words that only YAML 1.1 takes for something else are quoted too: any reader gets the same value.
    yaml_implicit_resolvers = {
        letter: _resolvers().get(letter, []) + yaml.SafeDumper.yaml_implicit_resolvers.get(letter, [])
        for letter in {*_resolvers(), *yaml.SafeDumper.yaml_implicit_resolvers}
    }

    def ignore_aliases(self, data: Any) -> bool:
        return True


def parse(text: str, *, where: str) -> Any:
    """The value that a YAML text stands for; :class:`InputError` with the line when it is not YAML.

    What ``*name`` stands for is a value of its own: an override of one place does not change the others.

    >>> parse("{lr: 1e-4, label: no}", where="example")
    {'lr': 0.0001, 'label': 'no'}
    """
    try:
        return _unshared(yaml.load(text, Loader=_Loader))
    except RecursionError:
        raise InputError(
            "a value of this YAML holds itself, or far too many values one in the other", where=where
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}" if mark else ""
        raise InputError(f"this is not YAML: {error.problem or error.context}", where=where + line) from None
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"this is not YAML: {error}", where=where) from None


def _unshared(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unshared(item) for key, item in value.items()}
    return [_unshared(item) for item in value] if isinstance(value, list) else value


def render(value: Any) -> str:
    """YAML text that :func:`parse` reads back as the same plain value, keys in the order given."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def line_of(text: str, place: tuple[str | int, ...]) -> int | None:
    """The line (from 1) of the deepest part of ``place`` (keys and list positions) that the YAML text has."""
    node, line = yaml.compose(text, Loader=_Loader), None
    for step in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(step)), None)
            if found is None:
                continue  # the tag of a union is in the place but not in the text
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
    return line


def read_text(path: Path) -> str:
    """The text of a UTF-8 file a person named; :class:`InputError` when there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError("this file does not exist", where=str(path), fix="check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"this file cannot be read: {type(error).__name__}", where=str(path)) from None
