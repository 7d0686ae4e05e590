"""An answer that comes piece by piece from an OpenAI-compatible server, and the connection on which it comes."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from threading import Lock
from typing import TYPE_CHECKING, Any

from clinprompt.errors import InputError
from clinprompt.inference.engines.unanswered import Cancelled

if TYPE_CHECKING:
    import httpx

END = "[DONE]"
"""What OpenAI's servers send last."""


_CONNECTED = ("connection.connect_tcp.complete", "connection.start_tls.complete")


class OpenLine:
    """The connection on which one answer comes; any thread may cut it.

    ``told`` are the pieces of the stream that has begun; ``None`` of an answer in one piece.
    """

    def __init__(self) -> None:
        self._lock, self._stream, self._cut = Lock(), None, False
        self.told: Iterator[dict[str, Any]] | None = None

    @property
    def asked(self) -> dict[str, Any]:
        """How it is asked for: with a connection that no other request gets, and that is held from its first moment."""
        return {"headers": {"Connection": "close"}, "extensions": {"trace": self.follow}}

    def check(self) -> None:
        """Raise :class:`Cancelled` when it was cut: nobody waits for the answer any more."""
        if self._cut:
            raise Cancelled("the answer was cancelled")

    def follow(self, event: str, told: Mapping[str, Any]) -> None:
        """Hold the connection from when it is there; the form is that of httpx's request extension ``trace``."""
        if event not in _CONNECTED:
            return
        with self._lock:
            self._stream = told["return_value"]
        if self._cut:
            self.cut()

    def begin(self, answer: httpx.Response, *, where: str) -> None:
        """Read a stream up to its first words, anything else to its end: until then it may be asked for again.

        Raises :class:`httpx.TransportError` for what breaks off before, else as :func:`pieces`.
        """
        import httpx

        with contextlib.ExitStack() as broken:
            broken.callback(answer.close)
            if not (answer.is_success and answer.headers.get("content-type", "").startswith("text/event-stream")):
                answer.read()
                return
            first, rest = [], pieces(answer.iter_lines(), where=where)
            for piece in rest:
                first.append(piece)
                if text_of(piece) or _reason(piece):
                    break
            else:
                raise httpx.RemoteProtocolError("the stream has ended before it has begun")
            self.told = chain(first, rest)
            broken.pop_all()

    def cut(self) -> None:
        """End the connection, also under a thread that reads from it; one that has ended stays as it is."""
        with self._lock:
            self._cut, stream = True, self._stream
        held = stream.get_extra_info("socket") if stream is not None else None
        if held is not None:
            with contextlib.suppress(OSError):  # it has just ended
                held.shutdown(socket.SHUT_RDWR)


def pieces(lines: Iterable[str], *, where: str) -> Iterator[dict[str, Any]]:
    """The objects of a stream of server-sent events, up to the mark of its end.

    Raises :class:`InputError` for what is no such stream and where the server tells of an error, without its words.
    """
    for line in lines:
        if not line.startswith("data:"):
            continue  # empty lines, comments, names of events
        told = line.removeprefix("data:").strip()
        if told == END:
            return
        try:
            piece = json.loads(told)
        except ValueError:
            piece = None
        if not isinstance(piece, dict) or not _is_piece(piece):
            raise InputError("the server does not stream as OpenAI's /completions does", where=where)
        if piece.get("error"):
            raise InputError("the engine has failed within an answer", where=where)
        yield piece


def _is_piece(piece: Mapping[str, Any]) -> bool:
    choices = piece.get("choices") or []
    return isinstance(choices, list) and all(
        isinstance(one, dict) and isinstance(one.get("text") or "", str) and isinstance(one.get("logprobs") or {}, dict)
        for one in choices
    )


def text_of(piece: Mapping[str, Any]) -> str:
    """The text that a piece brings."""
    return "".join(choice.get("text") or "" for choice in (piece.get("choices") or [])[:1])


def _reason(piece: Mapping[str, Any]) -> str | None:
    """Why the answer ended, where a piece says it."""
    return next((choice.get("finish_reason") for choice in (piece.get("choices") or [])[:1]), None)


def joined(found: Sequence[Mapping[str, Any]], *, where: str) -> dict[str, Any]:
    """The pieces of a stream as the answer that the server would have given in one.

    Raises :class:`InputError` for a stream that broke off: no piece says why the answer ended.
    """
    text, reason, usage = "", None, None
    told: dict[str, list[Any]] = {}
    for piece in found:
        usage = piece.get("usage") or usage
        text += text_of(piece)
        reason = _reason(piece) or reason
        for choice in (piece.get("choices") or [])[:1]:
            for name, values in (choice.get("logprobs") or {}).items():
                if isinstance(values, list):
                    told.setdefault(name, []).extend(values)
    if reason is None:
        raise InputError("the engine has gone away within an answer", where=where)
    choice = {"text": text, "finish_reason": reason, "logprobs": told or None}
    return {"choices": [choice], "usage": usage}
