from __future__ import annotations

import pytest

from clinprompt.data.readers import READERS
from clinprompt.data.writers import WRITERS
from clinprompt.errors import InputError
from clinprompt.stages.options import check_options


@pytest.mark.parametrize(
    ("name", "option", "value", "allowed"),
    [
        ("table", "codes", 5, "names with values"),
        ("fhir", "resources", [1], "names with values"),
        ("html", "title", ["a"], "text"),
        ("html", "title", 7, "text"),
        ("note_nlp", "first_id", "abc", "a whole number"),
        ("note_nlp", "offset_end", "perhaps", "true or false"),
        ("label_studio", "choices", 3, "a list|names with values"),
    ],
)
def test_a_value_of_another_kind_is_refused(name, option, value, allowed):
    with pytest.raises(InputError, match=f"option {option} of the writer '{name}'.*Allowed: ({allowed})"):
        check_options("writer", name, WRITERS[name], {option: value}, apart=("documents", "path"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("csv_table", {"header": "no"}),
        ("conll", {"token": 1.0}),
        ("squad", {"passage": "abc"}),
        ("synthetic", {"n": "abc"}),
        ("jsonl", {"note": 5}),
        ("jsonl", {"label_map": 3}),
    ],
)
def test_options_of_readers_too(name, options):
    with pytest.raises(InputError, match="Allowed: "):
        check_options("reader", name, READERS[name], options, apart=("path",))


def test_what_fits_is_taken():
    check_options("writer", "table", WRITERS["table"], {"codes": {"Drug": 1, "Dose": "2"}, "evidence": False}, apart=())
    check_options("reader", "csv_table", READERS["csv_table"], {"note": "a", "options": ["b", "c"]}, apart=("path",))
    check_options("reader", "medmcqa", READERS["medmcqa"], {"cut": [1, 2]}, apart=("path",))


@pytest.mark.parametrize(("what", "table"), [("reader", READERS), ("writer", WRITERS)])
def test_every_option_has_a_kind_that_can_be_checked(what, table):
    for name in table:
        with pytest.raises(InputError, match="named 'no such option'"):
            check_options(what, name, table[name], {"no such option": 1}, apart=())
