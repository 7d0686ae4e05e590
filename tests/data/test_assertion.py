from __future__ import annotations

import pytest

from clinprompt.data.assertion import Assertion, assertion_of


@pytest.mark.parametrize(
    ("attributes", "exists", "said"),
    [
        ({}, True, {}),
        ({"Negated": ""}, False, {"negated": True}),
        ({"negation": "No"}, True, {}),
        ({"assertion": "present"}, True, {}),
        ({"assertion": "absent"}, False, {"negated": True}),
        ({"assertion": "possible"}, True, {"possible": True}),
        ({"Assertion": "Conditional"}, False, {"hypothetical": True}),
        ({"assertion": "hypothetical"}, False, {"hypothetical": True}),
        ({"assertion": "associated_with_someone_else"}, False, {"person": "someone else"}),
        ({"Experiencer": "mother"}, False, {"person": "mother"}),
        ({"experiencer": "patient", "temporality": "historical"}, True, {"past": True}),
        ({"polarity": "NEG", "modality": "FACTUAL"}, False, {"negated": True}),  # i2b2 2012
        ({"polarity": "POS", "modality": "PROPOSED"}, False, {"hypothetical": True}),
        ({"polarity": "POS", "contextualModality": "HEDGED"}, True, {"possible": True}),  # THYME
        ({"contextualModality": "ACTUAL"}, True, {}),
        ({"temporality": "future"}, False, {"future": True}),
        ({"Planned": ""}, False, {"future": True}),
        ({"subject": "Donor", "status": "associated with someone else"}, False, {"person": "Donor"}),
    ],
)
def test_what_attributes_say(attributes, exists, said):
    found = assertion_of(attributes)
    assert found == Assertion(**said, read=frozenset(attributes))
    assert found.exists is exists


@pytest.mark.parametrize("attributes", [{"status": "ongoing"}, {"negated": "maybe so"}, {"dose": "absent"}])
def test_what_is_not_understood_is_not_read(attributes):
    assert assertion_of(attributes) == Assertion()
