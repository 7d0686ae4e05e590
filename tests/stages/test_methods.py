"""Methods as a person writes them: what a budget leaves out is the method's own."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from clinprompt.stages.methods import Budget, FineTuning, Lora, MethodSettings, for_encoder, own_rates, prompt_fields

OWN = {
    "prompt-tuning": 0.3, "mpt": 0.3, "lora": 3e-3, "fine-tuning": 1e-3, "hard-prompt": 1e-4,
    "soft-prompt-unfrozen": 1e-4,
}  # fmt: skip


@pytest.mark.parametrize(("kind", "rate"), OWN.items())
def test_a_budget_without_rates_has_those_of_its_method(kind, rate):
    def made(**fields):
        return TypeAdapter(MethodSettings).validate_python({"kind": kind, **fields})

    assert made().budget.rates == (rate,)
    for budget in ({"steps": 7}, Budget(steps=7)):
        found = made(budget=budget)
        assert found.budget == Budget(steps=7, rates=(rate,))
        assert own_rates(found) == ()  # a search may still choose
        assert found == made(**{**found.model_dump(), "kind": kind})  # what a run folder keeps says the same
    assert made(budget={"rates": (0.02,)}).budget.rates == (0.02,)


def test_fine_tuning_an_encoder_has_the_rate_of_the_other_methods_that_do_unless_one_is_given():
    for method in (
        FineTuning(),
        FineTuning(budget=Budget(steps=7)),
        FineTuning.model_validate({"budget": {"steps": 7}}),
    ):
        found = for_encoder(method)
        assert found.budget.rates == (1e-4,) and found.budget.steps == method.budget.steps
        assert for_encoder(found) == found == for_encoder(FineTuning.model_validate(found.model_dump()))
    for method in (FineTuning(budget=Budget(rates=(1e-3,))), Lora()):
        assert for_encoder(method) == method


@pytest.mark.parametrize("kind", ["mpt", "spot", "attention", "routing", "fine-tuning", "hard-prompt"])
def test_a_method_with_prompts_of_its_sources_or_none_goes_by_no_settings_of_a_prompt(kind):
    assert prompt_fields(TypeAdapter(MethodSettings).validate_python({"kind": kind})) == ()


def test_an_encoders_prompt_beside_its_weights_goes_by_what_it_does_not_say_itself():
    own = {"kind": "soft-prompt-unfrozen", "length": 4}
    assert prompt_fields(TypeAdapter(MethodSettings).validate_python(own)) == ("placement", "layers")
    assert prompt_fields(TypeAdapter(MethodSettings).validate_python(own | {"layers": "every"})) == ("placement",)
