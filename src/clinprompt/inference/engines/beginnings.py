"""Rows about to be written: long notes are read bit by bit, so that the rows beside them never stand still for long."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from clinprompt.backbones.protocol import Placement
from clinprompt.inference.engines.local import LocalEngine, Request
from clinprompt.inference.engines.ticket import Ticket

LEAST = 64
"""Tokens that are read at once, whatever the bound: fewer would cost nearly as much."""


@dataclass(slots=True)
class Start:
    """Rows that begin together, with the states of what each begins with, where these were run before; or a failure."""

    tickets: list[Ticket]
    trunks: list[Tensor] | None = None
    failure: Exception | None = None


@dataclass(slots=True, eq=False)
class _Note:
    """What some rows begin with: ``tokens``, and the ``states`` of the first of them behind ``before`` of a prompt."""

    tokens: tuple[int, ...]
    shared: bool
    states: Tensor | None = None
    before: int = 0
    tickets: list[Ticket] = field(default_factory=list)

    @property
    def read(self) -> int:
        """How many of the tokens have been run."""
        return 0 if self.states is None else self.states.shape[3] - self.before

    @property
    def left(self) -> int:
        """How many of the tokens have not been run."""
        return len(self.tokens) - self.read


class Beginnings:
    """Rows that have a place but no line yet.

    In each turn the eldest may have half of what is run, the others the rest, the shortest first: so a long note
    neither keeps short ones waiting nor is kept by them.
    """

    def __init__(self, local: LocalEngine) -> None:
        self.local = local
        self.notes: dict[Hashable, _Note] = {}

    def add(self, tickets: Iterable[Ticket]) -> None:
        """Take rows up."""
        for ticket in tickets:
            ticket.admit()
            request = ticket.request
            in_front = request.vectors is not None and request.placement is not Placement.suffix
            tokens = request.row.context if in_front else request.row.trunk
            key = (tokens, request.placement, id(request.vectors)) if in_front else tokens
            if key not in self.notes:
                self.notes[key] = _Note(self.local.backbone.start + tokens, shared=not in_front)
            self.notes[key].tickets.append(ticket)

    def remove(self, ticket: Ticket) -> None:
        """Let a row go."""
        for note in self.notes.values():
            if ticket in note.tickets:
                note.tickets.remove(ticket)
        self.notes = {key: note for key, note in self.notes.items() if note.tickets}

    def proceed(self, tokens: int) -> tuple[list[Start], int]:
        """Run about so many tokens of notes and prompts at most; the rows that begin now, and how many are run."""
        together, used = Start([]), 0
        starts: list[Start] = []
        eldest, *others = self.notes.values()
        order = [(eldest, tokens // 2 if others else tokens)]
        order += [(note, tokens) for note in sorted(others, key=lambda note: note.left)]
        if others:
            order.append((eldest, tokens))
        for note, most in order:
            room = min(most, tokens - used)
            if room <= 0 or not note.tickets:
                continue
            try:
                used += self._proceed(note, max(room, LEAST), together, starts)
            except Exception as error:
                if isinstance(error, torch.AcceleratorError):
                    raise
                starts.append(Start(note.tickets, failure=error))
                note.tickets = []
        self.notes = {key: note for key, note in self.notes.items() if note.tickets}
        return ([together] if together.tickets else []) + starts, used

    def _proceed(self, note: _Note, most: int, together: Start, starts: list[Start]) -> int:
        """Read some of a note, and begin rows on it once it is read; returns how many tokens are run."""
        sizes = [_own(ticket.request, shared=note.shared) for ticket in note.tickets]
        if note.states is None and note.shared and self.local.notes is not None:
            note.states = self.local.notes.kept(note.tokens)
        if note.read == 0 and (self.local.notes is None or note.left + sum(sizes) <= most):
            # What fits whole is begun with all others that do, in one go.
            count = _fitting(sizes, most, note.left if self.local.notes is None else 0)
            together.tickets += note.tickets[:count]
            note.tickets = note.tickets[count:]
            return note.left + sum(sizes[:count])
        if note.states is None and not note.shared:
            note.states = self.local.prompt_states(note.tickets[0].request)
            note.before = note.states.shape[3]
        used = min(note.left, most)
        if used:
            note.states = self.local.backbone.further(note.tokens[note.read : note.read + used], note.states)
            if note.shared and not note.left and self.local.notes is not None:
                self.local.notes.keep(note.tokens, note.states)
        if not note.left and (used < most or not used) and note.states is not None:
            count = _fitting(sizes, most - used, 0)
            starts.append(Start(note.tickets[:count], [note.states] * count))
            note.tickets = note.tickets[count:]
            used += sum(sizes[:count])
        return used


def _own(request: Request, *, shared: bool) -> int:
    """Tokens that a row runs besides its note: the task's words behind it where it is shared, the prompt, the cue."""
    words = len(request.row.context) - len(request.row.trunk) if shared else 0
    return words + len(request.row.cue) + (0 if request.vectors is None else request.vectors.shape[-2])


def _fitting(sizes: list[int], most: int, each: int) -> int:
    """How many rows of these sizes, and ``each`` more, fit; one at least."""
    total = count = 0
    for size in sizes:
        total += size + each
        if count and total > most:
            break
        count += 1
    return count
