import pytest

from clinprompt.backbones.tiny import write_tiny
from clinprompt.inference.predictor import Question
from clinprompt.schema.example import Answer, Example
from clinprompt.stages.configs import BackboneSettings, DecodingSettings
from clinprompt.stages.opened import open_backbone
from clinprompt.tasks.catalog import load_task


@pytest.mark.parametrize(
    "given, beams, choices, said",
    [
        ({}, 1, False, "greedy, at most 3 tokens"),
        ({"kind": "beams", "beams": 2}, 2, False, "2 beams, at most 3 tokens"),
        ({"kind": "choices"}, 1, True, "likeliest choice"),
        ({"stop": ["e"]}, 1, False, "greedy, at most 3 tokens"),
        ({"grounded": False}, 1, False, "greedy, at most 3 tokens"),
    ],
)
def test_the_settings_of_decoding_reach_the_answers(tmp_path, given, beams, choices, said):
    opened = open_backbone(BackboneSettings(path=str(write_tiny(tmp_path))))
    predictor = opened.predictor(DecodingSettings(**given), tokens=3)
    assert (predictor.generation.beams, predictor.generation.stop) == (beams, tuple(given.get("stop", ())))
    example = Example("a", {"note": "takes aspirin", "hypothesis": "no drugs"}, Answer(), "a")
    [found] = predictor.predict([Question(example, load_task("medication-statements"))])
    assert dict(found.provenance)["decoding"] == said
    free = given.get("grounded") is False
    assert dict(found.provenance)["grounding"] == ("checked" if free else "constrained")
    # Three bytes are too few for a class: what is cut is given back.
    assert (found.answer.label is not None) == choices
