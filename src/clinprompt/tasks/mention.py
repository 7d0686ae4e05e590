"""How a question names one mention of a note: its label and its words, with their place where they stand twice."""

from __future__ import annotations

from clinprompt.schema.document import Span
from clinprompt.tasks.codecs.entities import WORD_SPECIALS
from clinprompt.tasks.codecs.items import escape, write_mention
from clinprompt.tasks.grounding import Grounder
from clinprompt.tasks.task import Task


def mention_words(note: str, span: Span, task: Task) -> str:
    """The mention as the codec of entities writes it alone: ``problem: fever``, ``problem: fever #2``."""
    mention = Grounder(note).mention(span.fragments)
    return f"{escape(task.words(span.label), specials=WORD_SPECIALS)}: {write_mention(mention)}"
