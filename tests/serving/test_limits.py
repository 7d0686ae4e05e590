from __future__ import annotations

import asyncio
import json

import pytest

from clinprompt.serving import limits
from clinprompt.serving.limits import LOCAL, SECURITY, Limits
from clinprompt.serving.refused import Refused

HOST = (b"host", b"localhost:8080")


async def echo(scope, receive, send):
    """An application that answers with the body it got and what comes after it."""
    message = await receive()
    assert not message["more_body"]
    after = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"Cache-Control", b"max-age=60")]})
    await send({"type": "http.response.body", "body": message["body"] + b"|" + after["type"].encode()})


def call(app, *, headers=(HOST,), parts=(b"",), kind="http", pause=0.0, left=False, method="POST", path="/"):
    """Status, headers and body that a client sees, and what was read of the body before that was sent."""
    sent, read = [], []
    messages = [
        {"type": "http.request", "body": part, "more_body": left or n < len(parts) - 1} for n, part in enumerate(parts)
    ]

    async def receive():
        if not messages:
            return {"type": "http.disconnect"}
        await asyncio.sleep(pause)
        if not sent:
            read.append(messages[0])
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(app({"type": kind, "headers": list(headers), "method": method, "path": path}, receive, send))
    if not sent or kind != "http":
        return sent, read
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"], read


def length(number):
    return (HOST, (b"Content-Length", str(number).encode()))


def code(body):
    return json.loads(body)["error"]["code"]


@pytest.mark.parametrize("parts", [(b"hello",), (b"he", b"", b"llo"), tuple(b"%c" % c for c in b"hello"), (b"",)])
@pytest.mark.parametrize("stated", [True, False])
def test_a_body_that_fits_arrives_whole(parts, stated):
    body = b"".join(parts)
    status, _, content, _ = call(Limits(echo, body=5), headers=length(len(body)) if stated else (HOST,), parts=parts)
    assert (status, content) == (200, body + b"|http.disconnect")


@pytest.mark.parametrize(
    ("headers", "parts", "status", "name", "read"),
    [
        (length(6), (b"hello!",), 413, "body_too_large", 0),  # refused before any of it is read
        (length(10**18 - 1), (b"x",), 413, "body_too_large", 0),
        ((HOST,), (b"hel", b"lo!", b"more", b"and more"), 413, "body_too_large", 2),
        (length(3), (b"hello!!",), 413, "body_too_large", 1),  # a lie that is found by counting
        (length(3), (b"hell",), 400, "bad_content_length", 1),
        (length(5), (b"hell",), 400, "bad_content_length", 1),
        (length(-1), (b"",), 400, "bad_content_length", 0),
        (length("1e3"), (b"",), 400, "bad_content_length", 0),
        (length("1, 1"), (b"x",), 400, "bad_content_length", 0),
        (length("9" * 40), (b"x",), 400, "bad_content_length", 0),
        ((*length(1), (b"content-length", b"1")), (b"x",), 400, "bad_content_length", 0),
        ((*length(1), (b"transfer-encoding", b"chunked")), (b"x",), 400, "bad_content_length", 0),
    ],
)
def test_a_body_that_does_not_fit_or_lies(headers, parts, status, name, read):
    seen = call(Limits(echo, body=5), headers=headers, parts=parts)
    assert (seen[0], code(seen[2]), len(seen[3])) == (status, name, read)
    assert seen[1][b"connection"] == b"close" and seen[1][b"content-length"] == str(len(seen[2])).encode()


def test_a_body_that_drips_is_given_up():
    seen = call(Limits(echo, seconds=0.05), parts=(b"x",) * 100, pause=0.01)
    assert seen[0] == 408 and code(seen[2]) == "body_timeout" and len(seen[3]) < 10


def test_a_client_that_goes_away_is_not_answered():
    sent, read = call(Limits(echo), parts=(b"x",), left=True)
    assert sent == [] and len(read) == 1


@pytest.mark.parametrize(
    ("allowed", "host", "status"),
    [
        (LOCAL, b"localhost", 200), (LOCAL, b"LOCALHOST.:1", 200), (LOCAL, b"127.0.0.1:8080", 200),
        (LOCAL, b"[::1]", 200), (LOCAL, b"[::1]:8080", 200), (LOCAL, b"[0:0:0:0:0:0:0:1]:80", 200),
        (LOCAL, b"evil.example", 421), (LOCAL, b"evil.example:8080", 421), (LOCAL, b"localhost.evil.example", 421),
        (LOCAL, b"127.0.0.1.nip.example", 421), (LOCAL, b"[::2]", 421), (LOCAL, b"10.0.0.1", 421),
        (LOCAL, b"", 400), (LOCAL, b"localhost:", 400), (LOCAL, b"localhost:8o", 400), (LOCAL, b"local host", 400),
        (LOCAL, b"localhost@evil.example", 400), (LOCAL, b"localhost/x", 400), (LOCAL, b"::1", 400),
        (LOCAL, b"[::1", 400), (LOCAL, b"localhost\xff", 400), (LOCAL, b"localhost,evil.example", 400),
        (("Notes.Example",), b"notes.example:443", 200), (("notes.example:443",), b"notes.example:443", 200),
        (("notes.example:443",), b"notes.example:444", 421), (("notes.example:443",), b"notes.example", 421),
        (("[::1]:9",), b"[::1]:9", 200), (("[::1]:9",), b"[::1]:8", 421), (("[0::1]:9",), b"[::1]:9", 200),
        (("2001:db8::5",), b"[2001:db8::5]:8080", 200), (("*",), b"anything.example", 200), (("*",), b"any thing", 400),
    ],
)  # fmt: skip
def test_the_host_is_one_of_ours(allowed, host, status):
    seen = call(Limits(echo, hosts=allowed), headers=((b"host", host),))
    assert seen[0] == status
    if status != 200:
        assert code(seen[2]) == {400: "bad_host", 421: "unknown_host"}[status] and len(seen[3]) == 0


@pytest.mark.parametrize("headers", [((b"host", b"10.0.0.5:8081"),), (), (HOST, HOST), ((b"host", b"any thing"),)])
def test_probes_come_in_under_every_name_and_are_told_apart(headers):
    async def app(scope, receive, send):
        seen.append(scope["state"]["unknown_host"])
        await echo(scope, receive, send)

    for method, path, status in (("GET", "/readyz", 200), ("HEAD", "/readyz", 200), ("POST", "/readyz", None),
                                 ("GET", "/readyz/", None), ("GET", "/", None)):  # fmt: skip
        seen = []
        found = call(Limits(app, probes=("/readyz",)), headers=headers, method=method, path=path)[0]
        assert (found == status and seen == [True]) if status else (found in (400, 421) and not seen)
    foreign = (*headers, (b"origin", b"http://evil.example"))
    assert call(Limits(echo, probes=("/readyz",)), headers=foreign, method="GET", path="/readyz")[0] == 403


def test_no_host_or_two_are_refused():
    assert call(Limits(echo), headers=())[0] == 400
    assert call(Limits(echo), headers=(HOST, HOST))[0] == 400


@pytest.mark.parametrize(
    ("origin", "status"),
    [(b"http://localhost:8080", 200), (b"https://LOCALHOST:8080", 200), (b"http://localhost:3000", 403),
     (b"https://evil.example", 403), (b"null", 403), (b"", 403), (b"http://localhost:8080.evil.example", 403)],
)  # fmt: skip
def test_pages_of_other_sites_may_not_ask(origin, status):
    assert call(Limits(echo), headers=(HOST, (b"origin", origin)))[0] == status


def test_every_answer_has_the_headers_and_an_application_may_set_its_own():
    for seen in (call(Limits(echo)), call(Limits(echo), headers=())):
        assert {name.decode() for name in seen[1]} >= set(SECURITY) - {"cache-control"}
        assert not any(name.startswith(b"access-control") for name in seen[1])
    ours, refused = call(Limits(echo)), call(Limits(echo), headers=())
    assert ours[1][b"Cache-Control"] == b"max-age=60" and b"cache-control" not in ours[1]
    assert refused[1][b"cache-control"] == b"no-store"
    policy = SECURITY["content-security-policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy


def test_who_is_not_admitted_sends_no_body_for_nothing():
    def admit(scope):
        raise Refused(401, "missing_api_key", "no")

    seen = call(Limits(echo, admit=admit), parts=(b"x" * 100,))
    assert seen[0] == 401 and seen[3] == [] and seen[1][b"www-authenticate"] == b"Bearer"


def test_what_a_refused_client_still_sends_is_read_after_the_answer(monkeypatch):
    sent, given = [], []

    async def receive():
        given.append(len(sent))
        await asyncio.sleep(0.001)
        return {"type": "http.request", "body": b"x" * 100, "more_body": len(given) < ending}

    async def send(message):
        sent.append(message)

    monkeypatch.setattr(limits, "_LINGER", 0.05)
    for ending in (4, 10**9):  # and no longer than that, however long it sends
        sent.clear()
        given.clear()
        asyncio.run(Limits(echo, body=50)({"type": "http", "headers": [HOST]}, receive, send))
        assert sent[0]["status"] == 413 and code(sent[1]["body"]) == "body_too_large"
        assert [one.get("more_body", False) for one in sent[1:]] == [True, False]
        assert given[0] == 0 and set(given[1:]) == {2} and (len(given) == 4 or ending > 4)


def test_websockets_are_refused_and_the_life_of_the_server_goes_on():
    sent, _ = call(Limits(echo), kind="websocket")
    assert [(one["type"], one["code"]) for one in sent] == [("websocket.close", 1008)]
    lived = []

    async def app(scope, receive, send):
        lived.append(scope["type"])

    call(Limits(app), kind="lifespan")
    assert lived == ["lifespan"]
