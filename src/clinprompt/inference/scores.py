"""How sure a model was of what it said: shares of probability, not calibrated.

The score of an item of a written answer is the geometric mean of the probabilities of its tokens, exp of the mean
log-probability, as the network gave them before a constraint left out others. A low one says that the network would
have written something else, not how often such items are wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from clinprompt.backbones.protocol import RawAnswer
from clinprompt.schema.example import Answer
from clinprompt.schema.prediction import Prediction
from clinprompt.tasks.codecs.items import item_ranges

_PART = "\N{REPLACEMENT CHARACTER}"
"""What decoders write for bytes that are no character yet."""


def scored(prediction: Prediction, answer: RawAnswer, text: Callable[[Sequence[int]], str]) -> Prediction:
    """The prediction with the scores of its items and of the whole answer; ``text`` reads token ids.

    An answer without log-probabilities has none; one of an engine that does not tell its tokens apart has one as a
    whole only.
    """
    if not answer.chances:
        return prediction
    scores = {}
    if prediction.items and len(answer.ids) == len(answer.chances):
        begun = len(answer.text) - len(answer.text.removeprefix(" "))
        ends = token_ends(answer.ids, text)
        ranges = [(begun + start, begun + end) for start, end in item_ranges(answer.text[begun:])]
        by_item = [mean_chance(answer.chances, ends, place) for place in ranges]
        scores = {name: by_item[item] for name, item in prediction.items.items()}
    whole = math.exp(math.fsum(answer.chances) / len(answer.chances))
    if not prediction.items:
        scores = {span.id: whole for span in prediction.answer.spans}
    return replace(prediction, scores=scores, score=whole)


def token_ends(ids: Sequence[int], text: Callable[[Sequence[int]], str]) -> list[int]:
    """Where each token ends in the text of all of them, in characters; of a part of one, where that begins."""
    ends: list[int] = []
    known = first = read = 0
    for at in range(len(ids)):
        # Read behind a token that is whole: some decoders drop the blank of a text's first token.
        before, now = text(ids[first:read]), text(ids[first : at + 1])
        if len(now) > len(before) and not now.endswith(_PART):
            known += len(now) - len(before)
            first, read = read, at + 1
        ends.append(known)
    return ends


def mean_chance(chances: Sequence[float], ends: Sequence[int], place: tuple[int, int]) -> float:
    """Exp of the mean log-probability of the tokens that write a range of characters, those across its borders too."""
    start, end = place
    begins = [0, *ends][: len(ends)]
    inside = [
        chance
        for chance, begin, stop in zip(chances, begins, ends, strict=True)
        if (begin < end and stop > start) or (begin == stop and start <= begin < end)
    ]
    return math.exp(math.fsum(inside) / len(inside)) if inside else 0.0


def shares(values: Sequence[float]) -> list[float]:
    """Of log-likelihoods of all that could be answered the share of each."""
    most = max(values)
    weights = [math.exp(value - most) for value in values]
    return [weight / math.fsum(weights) for weight in weights]


def best_scores(places: Sequence[tuple[int, int]], given: Sequence[Prediction], merged: Answer) -> dict[str, float]:
    """The scores of spans and relations of windows put together: of what several windows say, the best."""
    best: dict[object, float] = {}
    for (start, _), one in zip(places, given, strict=True):
        for name, key in _keys(one.answer, start):
            if name in one.scores:
                best[key] = max(one.scores[name], best.get(key, 0.0))
    return {name: best[key] for name, key in _keys(merged, 0) if key in best}


def _keys(answer: Answer, start: int) -> list[tuple[str, object]]:
    """What makes spans and relations of windows the same, by their ids."""
    spans = {span.id: span.shifted(start).key for span in answer.spans}
    links = [(one.id, (one.label, spans[one.head], spans[one.tail])) for one in answer.relations]
    return [*spans.items(), *links]
