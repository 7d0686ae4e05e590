"""Some of the examples of a part, the same ones each time, however the part is sorted."""

from __future__ import annotations

from collections.abc import Sequence

from clinprompt.data.chance import draw_number
from clinprompt.schema.example import Example


def limited(examples: Sequence[Example], limit: int | None) -> list[Example]:
    """At most ``limit`` examples, whole groups in an order that depends on their names alone.

    Never the first ones: corpora are sorted by answer, by site or by date. All of them stay in their order.
    """
    if limit is None or len(examples) <= limit:
        return list(examples)
    return sorted(examples, key=lambda example: (draw_number("limit", example.group), example.group))[:limit]
