"""Few-shot draws: nested over k, repeatable, spread over the labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, zip_longest

from clinprompt.data.chance import draw_number
from clinprompt.errors import InputError
from clinprompt.schema.example import Example


def draw(examples: Sequence[Example], *, k: int, seed: int, draw: int) -> list[Example]:
    """``k`` examples; the draw of a smaller k with the same ``seed`` and ``draw`` is their beginning.

    Classes (and keys of multiple choice) take turns. For spans and relations the first examples, in random
    order, are those that show a label no earlier one shows, then come the others. Raises
    :class:`InputError` when there are fewer than ``k`` examples.
    """
    if not 0 <= k <= len(examples):
        raise InputError(f"{k} shots cannot be drawn from {len(examples)} examples", allowed=f"0-{len(examples)}")
    shuffled = sorted(examples, key=lambda example: (draw_number("draw", seed, draw, example.id), example.id))
    if any(example.answer.spans for example in shuffled):
        return _covering(shuffled)[:k]
    if any(example.answer.label is not None for example in shuffled):
        return _in_turns(shuffled)[:k]
    return shuffled[:k]


def _in_turns(shuffled: Sequence[Example]) -> list[Example]:
    classes: dict[str | None, list[Example]] = defaultdict(list)
    for example in shuffled:
        classes[example.answer.label].append(example)
    rounds = zip_longest(*classes.values())
    return [example for example in chain.from_iterable(rounds) if example is not None]


def _covering(shuffled: Sequence[Example]) -> list[Example]:
    first, others = [], []
    shown: set[tuple[str, str]] = set()
    for example in shuffled:
        spans = {("span", span.label) for span in example.answer.spans}
        labels = spans | {("relation", relation.label) for relation in example.answer.relations}
        (others if labels <= shown else first).append(example)
        shown |= labels
    return first + others
