"""An answer while it is written, and when it is finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.protocol import Generation, RawAnswer
from clinprompt.inference.constraint import Constraint


@dataclass(slots=True)
class Draft:
    """The tokens of an answer so far, what may come next, and the answer once it is finished."""

    constraint: Constraint | None = None
    tokens: list[int] = field(default_factory=list)
    answer: RawAnswer | None = None

    def add(self, backbone: CausalBackbone, token: int, generation: Generation) -> RawAnswer | None:
        """Go on with a token; the answer when it is finished, which no further token changes."""
        if self.answer is None:
            self.tokens.append(token)
            if self.constraint is not None:
                self.constraint.advance(token)
            self.answer = finished(backbone, self.tokens, generation, self.constraint)
        return self.answer


def finished(
    backbone: CausalBackbone, tokens: Sequence[int], generation: Generation, constraint: Constraint | None = None
) -> RawAnswer | None:
    """The answer that these tokens are, or ``None`` while it goes on.

    An answer that the limit cuts is given back to where it was whole under its constraint; one that nothing can follow
    is finished without its end token.
    """
    held = constraint is not None and constraint.held
    if tokens[-1] in backbone.stops:
        return RawAnswer(backbone.text(tokens[:-1]), len(tokens) - 1, truncated=False, constrained=held)
    if generation.stop:
        text = backbone.text(tokens)
        places = [place for stop in generation.stop if (place := text.find(stop)) >= 0]
        if places:
            return RawAnswer(text[: min(places)], len(tokens), truncated=False, constrained=held)
    if constraint is not None and constraint.ended:
        return RawAnswer(backbone.text(tokens), len(tokens), truncated=False, constrained=held)
    if len(tokens) >= generation.tokens:
        kept = tokens[: constraint.complete] if constraint is not None and held else tokens
        return RawAnswer(backbone.text(kept), len(tokens), truncated=True, constrained=held)
    return None
