"""Templates: the text that stands around an example's inputs, with trusted literals and untrusted slots."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from clinprompt.errors import InputError
from clinprompt.registry import Registry
from clinprompt.schema.formulated import Piece

SLOTS = ("note", "question", "options", "hypothesis", "instruction")

_SLOT = re.compile(r"\{(\w+)\}")
_PART = re.compile(r"\[([^\[\]]*)\]|([^\[\]]+)")


@dataclass(frozen=True, slots=True)
class Template:
    """Text with ``{slots}``; a part in ``[brackets]`` is dropped when a slot in it is absent or empty.

    ``context`` is what the model reads, ``cue`` the last words before the answer: a prompt placed as
    ``suffix`` stands between the two. ``before`` and ``after`` are literal text around them, taken as it is (brackets
    and braces of a chat template mean nothing here), ``joint`` is what stands between the cue and an answer.
    ``again`` stands between an answer and the next input, in place of ``before``, where worked examples are shown
    first (``None``: they cannot be).
    """

    name: str
    context: str
    cue: str
    before: str = ""
    after: str = ""
    joint: str = " "
    again: str | None = "\n\n"

    def __post_init__(self) -> None:
        unknown = sorted(set(_SLOT.findall(self.context + self.cue)) - set(SLOTS))
        if unknown:
            raise InputError(f"template {self.name!r} has unknown slots {unknown}", allowed=", ".join(SLOTS))

    @property
    def hash(self) -> str:
        """Sixteen hex digits of the SHA-256 of all texts around one input; the name and ``again`` do not count."""
        frame = (self.before, self.after, self.joint)
        parts = (self.context, self.cue, *(frame if frame != ("", "", " ") else ()))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    @property
    def wording(self) -> str:
        """Of a template of ``READING``, ``label`` or ``words``: how an encoder is asked."""
        return self.context.partition(":")[0]

    @property
    def slots(self) -> frozenset[str]:
        """The slots that this template shows."""
        return frozenset(_SLOT.findall(self.context + self.cue))


@dataclass(frozen=True, slots=True)
class Rendered:
    """The two stretches of pieces that a template gives for one example."""

    context: tuple[Piece, ...]
    cue: tuple[Piece, ...]


def render(template: Template, inputs: Mapping[str, str], instruction: str) -> Rendered:
    """Fill the slots: literals become trusted pieces, slot texts untrusted ones.

    The blanks at the end of a literal go to the front of the slot piece after it, so that a tokenizer that
    joins a blank with the word after it sees both. Raises :class:`InputError` when a slot outside brackets
    has no text or an input has no slot to be shown in.
    """
    texts = {**inputs, "instruction": instruction}
    unseen = sorted(slot for slot, text in texts.items() if text and slot not in template.slots)
    if unseen:
        raise InputError(
            f"the inputs {unseen} have no slot in template {template.name!r}",
            allowed=", ".join(sorted(template.slots)),
        )
    context = _pieces(template.context, texts, name=template.name)
    cue = _pieces(template.cue, texts, name=template.name)
    return Rendered(
        context=_joined((Piece(template.before, trusted=True), *context)),
        cue=_joined((*cue, Piece(template.after, trusted=True))),
    )


def _joined(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """The pieces with neighbouring trusted ones joined, so that they are tokenised as one text, and no empty one."""
    joined: list[Piece] = []
    for piece in pieces:
        if joined and joined[-1].trusted and piece.trusted:
            piece = Piece(joined.pop().text + piece.text, trusted=True)
        joined.append(piece)
    return tuple(piece for piece in joined if piece.text)


def _pieces(source: str, texts: Mapping[str, str], *, name: str) -> tuple[Piece, ...]:
    kept: list[str] = []
    for optional, plain in _PART.findall(source):
        if optional and not all(texts.get(slot) for slot in _SLOT.findall(optional)):
            continue
        kept.append(optional or plain)

    pieces: list[Piece] = []
    # re.split with one group alternates literal, slot, literal, …, literal
    for index, text in enumerate(_SLOT.split("".join(kept))):
        if index % 2 == 0:
            pieces.append(Piece(text, trusted=True))
            continue
        if text not in texts:
            raise InputError(f"template {name!r} needs the input {text!r}, which the example does not have")
        literal = pieces.pop().text
        blanks = literal[len(literal.rstrip(" \t")) :]
        pieces.append(Piece(literal.rstrip(" \t"), trusted=True))
        pieces.append(Piece(blanks + texts[text]))
    return tuple(piece for piece in pieces if piece.text)


MARKERS = Template(
    name="markers",
    context="<note>{note}[<q> {question}][ {options}][<q> {hypothesis}]<task> {instruction}",
    cue="<ans>",
    again="<eos>",
)
MARKERS_FIRST = Template(
    name="markers-first",
    context="<task> {instruction}<note>{note}[<q> {question}][ {options}][<q> {hypothesis}]",
    cue="<ans>",
    again="<eos>",
)
PLAIN = Template(
    name="plain",
    context=(
        "Note: {note}\n[Question: {question}\n][Options: {options}\n][Statement: {hypothesis}\n]Task: {instruction}\n"
    ),
    cue="Answer:",
)
PLAIN_FIRST = Template(
    name="plain-first",
    context=(
        "Task: {instruction}\nNote: {note}\n[Question: {question}\n][Options: {options}\n][Statement: {hypothesis}\n]"
    ),
    cue="Answer:",
)

CHAT = "chat"
"""Name of the template that is the backbone's own: see :func:`chat_template`."""


def chat_template(*, before: str, after: str, again: str | None = None) -> Template:
    """The plain words as one turn of a person, in the literal text of a backbone's chat template.

    ``before`` stands before the turn's words; ``after`` ends the turn and begins the model's, whose first word is the
    answer's, without a blank. ``again`` ends that turn and begins the person's next one.
    """
    context = PLAIN.context.rstrip("\n")
    return Template(CHAT, context=context, cue="", before=before, after=after, joint="", again=again)


TEMPLATES = Registry(
    "template",
    {
        "markers": "clinprompt.tasks.template:MARKERS",
        "markers-first": "clinprompt.tasks.template:MARKERS_FIRST",
        "plain": "clinprompt.tasks.template:PLAIN",
        "plain-first": "clinprompt.tasks.template:PLAIN_FIRST",
    },
)

READING_LABEL = Template(name="reading-label", context="label: {note}", cue="")
READING_WORDS = Template(name="reading-words", context="words: {note}", cue="")
READING = {one.name: one for one in (READING_LABEL, READING_WORDS)}
"""How an encoder is asked: with the label's words alone, or with the question in full."""
