from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
import threading

import pytest

from clinprompt.errors import InputError
from clinprompt.serving import audit as module
from clinprompt.serving.audit import parts
from clinprompt.serving.audit_check import verify
from clinprompt.serving.audit_line import AuditSecret
from clinprompt.serving.refused import Refused
from tests.serving.audited import RECORD, SECRET, opened, written


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.jsonl"


def sound(path, lines):
    found = verify(path, secret=SECRET)
    assert (found.faults, found.lines, found.torn) == ((), lines, 0)
    return found


def events(path):
    return [json.loads(line)["event"] for line in path.read_bytes().splitlines()]


def test_lines_are_numbered_and_only_the_owner_reads_them(path):
    with opened(path) as log:
        assert [log.write(RECORD), log.write(RECORD, event="begun"), log.write(RECORD, event="ended")] == [2, 3, 4]
    assert events(path) == ["opened", "request", "begun", "ended", "closed"]
    assert path.stat().st_mode & 0o777 == 0o600 and os.listdir(path.parent) == [path.name]
    assert sound(path, 5).unclosed == ()


def test_the_chain_goes_on_after_a_restart_and_after_a_kill(path):
    written(path, 2)
    log = opened(path)
    log.write(RECORD)
    log._lock.release()  # as the kernel does when the process dies
    written(path, 1)
    assert sound(path, 9).unclosed == (6,)  # the killed one, not the two that closed


def test_wherever_a_crash_cuts_the_last_line_the_log_goes_on(path):
    lines = written(path, 3)
    whole = b"".join(lines)
    for cut in (*range(0, len(lines[-1]), 23), len(lines[-1]) - 1):
        for zeros in (0, 40):
            path.write_bytes(whole[: len(whole) - len(lines[-1]) + cut] + b"\0" * zeros)
            found = verify(path, secret=SECRET)
            assert (found.faults, found.lines, found.torn) == ((), 4, cut + zeros)
            with opened(path) as log:
                log.write(RECORD)
            assert json.loads(path.read_bytes().splitlines()[4])["torn"] == cut + zeros
            sound(path, 7)


@pytest.mark.parametrize("end", [b"x", b'{"line":99', b'{"line":6,"before":"0000', b"\0\0x", b"{}\n", b"\n", b"\xff\n"])
def test_an_end_that_no_crash_leaves_is_not_gone_on_with(path, end):
    written(path, 3)
    with path.open("ab") as file:
        file.write(end)
    content = path.read_bytes()
    assert verify(path, secret=SECRET).faults
    with pytest.raises(InputError, match="audit verify"):
        opened(path)
    assert path.read_bytes() == content and os.listdir(path.parent) == [path.name]


def test_a_log_of_another_secret_is_not_gone_on_with(path):
    written(path)
    with pytest.raises(InputError, match="another secret"):
        opened(path, secret=AuditSecret(b"other" * 8))


def test_a_line_longer_than_what_is_read_first_is_found(path, monkeypatch):
    monkeypatch.setattr(module, "_TAIL", 16)
    for _ in range(2):
        written(path, 1)
    sound(path, 6)


def test_one_process_writes(path):
    code = (
        "import sys; from pathlib import Path; from clinprompt.serving.audit import AuditLog\n"
        "from clinprompt.serving.audit_line import AuditSecret\n"
        "AuditLog(Path(sys.argv[1]), secret=AuditSecret(b's' * 32))"
    )
    log = opened(path)
    ended = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and f"process {os.getpid()} is working on this audit log" in ended.stderr
    with pytest.raises(InputError, match="is working on this audit log"):
        opened(path)
    log.write(RECORD)
    log.close()
    with pytest.raises(Refused, match="closed"):
        log.write(RECORD)
    sound(path, 3)


@pytest.mark.parametrize("fsync", ["line", "never"])
def test_threads_write_one_chain(path, fsync):
    with opened(path, rotate=4000, fsync=fsync) as log:
        numbers = []
        threads = [
            threading.Thread(target=lambda: numbers.extend([log.write(RECORD) for _ in range(12)])) for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(numbers)) == 72 and len(parts(path)) > 3
    assert sound(path, max(numbers) + 1).unclosed == ()


def test_a_full_disk_refuses_and_the_log_goes_on_when_there_is_room(path):
    log = opened(path)
    log.write(RECORD)
    length = path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (0, 1, 150):  # the kernel takes so many bytes of the line and no more
        resource.setrlimit(resource.RLIMIT_FSIZE, (length + room, limits[1]))
        try:
            for _ in range(2):
                with pytest.raises(Refused) as caught:
                    log.write(RECORD)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert (caught.value.status, caught.value.code) == (503, "audit_unavailable") and caught.value.retry_after
        assert path.stat().st_size == length
    assert log.write(RECORD) == 3
    log.close()
    sound(path, 4)


def fails(*_):
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("broken", [("fsync",), ("write",), ("write", "ftruncate"), ("open", "fsync")])
def test_a_disk_that_fails_refuses_until_it_works(path, broken, monkeypatch):
    log = opened(path, fsync="line")
    log.write(RECORD)
    for name in broken:
        monkeypatch.setattr(module.os, name, fails)
    for _ in range(2):
        with pytest.raises(Refused, match="Input/output error"):
            log.write(RECORD)
    monkeypatch.undo()
    number = log.write(RECORD)
    log.close()
    sound(path, number + 1)


def test_a_disk_that_fails_at_the_start_is_told(path, monkeypatch):
    monkeypatch.setattr(module.os, "fsync", fails)
    with pytest.raises(InputError, match="cannot be written: Input/output error"):
        opened(path)
    monkeypatch.undo()
    opened(path).close()


@pytest.mark.parametrize("change", ["appended", "cut", "moved", "replaced"])
def test_nothing_is_written_after_another_program_was_there(path, change):
    log = opened(path)
    log.write(RECORD)
    content = path.read_bytes()
    if change in ("moved", "replaced"):
        path.rename(path.with_suffix(".old"))
    if change == "replaced":
        path.write_bytes(content)
    if change == "appended":
        path.write_bytes(content + b"{}\n")
    if change == "cut":
        path.write_bytes(content[: content.index(b"\n") + 1])
    before = {one.name: one.read_bytes() for one in path.parent.glob("audit*")}
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            log.write(RECORD)
        assert caught.value.status == 503
    log.close()
    assert {one.name: one.read_bytes() for one in path.parent.glob("audit*")} == before


def test_rotation_keeps_the_chain_also_when_it_is_killed_in_the_middle(path):
    written(path, 30, rotate=3000)
    made = parts(path)
    assert [part.name for part in made] == [f"audit.{n + 1}.jsonl" for n in range(len(made))] and len(made) >= 4
    count = sum(len(part.read_bytes().splitlines()) for part in (*made, path))
    sound(path, count)
    path.rename(path.with_name(f"audit.{len(made) + 1}.jsonl"))  # killed before the new file was there
    sound(path, count)
    path.write_bytes(b"")  # killed before its first line was
    written(path, 1)
    sound(path, count + 3)
    path.write_bytes(path.read_bytes()[:100])  # killed within its first line
    assert verify(path, secret=SECRET).torn == 100
    written(path, 1)
    sound(path, count + 3)


def test_parts_are_in_the_order_of_their_numbers_and_others_are_none(path):
    names = ("audit.2.jsonl", "audit.10.jsonl", "audit.1.jsonl")
    for name in (*names, "audit.old.jsonl", "audit.jsonl", "audit.1.txt", "audit.-1.jsonl", "xaudit.3.jsonl"):
        (path.parent / name).touch()
    assert [part.name for part in parts(path)] == ["audit.1.jsonl", "audit.2.jsonl", "audit.10.jsonl"]
