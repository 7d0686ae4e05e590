"""The chat template of a tokenizer as the literal text that stands around what a person asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clinprompt.errors import InputError

_ASKED, _ANSWERED = "clinprompt-asks-here", "clinprompt-answers-here"
_AGAIN, _LAST = "clinprompt-asks-again", "clinprompt-ends-here"

_FIXED_DATE = (
    "{%- macro strftime_now(format) -%}"
    "{{ {'%d %b %Y': '26 Jul 2024', '%B %d, %Y': 'July 26, 2024'}.get(format, '2024-07-26') }}"
    "{%- endmacro %}"
)
"""Shadows the clock of chat templates that name today's date: a prompt is trained behind one text, every day the same.
The day is the one that Llama 3.1's template has as its default."""


@dataclass(frozen=True, slots=True)
class ChatFrame:
    """Trusted text ``before`` a person's words (without BOS) and ``after`` them, up to the model's answer.

    ``again`` stands between an answer and the person's next words; ``None`` where there is no second turn.
    """

    before: str
    after: str
    again: str | None = None


def chat_frame(tokenizer: Any, *, where: str) -> ChatFrame:
    """Render the chat template with marks for question and answer and cut it there.

    An answered turn is rendered rather than the generation prompt alone, because some templates put more before an
    answer (the final channel of gpt-oss, the empty thoughts of Qwen). Raises :class:`InputError` when there is no chat
    template or it does not show both marks once.
    """
    from jinja2 import TemplateError

    fix = "take the instruction-tuned variant of the backbone, or another template (`clinprompt show templates`)"
    if not tokenizer.chat_template:
        raise InputError("the tokenizer of this backbone has no chat template", where=where, fix=fix)
    turns = [{"role": "user", "content": _ASKED}, {"role": "assistant", "content": _ANSWERED}]
    try:
        source = _FIXED_DATE + tokenizer.get_chat_template()
        text = tokenizer.apply_chat_template(turns, chat_template=source, tokenize=False)
    except (TemplateError, ValueError, TypeError) as error:
        raise InputError("the chat template of this backbone cannot be used", where=where, fix=fix) from error
    before, asked, rest = text.partition(_ASKED)
    after, answered, end = rest.partition(_ANSWERED)
    if not (asked and answered) or _ASKED in rest or _ANSWERED in end:
        raise InputError("the chat template does not show a question and its answer in order", where=where, fix=fix)
    return ChatFrame(before.removeprefix(tokenizer.bos_token or ""), after, _again(tokenizer, source, turns))


def _again(tokenizer: Any, source: str, turns: list[dict[str, str]]) -> str | None:
    """What the chat template puts between an answer and the next question, where it shows both."""
    from jinja2 import TemplateError

    further = [*turns, {"role": "user", "content": _AGAIN}, {"role": "assistant", "content": _LAST}]
    try:
        text = tokenizer.apply_chat_template(further, chat_template=source, tokenize=False)
    except (TemplateError, ValueError, TypeError):
        return None
    between, found, _ = text.partition(_ANSWERED)[2].partition(_AGAIN)
    return between if found else None
