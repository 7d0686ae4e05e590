from __future__ import annotations

from pathlib import Path

from clinprompt.data.readers import aci_bench

SAMPLE = Path(__file__).parents[2] / "samples" / "aci_bench"


def test_both_forms_give_the_same_visits():
    assert aci_bench.read(SAMPLE / "good.json") == aci_bench.read(SAMPLE / "good.csv")
