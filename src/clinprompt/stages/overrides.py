"""A stage's settings: one YAML file, then ``--set`` overrides, checked strictly, all faults at once."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from clinprompt.errors import InputError, raise_all
from clinprompt.stages.yaml_text import line_of, parse, read_text

Model = TypeVar("Model", bound=BaseModel)
Place = tuple[str | int, ...]


def load_config(
    path: Path | None,
    model: type[Model],
    sets: Sequence[str] = (),
    *,
    check: Callable[[Mapping[str, Any], str], None] = lambda data, where: None,
) -> Model:
    """The settings of ``model`` from a YAML file (``None``: defaults only) and overrides ``a.b.c=value``.

    Precedence is default < file < override. Raises :class:`InputError` that shows every fault with its file,
    line and field, and near matches for misspelt fields. ``check`` sees the fields of the file and its name first, and
    may raise in place of that.
    """
    text = read_text(path) if path is not None else ""
    data = parse(text, where=str(path)) if path is not None else {}
    data = {} if data is None else data
    if not isinstance(data, dict):
        raise InputError("the file must hold fields and values (`name: value`)", where=str(path))
    check(data, str(path or "the defaults"))
    overridden = apply_sets(data, sets)
    try:
        # Through JSON: strict types stay strict, yet a YAML list may become a tuple and a string a path.
        return model.model_validate_json(json.dumps(data, default=str), strict=True)
    except ValidationError as error:
        details = error.errors(include_url=False)
    faults = []
    for detail in details:
        place = _written(detail["loc"], data, absent=detail["type"] in ("missing", "extra_forbidden"))
        faults.append(_fault(detail, model, place=place, where=_where(place, path, text, overridden)))
    raise_all(faults)
    raise AssertionError("a validation error has at least one fault")


def apply_sets(data: dict[str, Any], sets: Sequence[str]) -> dict[Place, str]:
    """Write overrides ``a.b.c=value`` (value in YAML) into ``data``; returns the place that each one set."""
    faults: list[InputError] = []
    places: dict[Place, str] = {}
    for text in sets:
        try:
            place, value = parse_set(text)
            _put(data, place, value, where=f"--set {text}")
            places[place] = text
        except InputError as fault:
            faults.append(fault)
    raise_all(faults)
    return places


def parse_set(text: str) -> tuple[Place, Any]:
    """The place and the value of one override.

    >>> parse_set("adapt.seeds.0=1e-4")
    (('adapt', 'seeds', 0), 0.0001)
    """
    name, equals, value = text.partition("=")
    steps = name.strip().split(".")
    if not equals or not all(steps):
        raise InputError("this is not an override", where=f"--set {text}", allowed="a.b.c=value")
    place = tuple(int(step) if step.isdigit() else step for step in steps)
    return place, parse(value, where=f"--set {text}")


def _put(data: dict[str, Any], place: Place, value: Any, *, where: str) -> None:
    section: Any = data
    for step, following in zip(place, (*place[1:], None), strict=True):
        if isinstance(section, list):
            if not isinstance(step, int) or step >= len(section):
                raise InputError(
                    f"{step!r} is not a position of this list", where=where, allowed=f"0-{len(section) - 1}"
                )
        elif isinstance(section, dict):
            step = str(step)
        else:
            raise InputError(f"the part before {step!r} is a value, not a section", where=where)
        if following is None:
            section[step] = value
        else:
            if isinstance(section, dict) and section.get(step) is None:
                section[step] = {}
            section = section[step]


def _written(place: Place, data: Any, *, absent: bool) -> Place:
    """The steps of a place that a person writes: without the tags of unions, which pydantic adds."""
    kept: list[str | int] = []
    for position, step in enumerate(place):
        if (isinstance(data, dict) and step in data) or (isinstance(data, list) and isinstance(step, int)):
            data = data[step]
            kept.append(step)
        elif absent and position == len(place) - 1:
            kept.append(step)
    return tuple(kept)


def _where(place: Place, path: Path | None, text: str, overridden: dict[Place, str]) -> str:
    for given, override in overridden.items():
        if [str(step) for step in place[: len(given)]] == [str(step) for step in given]:
            return f"--set {override}"
    line = line_of(text, place) if text else None
    return f"{path or 'the defaults'}{f' line {line}' if line else ''}"


def _fault(details: Any, model: type[BaseModel], *, place: Place, where: str) -> InputError:
    name = ".".join(str(step) for step in place) or "the settings"
    match details["type"]:
        case "extra_forbidden":
            owners = _models_at(model, details["loc"][:-1])
            fields = sorted({field for owner in owners for field in owner.model_fields})
            fix = _near(str(place[-1]), fields)
            return InputError(f"there is no field {name}", where=where, allowed=", ".join(fields), fix=fix)
        case "missing":
            return InputError(f"the field {name} is missing", where=where, fix=f"add it or give --set {name}=…")
        case "union_tag_not_found":
            tag = details["ctx"]["discriminator"].strip("'")
            fix = "it says which alternative is meant"
            return InputError(f"the field {name}.{tag} is missing", where=where, fix=fix)
        case "union_tag_invalid":
            tag, known = details["ctx"]["tag"], details["ctx"]["expected_tags"].replace("'", "")
            what = f"{name} cannot be of the kind {tag!r}"
            return InputError(what, where=where, allowed=known, fix=_near(tag, known.split(", ")))
    message = details["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if not place:
        return InputError(f"the settings do not fit together: {message}", where=where)
    return InputError(f"{name} is {_shown(details['input'])}: it {_must(message)}", where=where)


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else ""


def _must(message: str) -> str:
    """``should be …`` as it is; a sentence of a validator of ours behind a dash."""
    return message if message.startswith("should") else f"cannot be used: {message}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _models_at(model: type[BaseModel], place: Place) -> list[type[BaseModel]]:
    """The models that may stand at a place; list positions and tags of unions are steps without a field."""
    owners = [model]
    for step in place:
        if isinstance(step, int):
            continue
        fields = [owner.model_fields[step] for owner in owners if step in owner.model_fields]
        if fields:
            owners = [found for field in fields for found in _models_in(field.annotation)]
        else:
            owners = [owner for owner in owners if step in _tags(owner)] or owners
    return owners


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _tags(model: type[BaseModel]) -> set[str]:
    annotations = [field.annotation for field in model.model_fields.values()]
    return {str(tag) for kind in annotations if get_origin(kind) is Literal for tag in get_args(kind)}
