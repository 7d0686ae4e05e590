"""Why a request of many at once gets no answer."""

from __future__ import annotations


class Unanswered(Exception):
    """A request was not answered; the message says why and never quotes the request."""


class Full(Unanswered):
    """As many rows wait already as may wait."""


class Closed(Unanswered):
    """The engine takes nothing more."""


class Cancelled(Unanswered):
    """The answer is not wanted any more."""


class Expired(Unanswered):
    """The answer was not finished by its deadline."""


class Died(Unanswered):
    """The engine has failed as a whole; its cause is the exception's."""


class Unreachable(Unanswered):
    """The engine is another program, and does not answer."""
