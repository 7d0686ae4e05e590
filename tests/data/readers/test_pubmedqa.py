from __future__ import annotations

from itertools import combinations

from clinprompt.data.readers.pubmedqa import official_parts

LABELS = {str(i): ("yes", "no", "maybe")[(i % 9 > 4) + (i % 9 > 7)] for i in range(1000)}


def test_folds_divide_what_is_not_test():
    parts = [official_parts(LABELS, fold=fold) for fold in range(10)]
    test = set(parts[0]["test"])
    assert len(test) == 500
    for first, second in combinations(parts, 2):
        assert set(first["test"]) == set(second["test"])
        assert not set(first["dev"]) & set(second["dev"])
    for part in parts:
        assert len(part["dev"]) == 50 and len(part["train"]) == 450
        assert set(part["train"]) | set(part["dev"]) | test == set(LABELS)
        assert not set(part["train"]) & set(part["dev"])
