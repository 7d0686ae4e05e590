"""Faults of the server itself are told by their place: what an exception says could be text of a note."""

from __future__ import annotations

import asyncio
import logging
import traceback
from typing import Any

from clinprompt.serving.faults import OURS, response

log = logging.getLogger(__name__)


class Discreet:
    """An ASGI application around all others: no exception leaves it, so that none is written down with its message."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One connection; an answer that had begun is broken off."""
        began = False

        async def told(message: Any) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self.app(scope, receive, told)
        except asyncio.CancelledError:
            return  # an answer that had begun when the server stopped; raised, all of the stack is written down
        except Exception as fault:
            places = [f"{one.filename}:{one.lineno} {one.name}" for one in traceback.extract_tb(fault.__traceback__)]
            log.error("fault of the server: %s at %s", type(fault).__name__, "; ".join(reversed(places[-6:])))
            if not began and scope["type"] == "http":
                await response(OURS)(scope, receive, send)
