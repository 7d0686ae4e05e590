import pytest

from clinprompt.backbones.published import PUBLISHED, meta_model
from clinprompt.errors import InputError
from clinprompt.prompts.sizes import trainable_numbers

PARAMETERS = {
    "Llama-3.1-8B": 8_030_261_248,
    "Meditron3-8B": 8_030_261_248,
    "gpt-oss-20b": 20_914_757_184,
    "GatorTron-345M": 354_217_984,
    "GatorTron-3.9B": 3_906_242_560,
    "GatorTron-8.9B": 8_816_166_912,
}
"""As the published checkpoints have them; encoders without their pooler and the head of their language model."""


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


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name.startswith("GatorTron")])
def test_encoders_have_the_size_that_is_in_their_name(name):
    told = float(name.removeprefix("GatorTron-")[:-1]) * {"M": 1e6, "B": 1e9}[name[-1]]
    assert PARAMETERS[name] == pytest.approx(told, rel=0.03)
    assert meta_model(name).pooler is None
