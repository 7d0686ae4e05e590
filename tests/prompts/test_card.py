import pytest
from pydantic import ValidationError

from clinprompt.prompts.card import PromptCard


def test_a_card_says_the_same_after_json(card):
    assert PromptCard.model_validate_json(card.model_dump_json()) == card


def test_a_card_is_strict_and_frozen(card):
    with pytest.raises(ValidationError, match="extra"):
        PromptCard(**card.model_dump(), colour="red")
    with pytest.raises(ValidationError):
        card.placement = "prefix"
