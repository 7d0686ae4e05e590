"""The words of a set of examples, counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from clinprompt.schema.example import Example

_WORD = re.compile(r"[^\W\d_]+")


def word_counts(examples: Iterable[Example]) -> Counter[str]:
    """How often each word stands in the inputs of examples: runs of letters, large ones as small ones.

    A text counts once, however many examples ask about it (a note, a question that is always the same). Numbers do not
    count: hardly two notes share them.
    """
    counts: Counter[str] = Counter()
    for text in {text: None for example in examples for text in example.inputs.values()}:
        counts.update(_WORD.findall(text.casefold()))
    return counts
