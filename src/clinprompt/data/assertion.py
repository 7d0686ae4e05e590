"""What a note says about a mention besides its name: present or absent, of whom, when; read from attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_FLAGS = {
    "negated": "negated", "negation": "negated", "negative": "negated", "neg": "negated", "absent": "negated",
    "denied": "negated",
    "possible": "possible", "uncertain": "possible", "uncertainty": "possible", "speculated": "possible",
    "hedged": "possible",
    "hypothetical": "hypothetical", "conditional": "hypothetical", "generic": "hypothetical",
    "proposed": "hypothetical",
    "historical": "past", "history": "past", "past": "past", "future": "future", "planned": "future",
    "family": "other", "associated_with_someone_else": "other", "other": "other", "someone_else": "other",
}  # fmt: skip
"""Names of yes/no attributes, and the values that say the same in an attribute of several values."""
_VALUED = (
    "assertion", "status", "presence", "polarity", "certainty", "modality", "contextualmodality", "temporality", "time",
)  # fmt: skip
_PERSON = ("experiencer", "subject")
_PATIENT = ("", "patient", "self")
_USUAL = ("present", "positive", "pos", "affirmed", "factual", "actual", "current", "patient", "self")
_TIME, _NOW = ("temporality", "time"), ("current", "present")
_FALSE = ("false", "no", "0", "n", "none")


@dataclass(frozen=True, slots=True)
class Assertion:
    """``current`` only where it is said, ``person`` empty for the patient; ``read`` names what was understood."""

    negated: bool = False
    possible: bool = False
    hypothetical: bool = False
    past: bool = False
    future: bool = False
    current: bool = False
    person: str = ""
    read: frozenset[str] = frozenset()

    @property
    def exists(self) -> bool:
        """Whether the patient has it, as OMOP's ``term_exists`` means it: doubt does not make it false."""
        return not (self.negated or self.hypothetical or self.future or self.person)


def assertion_of(attributes: Mapping[str, str]) -> Assertion:
    """The assertion that a span's attributes state.

    Understood are flags (``Negated``, ``possible=true``), the six classes of i2b2 2010 and like words under
    ``assertion``, ``status``, ``certainty`` or ``temporality``, polarity and modality as in i2b2 2012 (``NEG``,
    ``PROPOSED``) and THYME (``contextualModality=HEDGED``), and a person under ``experiencer`` or ``subject``. Large
    and small letters are the same, and so are blanks, hyphens and underscores.

    >>> assertion_of({"assertion": "absent"}).exists, assertion_of({"Negated": ""}).exists
    (False, False)
    """
    said: dict[str, bool] = {}
    person, read = "", set()
    for key, value in attributes.items():
        name, word = _plain(key), _plain(value)
        if name in _PERSON:
            read.add(key)
            person = "" if word in _PATIENT else value
        elif name in _VALUED:
            if word in _FLAGS:
                said[_FLAGS[word]] = True
                person = person or ("family member" if word == "family" else "")
            if name in _TIME and word in _NOW:
                said["current"] = True
            if word in _FLAGS or word in _USUAL:
                read.add(key)
        elif name in _FLAGS and (not word or word in _FALSE or word in ("true", "yes", "1", "y")):
            read.add(key)
            said[_FLAGS[name]] = word not in _FALSE
    if said.pop("other", False) and not person:
        person = "someone else"
    return Assertion(**said, person=person, read=frozenset(read))


def meaning_of(value: str) -> str | None:
    """What a value of such an attribute means: ``negated``, ``possible``, ``hypothetical``, ``past``, ``future`` or
    ``other`` (of another person); nothing for the usual, ``None`` for a value that is not understood.
    """
    word = _plain(value)
    return _FLAGS.get(word, "" if word in _USUAL else None)


def _plain(text: str) -> str:
    return text.strip().casefold().replace(" ", "_").replace("-", "_")
