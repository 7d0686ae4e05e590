"""JSON exports with something else at any one place: read, or refused in plain words, never a crash."""

from __future__ import annotations

import copy
import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.data.bioc import record_of
from clinprompt.data.readers import READERS
from clinprompt.errors import InputError
from tests.contracts.test_readers import CANARY, SAMPLES

OTHER = st.sampled_from([None, True, -1, 10**9, 0.5, "", "x", [], [[]], ["x"], {}, {"x": 1}, [{}], [{"x": {}}]])


def good(name):
    if name == "label_studio":
        return json.loads((SAMPLES / name / "good.json").read_text())
    from collections import Counter

    documents = READERS["bioc"](SAMPLES / "bioc" / "good.xml")
    return {"infons": {}, "documents": [record_of(document, unit="utf16", lost=Counter()) for document in documents]}


def places(value, path=()):
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*path, key))


@pytest.mark.parametrize("name", ["bioc", "label_studio"])
@settings(max_examples=150)
@given(data=st.data())
def test_something_else_at_any_place(name, tmp_path_factory, data):
    value = copy.deepcopy(good(name))
    place = data.draw(st.sampled_from([path for path in places(value) if path]))
    inner = value
    for key in place[:-1]:
        inner = inner[key]
    if data.draw(st.booleans()):
        inner[place[-1]] = data.draw(OTHER)
    else:
        del inner[place[-1]]
    file = tmp_path_factory.mktemp("damaged") / "d.json"
    file.write_text(json.dumps(value))
    with suppress(InputError):
        try:
            READERS[name](file)
        except InputError as fault:
            assert CANARY not in str(fault)
            raise
