"""The mixture of pretraining skills: a random instruction over a note, with its answer."""

from __future__ import annotations

import random
from collections.abc import Callable

from clinprompt.backbones.embedded import extraction_skills, question_skills, text_skills
from clinprompt.backbones.embedded.turn import Turn
from clinprompt.schema.document import Document

Skill = Callable[[Document, random.Random], "Turn | None"]

# Weights are relative. Precursors (the next mention, the status, the letter of an option) come with each
# skill: without them choices and statements stay at chance for millions of tokens.
MIXTURE: tuple[tuple[int, Skill], ...] = (
    (24, extraction_skills.entities),
    (5, extraction_skills.following),
    (4, extraction_skills.label_of),
    (13, extraction_skills.relations),
    (2, extraction_skills.mixed_tails),
    (12, question_skills.slot),
    (5, question_skills.owner),
    (3, question_skills.route_choice),
    (6, question_skills.letter),
    (4, question_skills.status),
    (4, question_skills.mentioned),
    (9, question_skills.judged),
    (3, question_skills.any_problem),
    (1, question_skills.kind_of_document),
    (8, text_skills.summary),
    (6, text_skills.copy),
    (2, text_skills.recall),
)
_SKILLS = [skill for _, skill in MIXTURE]
_WEIGHTS = [weight for weight, _ in MIXTURE]


def draw_turn(note: Document, rng: random.Random) -> Turn:
    """A random instruction that this note allows."""
    while True:
        turn = rng.choices(_SKILLS, _WEIGHTS)[0](note, rng)
        if turn is not None:
            return turn
