"""Training sequences: a note with several turns behind it, or one instruction in front of a note.

The pieces and their blanks are those of the ``markers`` template and its instruction-first variant.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from transformers import PreTrainedTokenizerBase

from clinprompt.backbones.embedded.skills import draw_turn
from clinprompt.backbones.embedded.tokenizer import ANSWER, NOTE, QUESTION, TASK
from clinprompt.backbones.embedded.turn import Turn
from clinprompt.data.readers.synthetic.note import draw_kind, draw_patient, write_note
from clinprompt.data.readers.synthetic.picker import pseudo_word
from clinprompt.data.readers.synthetic.style import SECTION_NAMES, SITES, Style
from clinprompt.schema.document import Document


class Role(IntEnum):
    """What a token is for the loss."""

    given = 0
    note = 1
    answer = 2
    decisive = 3


@dataclass(frozen=True, slots=True)
class TokenRow:
    """Token ids ``[T]`` and their roles ``[T]``."""

    ids: np.ndarray
    roles: np.ndarray


@dataclass(frozen=True, slots=True)
class Conversation:
    """A note and its turns; ``instruction_first`` conversations have exactly one."""

    note: Document
    turns: tuple[Turn, ...]
    instruction_first: bool


def draw_style(rng: random.Random) -> Style:
    """Site A, site B, or a site that mixes both with headings of its own."""
    draw = rng.random()
    if draw < 0.85:
        return SITES["A" if draw < 0.45 else "B"]
    base, other = rng.sample((SITES["A"], SITES["B"]), 2)
    headings = {
        name: rng.choice((base.headings[name], other.headings[name], pseudo_word(rng).capitalize()))
        for name in SECTION_NAMES
    }
    return replace(
        base,
        terse=rng.random() < 0.5,
        headings=headings,
        heading_end=rng.choice((": ", " - ")),
        between=rng.choice((" ", "; ", ", ")),
        stop=rng.choice((".", "")),
    )


def draw_conversation(rng: random.Random, *, short: bool = False) -> Conversation:
    """A random note of source terms with random turns; ``short`` ones have one or two sections."""
    instruction_first = rng.random() < 0.5
    kind = draw_kind(rng)
    count = None
    if short:
        count = rng.choice((1, 1, 2))
    elif not instruction_first and kind.sections == SECTION_NAMES and rng.random() < 0.15:
        count = len(SECTION_NAMES)
    note = write_note(
        rng,
        id="pretraining",
        patient=draw_patient(rng, id="pretraining"),
        style=draw_style(rng),
        kind=kind,
        count=count,
        invented=0.45 if rng.random() < 0.3 else 0.06,
    )
    turns = 1 if instruction_first else rng.choice((3, 4) if short else (5, 6, 7))
    return Conversation(note, tuple(draw_turn(note, rng) for _ in range(turns)), instruction_first)


def turn_pieces(turn: Turn) -> tuple[list[str], list[str]]:
    """The pieces of a turn's inputs and of its instruction; markers stand alone, texts begin with a blank."""
    inputs: list[str] = []
    if turn.question:
        inputs += [QUESTION, " " + turn.question]
    if turn.options:
        inputs += [" " + turn.options]
    if turn.hypothesis:
        inputs += [QUESTION, " " + turn.hypothesis]
    return inputs, [TASK, " " + turn.instruction]


def pieces(conversation: Conversation) -> Iterator[tuple[str, Role, bool]]:
    """All pieces of a sequence with their role, and whether the answer's first token is decisive."""
    note = [(NOTE, Role.given, False), (conversation.note.text, Role.note, False)]
    if not conversation.instruction_first:
        yield from note
    for turn in conversation.turns:
        inputs, instruction = turn_pieces(turn)
        if conversation.instruction_first:
            yield from ((text, Role.given, False) for text in instruction)
            yield from note
            yield from ((text, Role.given, False) for text in inputs)
        else:
            yield from ((text, Role.given, False) for text in (*inputs, *instruction))
        yield ANSWER, Role.given, False
        yield " " + turn.answer, Role.answer, turn.decisive


def encode(conversations: Sequence[Conversation], tokenizer: PreTrainedTokenizerBase) -> list[TokenRow]:
    """Token ids and roles, with BOS in front and EOS behind every answer."""
    rows = [list(pieces(conversation)) for conversation in conversations]
    backend = tokenizer.backend_tokenizer
    texts = [text for row in rows for text, _, _ in row]
    encoded = iter(backend.encode_batch_fast(texts, add_special_tokens=False))
    sequences = []
    for row in rows:
        ids, roles = [tokenizer.bos_token_id], [Role.given]
        for _, role, decisive in row:
            piece = next(encoded).ids
            ids += piece
            roles += [role] * len(piece)
            if role is Role.answer:
                ids.append(tokenizer.eos_token_id)
                roles.append(role)
                if decisive:
                    roles[-1 - len(piece)] = Role.decisive
        sequences.append(TokenRow(np.array(ids, np.int32), np.array(roles, np.int8)))
    return sequences


def batches(sequences: Sequence[TokenRow], *, tokens: int, rng: random.Random) -> list[list[TokenRow]]:
    """Batches of similar lengths with at most ``tokens`` padded tokens, in random order."""
    groups: list[list[TokenRow]] = []
    for sequence in sorted(sequences, key=lambda item: len(item.ids)):
        if not groups or (len(groups[-1]) + 1) * len(sequence.ids) > tokens:
            groups.append([])
        groups[-1].append(sequence)
    rng.shuffle(groups)
    return groups


def collate(rows: Sequence[TokenRow], *, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """Right-padded ids and roles, both ``[B, T]``."""
    length = max(len(row.ids) for row in rows)
    ids = np.full((len(rows), length), pad, np.int64)
    roles = np.zeros((len(rows), length), np.int8)
    for index, row in enumerate(rows):
        ids[index, : len(row.ids)] = row.ids
        roles[index, : len(row.ids)] = row.roles
    return ids, roles
