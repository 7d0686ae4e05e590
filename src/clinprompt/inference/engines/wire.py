"""The road to an OpenAI-compatible server: what is sent again, and what failures say."""

from __future__ import annotations

import random
import re
import weakref
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from threading import Event
from typing import TYPE_CHECKING, Any

from clinprompt.errors import InputError
from clinprompt.inference.engines.open_line import OpenLine, joined
from clinprompt.inference.engines.ticket import Terms

if TYPE_CHECKING:
    import httpx

AGAIN = frozenset({429, 502, 503, 504})
"""Answers of a server that is busy, or on its way up: the same request may be sent again."""

NOT_STREAMED = frozenset({400, 404, 405, 415, 422, 501})
"""Answers of a server that may take a request in one piece which it does not take as a stream."""

LOOK = 0.1
"""Seconds between two looks at whether answers are still wanted."""

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0
"""Seconds before a request is sent again: the first time, and at most."""


class Refused(InputError):
    """A request that the server does not take, with its HTTP ``status``; never with the server's own words.

    Those may repeat the note.
    """

    def __init__(self, status: int, what: str, *, where: str, fix: str = "") -> None:
        self.status = status
        super().__init__(what, where=where, fix=fix)


class Wire:
    """Requests to one server, ``at_once`` of them and as many streams at a time, from any number of threads.

    ``timeout`` is in seconds and for one answer, ``retries`` says how often a request is sent again that the server
    was too busy for or whose connection broke. Proxies are never used and redirections never followed: notes go where
    the address says and nowhere else.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str = "",
        at_once: int = 16,
        timeout: float = 300.0,
        retries: int = 6,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        import httpx

        self.url, self.at_once, self.timeout, self.retries = url, at_once, timeout, retries
        self.closing, self.streams = Event(), True
        self.client, self.lines = (
            httpx.Client(
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0), pool=None),
                limits=httpx.Limits(max_connections=at_once, max_keepalive_connections=kept),
                trust_env=False,
                follow_redirects=False,
                transport=transport,
            )
            for kept in (at_once, 0)  # a stream has a connection of its own, which can be cut from its first moment
        )
        weakref.finalize(self, _close, self.client, self.lines)  # of a wire that nobody closed

    def models(self) -> list[dict[str, Any]]:
        """What the server says of its models; :class:`InputError` where there is no such server."""
        found = self._content(self._send("GET", "models", None, first=True), "models")
        listed = found.get("data")
        if not isinstance(listed, list) or not all(
            isinstance(one, dict) and isinstance(one.get("id"), str) for one in listed
        ):
            raise InputError("the server does not list models as OpenAI's API does", where=self.url, fix=_FIX_URL)
        return listed

    def complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one request to ``/completions``; :class:`Refused` for one that the server does not take."""
        return self._content(self._send("POST", "completions", body), "completions")

    def several(
        self,
        bodies: Iterable[Mapping[str, Any]],
        *,
        watch: Callable[[int], None] = lambda rows: None,
        terms: Terms | None = None,
        heard: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> list[dict[str, Any]]:
        """The answers to many requests in their order; the first failure ends them all.

        When the ``terms`` are broken, nothing more is sent and the reason is raised. With ``heard``, which hears each
        piece, they come as streams, where the server has them; their connections are then cut, so that it may stop.
        """
        lines: list[OpenLine] = []

        def asked(body: Mapping[str, Any]) -> Callable[[], dict[str, Any]]:
            if heard is None:
                return lambda: self.complete(body)
            lines.append(OpenLine())
            return lambda line=lines[-1]: self._streamed(body, line, heard)

        pool = ThreadPoolExecutor(self.at_once, thread_name_prefix="engine")
        waiting = [pool.submit(asked(body)) for body in bodies]
        left = set(waiting)
        try:
            while left:
                done, left = wait(left, timeout=None if terms is None else LOOK, return_when=FIRST_COMPLETED)
                if left and terms is not None and (reason := terms.broken()) is not None:
                    raise reason
                for one in done:
                    one.result()
                    watch(1)
        finally:
            for line in lines:
                line.cut()
            # Whoever gives up does not wait for a server that has not begun to answer.
            pool.shutdown(wait=terms is None or not left, cancel_futures=True)
        return [one.result() for one in waiting]

    def close(self) -> None:
        """Close all connections; requests that wait to be sent again give up."""
        self.closing.set()
        _close(self.client, self.lines)

    def _streamed(
        self, body: Mapping[str, Any], line: OpenLine, heard: Callable[[Mapping[str, Any]], None]
    ) -> dict[str, Any]:
        """The answer as one, each piece of it told when it comes; in one piece from a server that has no streams."""
        import httpx

        line.check()
        if not self.streams:
            return self.complete(body)
        more = {"stream": True, "stream_options": {"include_usage": True}}
        answer = self._send("POST", "completions", {**body, **more}, line=line)
        if line.told is not None:
            found = []
            try:
                for piece in line.told:
                    found.append(piece)
                    heard(piece)
            except httpx.TimeoutException:
                raise self._slow() from None
            except httpx.TransportError as error:
                raise self._away(error) from None
            finally:
                answer.close()
            return joined(found, where=self.url)
        if answer.status_code not in NOT_STREAMED:
            return self._content(answer, "completions")
        line.check()
        whole = self.complete(body)
        self.streams = False
        return whole

    def _send(
        self, method: str, route: str, body: Mapping[str, Any] | None, *, first: bool = False,
        line: OpenLine | None = None,
    ) -> httpx.Response:  # fmt: skip
        """What the server answers, after as many attempts as it takes; for a ``line`` a stream has only begun."""
        import httpx

        client = self.lines if line else self.client
        more = line.asked if line else {}
        for sent in range(self.retries + 1):
            last = sent == self.retries
            if line is not None:
                line.check()
            try:
                request = client.build_request(method, f"{self.url}/{route}", json=body, **more)
                answer = client.send(request, stream=line is not None)
                if line is not None:
                    line.begin(answer, where=self.url)
            except httpx.TimeoutException as error:
                if isinstance(error, httpx.ConnectTimeout) and not (first or last):
                    self._pause(sent, "")
                    continue
                raise self._slow() from None
            except httpx.TransportError as error:
                if first or last:
                    raise self._away(error, first=first) from None
                self._pause(sent, "")
                continue
            if answer.status_code in AGAIN and not last:
                answer.close()
                self._pause(sent, answer.headers.get("retry-after", ""))
                continue
            return answer
        raise AssertionError("the last attempt returns or raises")

    def _slow(self) -> InputError:
        return InputError(
            f"the engine did not answer within {self.timeout:g} seconds",
            where=self.url,
            fix="give it more time (`--set engine.timeout=900`) or fewer requests at once (`--set engine.at_once=4`)",
        )

    def _away(self, error: Exception, *, first: bool = False) -> InputError:
        return InputError(
            "there is no engine at this address" if first else "the engine has gone away",
            where=f"{self.url}, {type(error).__name__}",
            fix="start it, or give its address as --engine-url",
        )

    def _pause(self, sent: int, asked: str) -> None:
        """Wait before the next attempt: what the server asks for, else twice as long each time, by chance shorter."""
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**sent) * random.uniform(0.5, 1.0)
        if re.fullmatch(r"\d{1,6}(\.\d+)?", asked.strip()):
            pause = max(pause, min(float(asked), 2 * LONGEST_PAUSE))
        if self.closing.wait(pause):
            raise InputError("the connection to the engine was closed", where=self.url)

    def _content(self, answer: httpx.Response, route: str) -> dict[str, Any]:
        status = answer.status_code
        if status in (401, 403):
            raise Refused(status, "the engine does not accept the key" if self.client.headers.get("authorization")
                          else "the engine asks for a key", where=self.url,
                          fix="give the file that holds it as --engine-key")  # fmt: skip
        if status in AGAIN:
            raise Refused(status, f"the engine was too busy {self.retries + 1} times (HTTP {status})", where=self.url,
                          fix="ask less at once (`--set engine.at_once=4`) or try again later")  # fmt: skip
        if 300 <= status < 400:
            raise Refused(status, "the server sends requests on to another address", where=self.url,
                          fix="give the engine's own address as --engine-url")  # fmt: skip
        try:
            content = answer.json()
        except ValueError:
            content = None
        if status == 404 and route == "models":
            raise Refused(status, "there is a server at this address, but no OpenAI-compatible one", where=self.url,
                          fix=_FIX_URL)  # fmt: skip
        if status == 404:
            raise Refused(status, f"the engine has no /{route} for this model", where=self.url,
                          fix="name the model as the engine does (--engine-model); " + _FIX_URL)  # fmt: skip
        if status >= 400:
            raise Refused(status, f"the engine refuses /{route} (HTTP {status}{_code(content)})", where=self.url)
        if not isinstance(content, dict):
            raise InputError("the server's answer is no JSON object", where=f"{self.url}/{route}", fix=_FIX_URL)
        return content


def _close(*clients: httpx.Client) -> None:
    for client in clients:
        client.close()


_FIX_URL = "give the address that ends before /completions, such as http://127.0.0.1:8000/v1"


def _code(content: Any) -> str:
    """The short names that a server gives an error, without its message."""
    error = content.get("error") if isinstance(content, dict) else None
    given = [error.get(name) for name in ("type", "code")] if isinstance(error, dict) else []
    names = [one for one in given if isinstance(one, str) and re.fullmatch(r"[A-Za-z_]{1,40}", one)]
    return "".join(f", {name}" for name in names)
