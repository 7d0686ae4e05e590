"""What every request has to pass before the application sees it: host, origin, size and pace of its body."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from ipaddress import IPv6Address
from typing import Any

from clinprompt.serving.refused import Refused

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOCAL = ("localhost", "127.0.0.1", "[::1]")
"""The names of this machine for itself."""

SECURITY = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
"""Headers of every answer that does not set them itself; the page runs its own scripts and no others."""

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?", re.IGNORECASE)


_LINGER = 2.0
"""Seconds in which what a refused client still sends is read and thrown away."""


class Limits:
    """An ASGI application around another one, which gets only whole bodies of requests that pass.

    ``body`` is the most bytes of a body, ``seconds`` the most time for it to arrive, ``hosts`` the names under which
    the server may be asked for: ``name`` (any port), ``name:port``, ``[address]`` for IPv6, or ``*`` for all of them.
    ``admit`` is called with the scope before any of the body is read, and raises :class:`Refused` for a request that
    is not wanted, so that nobody without a key has bodies kept in memory; it may leave what it found in
    ``scope["state"]``, where the application finds it as ``request.state``. GET and HEAD of the paths ``probes`` are
    let in under every name, as orchestrators ask by address; ``request.state.unknown_host`` says so.
    """

    def __init__(
        self,
        app: App,
        *,
        hosts: Iterable[str] = LOCAL,
        probes: Iterable[str] = (),
        body: int = 8_000_000,
        seconds: float = 30.0,
        admit: Callable[[Scope], None] | None = None,
        headers: Mapping[str, str] = SECURITY,
    ) -> None:
        self.app, self.body, self.seconds, self.admit = app, body, seconds, admit
        self.hosts, self.probes = frozenset(_plain(host) for host in hosts), frozenset(probes)
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection: HTTP requests that pass; websockets are refused."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008, "reason": "this server has no websockets"})
        guarded, body = self._guarded(send), _Body(receive)
        try:
            sent = _headers(scope)
            try:
                self._check_host(sent)
            except Refused:
                if scope.get("path") not in self.probes or scope["method"] not in ("GET", "HEAD"):
                    raise
                scope.setdefault("state", {})["unknown_host"] = True
            _check_origin(sent)
            declared = self._declared(sent)
            if self.admit is not None:
                self.admit(scope)
            content = await self._content(body, declared)
        except Refused as refused:
            return await _answer(guarded, refused, body)
        if content is not None:
            await self.app(scope, _replayed(content, receive), guarded)

    async def _content(self, body: _Body, declared: int | None) -> bytes | None:
        """The whole body, ``None`` when the client went away before its end."""
        parts, length = [], 0
        try:
            async with asyncio.timeout(self.seconds):
                while not body.ended:
                    parts.append(await body.next())
                    length += len(parts[-1])
                    if length > self.body:
                        raise self._too_large()
        except TimeoutError:
            raise Refused(408, "body_timeout", f"the body did not arrive within {self.seconds:g} s") from None
        if body.left:
            return None
        if declared is not None and length != declared:
            raise Refused(400, "bad_content_length", "the body is not as long as Content-Length says")
        return b"".join(parts)

    def _declared(self, sent: Mapping[bytes, list[bytes]]) -> int | None:
        lengths = sent.get(b"content-length", [])
        if not lengths:
            return None
        # Two lengths, or a length for a body in chunks, mean that someone on the way may read another request.
        if len(lengths) > 1 or b"transfer-encoding" in sent or not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
            raise Refused(400, "bad_content_length", "the length of the body is not stated once and as a number")
        if int(lengths[0]) > self.body:
            raise self._too_large()
        return int(lengths[0])

    def _too_large(self) -> Refused:
        return Refused(413, "body_too_large", f"the body has more than {self.body} bytes; send fewer notes at once")

    def _check_host(self, sent: Mapping[bytes, list[bytes]]) -> None:
        given = sent.get(b"host", [])
        host = _HOST.fullmatch(given[0].decode("latin-1")) if len(given) == 1 else None
        if host is None:
            raise Refused(400, "bad_host", "the request has not one Host header with a name or address")
        name = _plain(host["name"])
        if not self.hosts & {"*", name, f"{name}:{host['port']}"}:
            raise Refused(421, "unknown_host", "this server is not asked for under that name (`--allowed-host`)")

    def _guarded(self, send: Send) -> Send:
        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = list(message.get("headers", []))
                names = {name.lower() for name, _ in own}
                message = {**message, "headers": own + [one for one in self._headers if one[0] not in names]}
            await send(message)

        return guarded


class _Body:
    """The body of a request as it comes; ``left``: the client has gone away before its end."""

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.ended = self.left = False

    async def next(self) -> bytes:
        """The next bytes."""
        message = await self.receive()
        self.left = message["type"] == "http.disconnect"
        self.ended = self.left or not message.get("more_body", False)
        return message.get("body", b"")


def _headers(scope: Scope) -> dict[bytes, list[bytes]]:
    sent: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        sent.setdefault(name.lower(), []).append(value)
    return sent


def _check_origin(sent: Mapping[bytes, list[bytes]]) -> None:
    # A page of another site cannot read answers (no CORS), and with this it cannot ask in a user's name either.
    hosts = [host.lower() for host in sent.get(b"host", [])]
    if any([origin.lower().partition(b"://")[2]] != hosts for origin in sent.get(b"origin", [])):
        raise Refused(403, "foreign_origin", "a page of another site asked; only this server's own page may")


def _plain(host: str) -> str:
    """One spelling of a host: lower case, no dot at the end, addresses of IPv6 shortened."""
    host = host.strip().lower().rstrip(".")
    if host.count(":") > 1 and not host.startswith("["):
        host = f"[{host}]"
    if host.startswith("["):
        address, _, port = host[1:].partition("]")
        with suppress(ValueError):
            return f"[{IPv6Address(address).compressed}]{port}"
    return host


def _replayed(content: bytes, receive: Receive) -> Receive:
    """The body as one message, then what the connection says: that the client has gone away."""
    body: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": content, "more_body": False}]

    async def replayed() -> MutableMapping[str, Any]:
        return body.pop() if body else await receive()

    return replayed


async def _answer(send: Send, refused: Refused, body: _Body) -> None:
    content = json.dumps(refused.body()).encode()
    headers = {"content-type": "application/json", "content-length": str(len(content)), "connection": "close"}
    pairs = [(name.encode(), value.encode()) for name, value in (headers | refused.headers()).items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": pairs})
    await send({"type": "http.response.body", "body": content, "more_body": True})
    # A connection that is closed while the client still sends is reset, and the client may never see the answer.
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER):
            while not body.ended:
                await body.next()
    await send({"type": "http.response.body", "body": b""})
