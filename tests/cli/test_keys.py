"""``clinprompt keys`` as a user types it."""

from __future__ import annotations

import json

import pytest

from clinprompt.serving.keys import KeyRing, read_keys
from clinprompt.serving.refused import Refused


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_key_is_shown_once_alone_on_stdout(place, clinprompt):
    said = clinprompt("keys", "add", "keys.json", "ward-3", "--task", "meds", "--task", "problems", "--requests", "60")
    key = said.out.strip()
    assert said.code == 0 and said.out == f"{key}\n" and key not in said.err and "not shown again" in said.err
    caller = KeyRing(place / "keys.json").check(f"Bearer {key}")
    assert (caller.name, caller.tasks, caller.admin, caller.requests) == ("ward-3", {"meds", "problems"}, False, 60)
    told = json.loads(clinprompt("keys", "add", "keys.json", "ann", "--admin", "--json").out)
    assert KeyRing(place / "keys.json").check(f"Bearer {told['key']}").admin and told["tasks"] == ["*"]
    for words in (("list", "keys.json"), ("list", "keys.json", "--json")):
        shown = clinprompt("keys", *words)
        assert "ward-3" in shown.out and key not in shown.out + shown.err
        assert all(entry.hash not in shown.out for entry in read_keys(place / "keys.json").keys.values())
    removed = clinprompt("keys", "remove", "keys.json", "ward-3")
    assert removed.code == 0 and "removed ward-3" in removed.err
    with pytest.raises(Refused):
        KeyRing(place / "keys.json").check(f"Bearer {key}")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("add", "keys.json", "ward 3"), "the name of the key 'ward 3' cannot be used"),
        (("add", "keys.json", "k", "--task", "meds@3"), "Allowed: names of tasks without versions"),
        (("add", "keys.json", "there"), "there is a key named 'there'"),
        (("remove", "keys.json", "their"), "Did you mean there?"),
        (("list", "none.json"), "there is no key file (none.json)"),
        (("list", "open.json"), "chmod 600 open.json"),
        (("add", "open.json", "k"), "chmod 600 open.json"),
        (("list", "no-keys.json"), "this is not a file of keys"),
    ],
)
def test_bad_input_is_one_paragraph(place, clinprompt, words, what):
    clinprompt("keys", "add", "keys.json", "there")
    for name in ("open.json", "no-keys.json"):
        (place / name).write_text("{}")
    (place / "open.json").chmod(0o644)
    (place / "no-keys.json").chmod(0o600)
    ended = clinprompt("keys", *words)
    assert ended.code == 2 and ended.out == "" and ended.err.count("error: ") == 1
    assert what in " ".join(ended.err.split())
