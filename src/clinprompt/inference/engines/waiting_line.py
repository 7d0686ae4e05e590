"""Who comes next: rows that wait, so that neither many nor long ones keep the others from their turn."""

from __future__ import annotations

from collections.abc import Callable

from clinprompt.inference.engines.ticket import Ticket


class Source:
    """Whoever submits rows; rows of one source stand behind each other, different sources side by side."""

    def __init__(self) -> None:
        self.turn = 0.0


class WaitingLine:
    """Rows in the order of fair queueing by work.

    A row's turn is the time at which it would be finished if all sources were served at equal speed, one after the
    other within a source (self-clocked fair queueing, Golestani 1994). So one row does not wait behind a source's
    hundred, short ones pass long ones, and yet nothing waits forever, since time goes on with every row served.
    """

    def __init__(self) -> None:
        self.tickets: list[Ticket] = []
        self.now = 0.0

    def __len__(self) -> int:
        return len(self.tickets)

    def add(self, ticket: Ticket, source: Source) -> None:
        """Line a row up."""
        work = ticket.request.row.length + ticket.draft.generation.tokens
        ticket.turn = source.turn = max(source.turn, self.now) + work
        self.tickets.append(ticket)

    def next(self, most: int) -> list[Ticket]:
        """Take out up to so many rows whose turn it is."""
        taken = sorted(self.tickets, key=lambda ticket: ticket.turn)[: max(0, most)]
        self.now = max([self.now, *(ticket.turn for ticket in taken)])
        self.remove(lambda ticket: ticket in taken)
        return taken

    def remove(self, gone: Callable[[Ticket], bool]) -> None:
        """Take out rows that shall not have a turn."""
        self.tickets = [ticket for ticket in self.tickets if not gone(ticket)]
