"""Options of readers and writers, compared with what their functions take."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from clinprompt.errors import InputError
from clinprompt.registry import unknown_name

KINDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def check_options(
    what: str, name: str, part: Callable[..., Any], options: Mapping[str, Any], *, apart: Sequence[str]
) -> None:
    """Raise :class:`InputError` for an option that a reader or writer does not have, or that has a value of another
    kind than it takes; ``apart`` are no options.
    """
    known: dict[str, Any] = {}
    hints = get_type_hints(part)
    for option, parameter in inspect.signature(part).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:  # a record of options that several readers have
            known |= get_type_hints(get_args(hints[option])[0])
        elif option not in apart:
            known[option] = hints[option]
    for option, value in options.items():
        if option not in known:
            raise unknown_name(f"option of the {what} {name!r}", option, list(known))
        try:
            # As JSON and strictly: "no" is a text and 1.0 no whole number, and a list may stand for a tuple.
            TypeAdapter(known[option]).validate_json(json.dumps(value, default=str), strict=True)
        except ValidationError:
            raise InputError(
                f"the option {option} of the {what} {name!r} has the value {value!r}",
                allowed=_said(known[option]),
                fix=f"write {option}='\"{value}\"' if the number is a name" if _is_name(known[option], value) else "",
            ) from None


def _is_name(kind: Any, value: Any) -> bool:
    """Whether a number stands where a text is wanted, as the name of a column may be."""
    return type(value) in (int, float) and str in (kind, *get_args(kind))


def _said(kind: Any) -> str:
    """What a type means, in words."""
    if kind in KINDS:
        return KINDS[kind]
    origin, parts = get_origin(kind), [part for part in get_args(kind) if part not in (NoneType, Ellipsis)]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "names with values as text, {a: b}"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return "a list, [a, b]"
    return " or ".join(dict.fromkeys(map(_said, parts))) or "another kind of value"
