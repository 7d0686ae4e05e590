"""Sections of clinical notes by their headings, with ids that stay the same whatever the wording."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError

from clinprompt.data.files import read_text
from clinprompt.errors import InputError, raise_all

START = "start"
"""Id of what stands before the first heading."""

OTHER = "other"
"""Id of sections whose heading, a line in capitals of its own, no rule names."""

RULES = Path(__file__).with_suffix(".yaml")

# A wording at the beginning of a line, behind a number or a mark, up to a colon or the end of the line.
_LINE = re.compile(
    r"(?:^|(?<=[\r\n]))[^\S\r\n]*(?:[#*=_-]{1,4}[^\S\r\n]*|\(?(?:\d{1,2}|[IVX]{1,4}|[A-Z])[.)][^\S\r\n]+)?"
    r"(?P<words>[^\W\d_][^:\r\n]{0,70}?)[^\S\r\n]*(?P<end>:|[*#=_-]{0,4}[^\S\r\n]*(?=[\r\n]|\Z))"
)
# A wording in capitals within a line, behind the end of a sentence or a wide gap.
_INLINE = re.compile(r"(?:(?<=[.,;])[^\S\r\n]|(?<=\S)[^\S\r\n]{2,})[^\S\r\n]{0,20}(?P<words>[A-Z][A-Z /&()-]{3,50}):")
_ALONE = re.compile(r"[^\S\r\n]*(?:[\r\n]|\Z)")
_LINE_END = re.compile(r"\r\n|\r|\n")
_BRACKETS = re.compile(r"\([^()]*\)")
_SIGNS = re.compile(r"[^\w&/]+|_")


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a note with the id of its heading; the heading belongs to it."""

    id: str
    start: int
    end: int


class _File(BaseModel):
    """What a person writes: wordings by id, added to the rules that come with the package or in their place."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    extends: Literal["standard", "none"] = "standard"
    sections: dict[
        Annotated[StrictStr, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")],
        Annotated[list[Annotated[StrictStr, Field(min_length=1)]], Field(min_length=1)],
    ]


@lru_cache(maxsize=1)
def standard_rules() -> Mapping[str, str]:
    """The rules that come with the package: wording to id."""
    return _rules(RULES, {})


def load_rules(path: Path | None) -> Mapping[str, str]:
    """The rules of a YAML file, added to the standard ones unless it says ``extends: none``.

    A wording that both have gets the file's id; ``None`` gives the standard rules.
    Raises :class:`InputError` for a file of another form.
    """
    return standard_rules() if path is None else _rules(path, standard_rules())


def sections(text: str, rules: Mapping[str, str] | None = None) -> list[Section]:
    """The sections of a note in order; each character belongs to exactly one.

    A heading stands at the beginning of a line (numbered or marked, as may be) and ends with a colon or with its
    line; in capitals with a colon it may also follow a sentence or a gap. Items of numbered lists, and lines such as
    ``Sodium: 140``, are no headings because no rule has their words. An empty text has no section.

    >>> [(one.id, one.start) for one in sections("Seen.\\nALLERGIES: none\\n1. Aspirin: daily\\nHOME MEDS\\nIron")]
    [('start', 0), ('allergies', 6), ('admission-medications', 40)]
    """
    rules = standard_rules() if rules is None else rules
    heads: dict[int, str] = {}
    covered: set[int] = set()
    for match in _LINE.finditer(text):
        words = match["words"]
        # Without a colon a line is a heading only when it looks like one: "plan" may be the last word of a sentence.
        marked = match["end"] == ":" or (words[0].isupper() and len(words) > 1)
        name = rules.get(_loosened(words)) if marked else None
        if name is None and _is_unknown(match, text):
            name = OTHER
        if name is not None:
            heads[match.start()] = name
            covered.update(range(match.start(), match.end()))
    for match in _INLINE.finditer(text):
        name = rules.get(_loosened(match["words"]))
        if name is not None and match.start("words") not in covered:
            heads[match.start("words")] = name
    places = sorted(heads)
    if text and (not places or places[0] > 0):
        heads[0] = START
        places = [0, *places]
    return [
        Section(heads[start], start, end) for start, end in zip(places, [*places[1:], len(text)], strict=False) if text
    ]


def _is_unknown(match: re.Match[str], text: str) -> bool:
    """Whether the words look like a heading: two or more, in capitals, alone on a line after an empty one."""
    words, before = match["words"], text[max(0, match.start() - 40) : match.start()]
    apart = not before.strip() or len(_LINE_END.findall(before[len(before.rstrip()) :])) > 1
    shape = words.isupper() and len(_loosened(words).split()) > 1 and not re.search(r"\d", words)
    return apart and shape and _ALONE.match(text, match.end()) is not None


def _loosened(words: str) -> str:
    """Words as rules are compared."""
    plain = _SIGNS.sub(" ", _BRACKETS.sub(" ", words)).replace("&", " and ").replace("/", " ")
    return " ".join(plain.casefold().split())


def _rules(path: Path, standard: Mapping[str, str]) -> dict[str, str]:
    try:
        content = yaml.safe_load(read_text(path))
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise InputError("the file of section rules is not valid YAML", where=f"{path}{line}") from fault
    try:
        given = _File.model_validate(content)
    except ValidationError as faults:
        raise_all([_fault(fault, path) for fault in faults.errors(include_url=False)])
        raise AssertionError("a validation error without errors") from faults
    found: dict[str, str] = {}
    for name, wordings in given.sections.items():
        for wording in map(_loosened, wordings):
            if found.setdefault(wording, name) != name:
                raise InputError(
                    f"the wording {wording!r} belongs to two sections, {found[wording]} and {name}", where=str(path)
                )
    return {**(standard if given.extends == "standard" else {}), **found}


def _fault(fault: Mapping[str, object], path: Path) -> InputError:
    place = ".".join(str(step) for step in fault["loc"])  # type: ignore[attr-defined]
    return InputError(
        f"the file of section rules is not as it should be: {fault['msg']}",
        where=f"{path}, field {place}" if place else str(path),
        allowed="extends (standard or none) and sections, a list of headings for each id such as family-history",
    )
