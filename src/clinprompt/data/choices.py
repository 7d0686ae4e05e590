"""The options of a multiple-choice question: keys, texts, and how they stand in the ``options`` slot."""

from __future__ import annotations

from collections.abc import Sequence

Choices = tuple[tuple[str, str], ...]
"""(key, text) pairs in the order they are shown."""

KEY_FORMS = ("letter", "one-based", "zero-based", "text")
"""How a corpus names the right option: by our letter, by number from 1 or 0, or by the option's text."""


def lettered(texts: Sequence[str]) -> Choices:
    """The texts with the keys A, B, C, …"""
    return tuple((chr(ord("A") + place), text) for place, text in enumerate(texts))


def rendered(choices: Choices) -> str:
    """The text of the ``options`` slot.

    >>> rendered(lettered(["yes", "no"]))
    'A: yes B: no'
    """
    return " ".join(f"{key}: {text}" for key, text in choices)


def chosen_key(choices: Choices, value: str, *, form: str) -> str | None:
    """The key of the right option, ``None`` when ``value`` names none of them."""
    if form == "text":
        keys = [key for key, text in choices if text == value]
        return keys[0] if len(keys) == 1 else None
    if form == "letter":
        return value if value in dict(choices) else None
    if not value.isascii() or not value.isdigit():
        return None
    place = int(value) - (form == "one-based")
    return choices[place][0] if 0 <= place < len(choices) else None
