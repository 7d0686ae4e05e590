import pytest

from clinprompt.backbones.published import PUBLISHED, meta_model
from clinprompt.errors import InputError
from clinprompt.prompts.sizes import trainable_numbers

PARAMETERS = {"Llama-3.1-8B": 8_030_261_248, "Meditron3-8B": 8_030_261_248, "gpt-oss-20b": 20_914_757_184}
"""As the published checkpoints have them."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_networks_are_those_of_the_paper_and_a_target_trains_less_than_0_05_percent(name):
    model = meta_model(name)
    weights = list(model.parameters())
    assert {weight.device.type for weight in weights} == {"meta"}
    parameters = sum(weight.numel() for weight in weights)
    assert parameters == PARAMETERS[name]
    counted = trainable_numbers(length=100, rank=1, hidden=model.config.hidden_size)
    assert all(0 < count < 0.0005 * parameters for count in counted.values())


def test_an_unknown_name_is_answered_with_near_matches():
    with pytest.raises(InputError, match=r"Did you mean Llama-3\.1-8B\?$"):
        meta_model("Llama-3.1-8b")
