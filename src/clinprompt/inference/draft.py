"""An answer while it is written, and when it is finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.protocol import Generation, RawAnswer
from clinprompt.inference.constraint import Constraint

_PART = "�"
"""What decoders write for bytes that are no character yet."""


@dataclass(slots=True, eq=False)
class Draft:
    """The tokens of an answer so far, what may come next, and the answer once it is finished.

    ``wanted`` says how many of each place's likeliest tokens to remember in ``best`` (token and log-probability). A row
    that cannot go on has ``failed``. ``chance`` draws this row's own random numbers.
    """

    generation: Generation
    constraint: Constraint | None = None
    wanted: int = 0
    tokens: list[int] = field(default_factory=list)
    chances: list[float] = field(default_factory=list)
    best: tuple[tuple[int, float], ...] = ()
    answer: RawAnswer | None = None
    failed: Exception | None = None
    random: Random = field(init=False)
    told: int = 0

    def __post_init__(self) -> None:
        self.random = Random(self.generation.seed)

    @property
    def over(self) -> bool:
        """Whether nothing more is written."""
        return self.answer is not None or self.failed is not None

    def add(self, backbone: CausalBackbone, token: int, chance: float | None = None) -> RawAnswer | None:
        """Go on with a token of this log-probability; the answer when it is finished, which nothing changes then."""
        if self.answer is None:
            self.tokens.append(token)
            if chance is not None:
                self.chances.append(chance)
            if self.constraint is not None:
                self.constraint.advance(token)
            self.answer = finished(backbone, self.tokens, self.generation, self.constraint, self.chances)
        return self.answer

    def fresh(self, backbone: CausalBackbone) -> str:
        """The text that is final and was not told yet: all that is told, together, is the text of the answer."""
        sure = self._sure(backbone) if self.answer is None else self.answer.text
        new, self.told = sure[self.told :], max(self.told, len(sure))
        return new

    def _sure(self, backbone: CausalBackbone) -> str:
        """The text so far without what may be taken back or read otherwise once more is there."""
        text = backbone.text(self.tokens[: _whole(self.tokens, self.constraint)]).rstrip(_PART)
        return sure(text, self.generation.stop)


def finished(
    backbone: CausalBackbone,
    tokens: Sequence[int],
    generation: Generation,
    constraint: Constraint | None = None,
    chances: Sequence[float] = (),
) -> RawAnswer | None:
    """The answer that these tokens are, or ``None`` while it goes on.

    An answer that the limit cuts is given back to where it was whole under its constraint; one that nothing can follow
    is finished without its end token.
    """
    held = constraint is not None and constraint.held

    def answer(text: str, *, written: Sequence[int] = tokens, truncated: bool = False) -> RawAnswer:
        count = len(written)
        return RawAnswer(text, count, truncated, held, tuple(written), tuple(chances[:count]))

    if tokens[-1] in backbone.stops:
        return answer(backbone.text(tokens[:-1]), written=tokens[:-1])
    if generation.stop:
        text = backbone.text(tokens)
        places = [place for stop in generation.stop if (place := text.find(stop)) >= 0]
        if places:
            return answer(text[: min(places)])
    if constraint is not None and constraint.ended:
        return answer(backbone.text(tokens))
    if len(tokens) >= generation.tokens:
        return answer(backbone.text(tokens[: _whole(tokens, constraint)]), truncated=True)
    return None


def _whole(tokens: Sequence[int], constraint: Constraint | None) -> int:
    """How many of the tokens stay when the answer is cut off here."""
    return constraint.complete if constraint is not None and constraint.held else len(tokens)


def sure(text: str, stops: Sequence[str]) -> str:
    """A text without what at its end could be the beginning of a stop text."""
    return text[: len(text) - max((_begun(stop, text) for stop in stops), default=0)]


def _begun(stop: str, text: str) -> int:
    """How many characters at the end of a text could be the beginning of a stop text."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
