from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.errors import InputError
from clinprompt.serving.audit import parts
from clinprompt.serving.audit_check import Anchor, parsed_anchor, verify
from clinprompt.serving.audit_line import START, AuditSecret, chained, parsed_line
from tests.serving.audited import RECORD, SECRET, written


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    return written(tmp_path_factory.mktemp("log") / "audit.jsonl")


@pytest.fixture
def found(tmp_path):
    path = tmp_path / "audit.jsonl"

    def found(content, *, secret=SECRET, anchors=()):
        path.write_bytes(b"".join(content))
        return verify(path, secret=secret, anchors=anchors)

    return found


def kinds(audited):
    return [(fault.kind, fault.line) for fault in audited.faults]


@pytest.mark.parametrize("secret", [SECRET, None])
def test_a_log_as_it_was_written(lines, found, secret):
    audited = found(lines, secret=secret)
    assert audited.faults == () and audited.lines == 10 and audited.unclosed == ()
    assert audited.end == Anchor(10, parsed_line(lines[-1][:-1]).hash) and audited.sealed == (secret is not None)


def test_a_changed_line_is_found_with_the_secret_and_without(lines, found):
    for n in range(len(lines)):
        changed = [*lines[:n], lines[n].replace(b'"event":"', b'"event":"x'), *lines[n + 1 :]]
        assert ("changed", n + 1) in kinds(found(changed))
        # Without the secret the line after it shows it; a change of the last line is not found.
        expected = [("changed", n + 2)] if n + 1 < len(lines) else []
        assert kinds(found(changed, secret=None)) == expected


def test_a_removed_line_is_found(lines, found):
    for n in range(len(lines) - 1):
        assert kinds(found(lines[:n] + lines[n + 1 :])) == [("missing", n + 1)]


def test_lines_in_another_order_twice_or_from_elsewhere_are_found(lines, found):
    swapped = [*lines[:3], lines[4], lines[3], *lines[5:]]
    assert kinds(found(swapped)) == [("missing", 4), ("moved", 5), ("missing", 6)]
    assert kinds(found([*lines[:4], lines[3], *lines[4:]])) == [("moved", 5)]
    assert kinds(found([*lines[:4], b"\n", *lines[4:]]))[0] == ("unreadable", 5)
    stranger = chained(4, parsed_line(lines[2][:-1]).hash, time="t", event="request", secret=AuditSecret(b"x" * 32),
                       record=RECORD)  # fmt: skip
    assert ("changed", 4) in kinds(found([*lines[:3], stranger.content + b"\n", *lines[4:]]))


def test_a_chain_written_anew_without_the_secret_shows_by_its_seals(lines, found):
    before, forged = START, []
    for n in range(9):
        line = chained(n + 1, before, time="t", event="request", secret=AuditSecret(b"x" * 32), record=RECORD)
        before = line.hash
        forged.append(line.content + b"\n")
    assert kinds(found(forged)) == [("changed", n + 1) for n in range(9)]
    assert kinds(found(forged, secret=None)) == []  # what the guide says: without the secret this is not found


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_no_bit_of_a_log_can_be_turned(lines, found, place, bit):
    content = bytearray(b"".join(lines))
    content[place % len(content)] ^= 1 << bit
    audited = found([bytes(content)])
    assert audited.faults or audited.torn  # torn: the last line break was the byte


def test_a_cut_end_is_found_with_an_anchor_only(lines, found):
    anchor = found(lines).end
    assert found(lines, anchors=[anchor]).faults == ()
    for n in range(1, len(lines)):
        assert found(lines[:n]).faults == () and found(lines[:n]).unclosed == (n,)
        assert kinds(found(lines[:n], anchors=[anchor])) == [("cut", n)]
    assert kinds(found([], anchors=[anchor])) == [("cut", 0)]
    assert kinds(found(lines, anchors=[Anchor(10, "0" * 64)])) == [("changed", 10)]
    assert found(lines, anchors=[anchor, Anchor(3, parsed_line(lines[2][:-1]).hash)]).faults == ()


def test_a_cut_end_that_was_written_on_is_found_with_an_anchor(tmp_path, lines):
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"".join(lines[:6]))
    written(path, 5)
    anchor = Anchor(10, parsed_line(lines[-1][:-1]).hash)
    assert kinds(verify(path, secret=SECRET, anchors=[anchor])) == [("changed", 10)]
    audited = verify(path, secret=SECRET)
    assert audited.faults == () and audited.unclosed == (6,)


def test_parts_kept_elsewhere_are_stood_for_by_an_anchor(tmp_path):
    path = tmp_path / "audit.jsonl"
    written(path, 30, rotate=3000)
    first, second, *_ = parts(path)
    last = parsed_line(first.read_bytes().splitlines()[-1])
    whole = verify(path, secret=SECRET)
    first.rename(tmp_path / "kept-elsewhere")
    assert kinds(verify(path, secret=SECRET)) == [("missing", 1)]
    rest = verify(path, secret=SECRET, anchors=[Anchor(last.number, last.hash)])
    assert rest.faults == () and rest.end == whole.end
    assert verify(path, secret=SECRET, anchors=[Anchor(last.number, "0" * 64)]).faults
    second.rename(tmp_path / "kept-elsewhere-too")
    assert [fault.kind for fault in verify(path, secret=SECRET).faults] == ["missing"]
    (tmp_path / "kept-elsewhere").rename(first)
    [fault] = verify(path, secret=SECRET).faults
    assert fault.kind == "missing" and fault.file == "audit.3.jsonl" and fault.line == 1
    # The last whole line of a part that is not the last one has a line break: no crash cuts it.
    first.write_bytes(first.read_bytes()[:-9])
    assert "unreadable" in {fault.kind for fault in verify(path, secret=SECRET).faults}


def test_no_log_and_no_anchor(tmp_path):
    with pytest.raises(InputError, match="there is no audit log"):
        verify(tmp_path / "audit.jsonl")
    with pytest.raises(InputError, match="there is no audit log"):
        verify(tmp_path / "none" / "audit.jsonl")
    for text in ("", "7", "7:abc", "0:" + "a" * 64, "7:" + "g" * 64):
        with pytest.raises(InputError, match="no anchor"):
            parsed_anchor(text)
    anchor = Anchor(7, "a" * 64)
    assert parsed_anchor(str(anchor)) == anchor


def test_a_fault_names_file_and_line_and_no_content(lines, found):
    changed = json.dumps(json.loads(lines[4]) | {"who": "CANARY"}).encode() + b"\n"
    [first, *_] = found([*lines[:4], changed, *lines[5:]]).faults
    assert str(first).startswith("unreadable: audit.jsonl line 5: ") and "CANARY" not in str(first)
