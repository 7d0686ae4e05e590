"""Some of the examples of a part, the same ones each time, however the part is sorted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from clinprompt.data.chance import draw_number
from clinprompt.schema.example import Example

Limits = dict[Literal["train", "dev", "test", "characters"], Annotated[int, Field(ge=1)]]
"""At most so many examples of a part; and for training and dev only those of at most so many ``characters``."""


def short_enough(examples: Sequence[Example], characters: int | None) -> list[Example]:
    """The examples that have at most so many characters (:func:`length_of`)."""
    return [example for example in examples if characters is None or length_of(example) <= characters]


def length_of(example: Example) -> int:
    """Characters of an example's input texts, options and free answer together."""
    texts = (*example.inputs.values(), *(text for _, text in example.choices), example.answer.text or "")
    return sum(map(len, texts))


def limited(examples: Sequence[Example], limit: int | None) -> list[Example]:
    """At most ``limit`` examples, whole groups in an order that depends on their names alone.

    Never the first ones: corpora are sorted by answer, by site or by date. All of them stay in their order.
    """
    if limit is None or len(examples) <= limit:
        return list(examples)
    return sorted(examples, key=lambda example: (draw_number("limit", example.group), example.group))[:limit]
