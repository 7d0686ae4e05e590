"""How long the items of answers are, so that windows can share enough to hold each of them whole."""

from __future__ import annotations

from collections.abc import Iterable

from clinprompt.schema.example import Example


def longest_item(examples: Iterable[Example]) -> int | None:
    """Characters of the longest span, from its first fragment to its last, or relation, with both its ends.

    ``None`` where no example has a span.
    """
    longest = None
    for example in examples:
        spans = {span.id: span for span in example.answer.spans}
        pairs = [(spans[link.head], spans[link.tail]) for link in example.answer.relations]
        items = [(span,) for span in example.answer.spans] + pairs
        for item in items:
            extent = max(span.end for span in item) - min(span.start for span in item)
            longest = max(longest or 0, extent)
    return longest
