"""The limits in front of a real server, with clients that no library would be."""

from __future__ import annotations

import socket
import threading
import time

import pytest
import uvicorn

from clinprompt.serving import limits
from clinprompt.serving.limits import Limits


async def app(scope, receive, send):
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"%02d" % len(message["body"])})


@pytest.fixture(scope="module")
def port():
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    patch = pytest.MonkeyPatch()
    patch.setattr(limits, "_LINGER", 0.3)
    settings = uvicorn.Config(Limits(app, body=50, seconds=0.3), lifespan="off", log_config=None, ws="none")
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join()
    patch.undo()


def said(port, *pieces, pause=0.0):
    """What the server says to these bytes until it closes the connection or is silent for half a second."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=0.5) as client:
        try:
            for piece in pieces:
                client.sendall(piece)
                time.sleep(pause)
            while chunk := client.recv(4096):
                got += chunk
        except (TimeoutError, ConnectionError):
            pass
    return got


def post(*headers, body=b""):
    lines = [b"POST / HTTP/1.1", b"Host: localhost", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


CLOSE = b"Connection: close"
CHUNKED = b"Transfer-Encoding: chunked"


def status(answer):
    return int(answer[9:12]) if answer else None


def test_bodies_of_all_kinds(port):
    assert said(port, post(b"Content-Length: 7", CLOSE, body=b"a" * 7)).endswith(b"07")
    assert said(port, post(CHUNKED, CLOSE, body=b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")).endswith(b"07")
    assert status(said(port, post(b"Content-Length: 51", body=b"a" * 51))) == 413
    assert status(said(port, post(b"Content-Length: 99999999"))) == 413  # before anything is sent
    assert status(said(port, post(b"Content-Length: 99999999", b"Expect: 100-continue"))) == 413
    assert status(said(port, post(CHUNKED, body=b"30\r\n" + b"a" * 48 + b"\r\n30\r\n" + b"a" * 48 + b"\r\n"))) == 413
    assert status(said(port, post(b"Content-Length: 20", body=b"a"))) == 408  # the rest never comes
    assert status(said(port, post(CHUNKED), *[b"1\r\na\r\n"] * 4, pause=0.06)) == 408
    assert status(said(port, post(b"Content-Length: 7", CHUNKED, body=b"0\r\n\r\n"))) == 400
    assert status(said(port, b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")) == 421


def test_who_sends_much_before_listening_hears_why_it_was_refused(port):
    body = b"a" * 5_000_000
    assert status(said(port, post(b"Content-Length: 5000000", body=body))) == 413
    assert status(said(port, post(CHUNKED, body=b"4c4b40\r\n" + body + b"\r\n0\r\n\r\n"))) == 413


def test_after_a_refusal_the_rest_of_a_body_is_not_taken_for_a_request(port):
    inner = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = said(port, post(b"Content-Length: 90", body=inner + b"x" * (90 - len(inner))) + inner)
    assert answer.count(b"HTTP/1.1") == 1 and status(answer) == 413


def test_a_websocket_is_not_opened(port):
    wanted = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: AAAA")
    assert b"101" not in said(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"\r\n".join(wanted) + b"\r\n\r\n")[:20]


def test_slow_clients_do_not_keep_others_from_being_answered(port):
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    for client in slow:
        client.sendall(post(b"Content-Length: 20", body=b"a"))
    began = time.monotonic()
    assert status(said(port, post(b"Content-Length: 1", CLOSE, body=b"a"))) == 200
    assert time.monotonic() - began < 0.3
    for client in slow:
        client.close()
