from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import threading

import pytest

from clinprompt.errors import InputError
from clinprompt.serving import keys
from clinprompt.serving.keys import ANYONE, Caller, KeyRing, add_key, read_keys, remove_key
from clinprompt.serving.refused import Refused


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.json"


def refused(ring, header):
    with pytest.raises(Refused) as caught:
        ring.check(header)
    return caught.value


def test_a_key_says_who_calls_and_what_is_allowed(path):
    key = add_key(path, "ward-3", tasks=("meds", "problems"), requests=5, characters=900)
    admin = add_key(path, "ann", admin=True)
    ring = KeyRing(path)
    caller = ring.check(f"Bearer {key}")
    assert caller == Caller("ward-3", frozenset({"meds", "problems"}), False, 5, 900)
    assert [caller.allows(task) for task in ("meds", "meds@3", "med", "meds2", "other", "")] == [True, True] + [
        False
    ] * 4
    assert ring.check(f"bearer  {admin} ") == Caller("ann", None, True) and ring.check(f"Bearer {admin}").allows("x")


def test_neither_key_nor_hash_of_it_alone_is_in_the_file(path):
    made = [add_key(path, f"k{n}") for n in range(3)]
    content = path.read_text()
    assert not any(key in content or key[3:] in content for key in made) and len(set(made)) == 3
    assert all(len(key) == len("cp-") + 43 for key in made)  # 256 bits in base 64
    assert hashlib.sha256(made[0].encode()).hexdigest() not in content  # salted
    assert path.stat().st_mode & 0o777 == 0o600 and os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Bearer cp-wrong", "Basic KEY", "KEY", "Bearer KEYx",
                                    "Bearer k", "Bearer \udce9", "Bearer é", "Bearer " + "x" * 100_000])  # fmt: skip
def test_every_other_header_is_refused(path, header):
    key = add_key(path, "k")
    error = refused(KeyRing(path), header and header.replace("KEY", key))
    assert error.status == 401 and error.code == ("invalid_api_key" if header else "missing_api_key")
    assert key not in str(error.body()) and "'k'" not in str(error.body())


def test_the_work_is_the_same_whoever_calls(path, monkeypatch):
    made = [add_key(path, f"k{n}") for n in range(4)]
    ring = KeyRing(path)
    compared = []
    monkeypatch.setattr(keys.hmac, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or a == b)
    counts = []
    for shown in (made[0], made[3], "cp-" + "A" * 43, "", "k0"):
        compared.clear()
        with contextlib.suppress(Refused):
            ring.check(f"Bearer {shown}")
        counts.append(list(compared))
    assert counts == [[(64, 64)] * 4] * 5
    assert hmac is keys.hmac  # compare_digest of the standard library is what was counted


def test_a_change_counts_at_once_in_a_running_server(path):
    first = add_key(path, "first")
    ring = KeyRing(path)
    second = add_key(path, "second")
    assert ring.check(f"Bearer {second}").name == "second"
    remove_key(path, "first")
    assert refused(ring, f"Bearer {first}").code == "invalid_api_key"
    assert ring.check(f"Bearer {second}").name == "second"


@pytest.mark.parametrize("damage", ["readable", "gone", "cut", "no-json"])
def test_a_file_that_cannot_be_used_any_more_opens_nothing_until_it_is_mended(path, damage):
    key = add_key(path, "k")
    ring, content = KeyRing(path), path.read_bytes()
    {"readable": lambda: path.chmod(0o644), "gone": path.unlink, "cut": lambda: path.write_bytes(content[:-20]),
     "no-json": lambda: path.write_bytes(b"\xff")}[damage]()  # fmt: skip
    for _ in range(2):
        error = refused(ring, f"Bearer {key}")
        assert error.status == 503 and error.retry_after
    path.unlink(missing_ok=True)
    path.touch(0o600)
    path.write_bytes(content)
    assert ring.check(f"Bearer {key}").name == "k"


def test_a_server_does_not_begin_with_a_file_that_it_cannot_use(path):
    with pytest.raises(InputError, match="there is no key file"):
        KeyRing(path)
    path.touch(0o600)
    path.write_text('{"format": 1, "salt": "' + "0" * 64 + '", "keys": {"a": {"hash": "zz"}}}')
    with pytest.raises(InputError, match=r"keys\.a\.hash"):
        KeyRing(path)
    assert KeyRing(None).check(None) is ANYONE and KeyRing(None).check("Bearer x").admin


def test_what_is_not_allowed_changes_nothing(path):
    add_key(path, "k")
    before = path.read_bytes()
    with pytest.raises(InputError, match="there is a key named 'k'"):
        add_key(path, "k")
    for name, tasks, what in (("a b", ("*",), "name"), ("", ("*",), "name"), ("a", ("meds@3",), "tasks"),
                              ("a", ("",), "tasks")):  # fmt: skip
        with pytest.raises(InputError, match=f"the {what} of the key"):
            add_key(path, name, tasks=tasks)
    with pytest.raises(InputError, match="the requests of the key"):
        add_key(path, "a", requests=0)
    with pytest.raises(InputError, match="there is no key named 'kk'") as caught:
        remove_key(path, "kk")
    assert "did you mean k?" in caught.value.fix
    assert path.read_bytes() == before


def test_writers_wait_for_each_other(path):
    made = {}
    threads = [threading.Thread(target=lambda n=n: made.update({n: add_key(path, f"k{n}")})) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read_keys(path).keys) == [f"k{n}" for n in range(6)]
    ring = KeyRing(path)
    assert {ring.check(f"Bearer {key}").name for key in made.values()} == {f"k{n}" for n in range(6)}


def test_what_is_shown_of_an_entry_has_no_key(path):
    key = add_key(path, "k")
    assert key not in repr(read_keys(path)) and key not in json.dumps(read_keys(path).model_dump())
