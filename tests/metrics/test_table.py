from __future__ import annotations

import pytest

from clinprompt.errors import InputError
from clinprompt.metrics import METRICS


def test_an_argument_follows_the_colon_where_a_row_takes_one():
    assert METRICS["attribute-f1:assertion"]().name == "attribute-f1:assertion"
    assert "attribute-f1:assertion" in METRICS and "span-f1:n2c2-2018" in METRICS
    assert METRICS["span-f1:n2c2-2018"]().name == "span-f1:n2c2-2018"


@pytest.mark.parametrize("name", ["span-f1:n2c2", "span-f1:", "attribute-f1:", "rouge-1:x"])
def test_others_are_answered_with_near_matches(name):
    assert name not in METRICS
    with pytest.raises(InputError) as refused:
        METRICS[name]
    assert "did you mean" in str(refused.value).lower()
