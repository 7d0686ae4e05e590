"""Mentions whose words are not the text at their place: a fault, or left out and counted when the user asks so."""

from __future__ import annotations

from clinprompt.errors import InputError

CHOICES = ("refuse", "leave out")
COUNTED = "mentions that differ from the text"
"""The metadata entry with their number."""


def checked(differing: str) -> str:
    """The option's value; :class:`InputError` for another."""
    if differing not in CHOICES:
        raise InputError(f"the option differing has the value {differing!r}", allowed=", ".join(CHOICES))
    return differing


def refuse(place: str, *, differing: str, where: str) -> None:
    """Raise :class:`InputError` that names the place, unless such mentions are to be left out."""
    if differing == "refuse":
        raise InputError(
            f"the words of the mention are not the text at {place}",
            where=where,
            fix="correct the file, or set differing: leave out (they are counted)",
        )


def counted(number: int) -> dict[str, str]:
    """The metadata entry; empty for none."""
    return {COUNTED: str(number)} if number else {}
