"""``clinprompt audit verify`` as a user types it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from clinprompt.serving.audit_line import audit_secret
from tests.serving.audited import RECORD, opened, written


@pytest.fixture
def lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return written(tmp_path / "audit.jsonl", secret=audit_secret(tmp_path / "audit.secret", make=True))


def test_a_good_log_gives_its_anchor(lines, clinprompt):
    said = clinprompt("audit", "verify", "audit.jsonl", "--secret", "audit.secret")
    assert said.code == 0 and said.out.startswith("10:") and len(said.out.strip()) == 67
    assert "10 lines, 0 faults; seals checked; a cut end is not found without --anchor" in said.err
    again = clinprompt("audit", "verify", "audit.jsonl", "--anchor", said.out.strip())
    assert again.code == 0 and "seals not checked" in again.err and "cut end" not in again.err
    told = json.loads(clinprompt("audit", "verify", "audit.jsonl", "--json").out)
    assert told == {"file": "audit.jsonl", "lines": 10, "faults": [], "anchor": said.out.strip(), "torn": 0,
                    "unclosed": [], "sealed": False}  # fmt: skip


def test_changes_are_told_with_exit_code_2(lines, tmp_path, clinprompt):
    anchor = clinprompt("audit", "verify", "audit.jsonl").out.strip()
    (tmp_path / "audit.jsonl").write_bytes(b"".join(lines[:2] + lines[3:6]) + lines[6][:30])
    said = clinprompt("audit", "verify", "audit.jsonl", "--anchor", anchor)
    assert said.code == 2 and said.out == "" and said.err.count("error: ") == 1
    told = " ".join(said.err.split())
    for part in ("missing: audit.jsonl line 3: of the log, 3 to 3 are not here", "cut: audit.jsonl line 5: line 10 of the anchor",
                 "unfinished (30 bytes)", "not closed after line 6", "5 lines, 2 faults", "changed in 2 places"):  # fmt: skip
        assert part in told
    ended = clinprompt("audit", "verify", "audit.jsonl", "--json")
    assert ended.code == 2 and json.loads(ended.out)["faults"] == [
        {"kind": "missing", "file": "audit.jsonl", "line": 3, "what": "of the log, 3 to 3 are not here"}
    ]


@pytest.mark.parametrize(
    ("words", "what"),
    [(("none.jsonl",), "there is no audit log (none.jsonl)"),
     (("audit.jsonl", "--anchor", "7"), "NUMBER:HASH"),
     (("audit.jsonl", "--secret", "none"), "there is no secret of the audit log (none)")],
)  # fmt: skip
def test_bad_input_is_one_paragraph(lines, clinprompt, words, what):
    ended = clinprompt("audit", "verify", *words)
    assert ended.code == 2 and ended.err.count("error: ") == 1 and what in " ".join(ended.err.split())


def test_who_sent_a_note_is_found(lines, tmp_path, clinprompt):
    secret = audit_secret(tmp_path / "audit.secret")
    sent = "Took aspirin.\r\nÄ"
    with opened(tmp_path / "audit.jsonl", secret=secret) as log:
        number = log.write(replace(RECORD, who="ann", notes=(secret.mark("another"), secret.mark(sent))))
    (tmp_path / "note.txt").write_bytes(sent.encode())
    (tmp_path / "other.txt").write_bytes(sent.replace("\r", "").encode())
    words = ("audit", "find", "audit.jsonl", "note.txt", "--secret", "audit.secret")
    said = clinprompt(*words)
    assert said.code == 0 and "ann" in said.out and "meds@3" in said.out and "aspirin" not in said.out + said.err
    [one] = json.loads(clinprompt(*words, "--json").out)["found"]
    assert (one["line"], one["who"], one["prompts"]) == (number, "ann", ["meds@3"])
    other = clinprompt("audit", "find", "audit.jsonl", "other.txt", "--secret", "audit.secret", "--json")
    assert json.loads(other.out)["found"] == []
    (tmp_path / "other.txt").write_bytes(b"\xff")
    assert clinprompt("audit", "find", "audit.jsonl", "other.txt", "--secret", "audit.secret").code == 2
