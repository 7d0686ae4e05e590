from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.errors import InputError
from clinprompt.serving.audit_line import START, AuditRecord, AuditSecret, audit_secret, chained, head, parsed_line
from tests.serving.audited import RECORD, SECRET


def test_a_line_tells_what_was_asked_and_has_no_note():
    line = chained(1, START, time="2026-03-01T00:00:00.000Z", event="request", secret=SECRET, record=RECORD)
    told = json.loads(line.content)
    assert list(told)[:4] == ["line", "before", "time", "event"] and list(told)[-1] == "seal"
    assert (told["who"], told["status"], told["prompts"], told["characters"]) == ("ward-3", 200, ["meds@3"], 6)
    assert b"a note" not in line.content
    assert parsed_line(line.content) == line and line.sealed_by(SECRET) and not line.sealed_by(AuditSecret(b"x" * 32))


@given(who=st.text(max_size=20), route=st.text(max_size=20), number=st.integers(1, 10**12))
def test_any_text_stays_within_its_line(who, route, number):
    record = AuditRecord(who, route, 200)
    line = chained(number, START, time="t", event="request", secret=SECRET, record=record)
    assert b"\n" not in line.content and line.content.startswith(head(number, START))
    assert parsed_line(line.content) == line and line.sealed_by(SECRET)
    assert json.loads(line.content)["who"] == who


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_byte_of_a_line_can_be_changed(place, change):
    line = chained(7, "a" * 64, time="t", event="request", secret=SECRET, record=RECORD)
    place %= len(line.content)
    content = bytearray(line.content)
    content[place] ^= change
    other = parsed_line(bytes(content))
    assert other is None or not other.sealed_by(SECRET)


def test_a_mark_tells_equal_notes_and_nothing_else(tmp_path):
    assert SECRET.mark("a") == SECRET.mark("a") != SECRET.mark("a ") and len(SECRET.mark("a")) == 32
    assert SECRET.mark("a") != AuditSecret(b"t" * 32).mark("a")
    assert SECRET.mark("\ud800")  # a lone half of a pair, as JSON may bring it
    assert SECRET.mark("a") != SECRET.seal(b"a")[:32]
    assert "s" * 32 not in repr(SECRET)


def test_the_secret_is_made_once_and_kept_from_others(tmp_path):
    path = tmp_path / "audit.secret"
    with pytest.raises(InputError, match="there is no secret"):
        audit_secret(path)
    made = audit_secret(path, make=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert audit_secret(path, make=True).mark("a") == audit_secret(path).mark("a") == made.mark("a")
    path.chmod(0o644)
    with pytest.raises(InputError, match="others than its owner"):
        audit_secret(path)
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(InputError, match="has 5 bytes"):
        audit_secret(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\0" * 50, b'{"line":1}', b"\xff"])
def test_what_is_no_line_is_none(content):
    assert parsed_line(content) is None
