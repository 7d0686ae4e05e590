"""The page on the engine: its example runs as it stands."""

from __future__ import annotations

from clinprompt.backbones.protocol import Row
from clinprompt.inference.engines.local import LocalEngine, Request
from clinprompt.tasks.template import TEMPLATES
from tests.made_backbones import tiny_backbone


def test_the_example_answers(repository, tmp_path):
    page = (repository / "docs" / "concepts" / "engine.md").read_text(encoding="utf-8")
    [block] = [part.partition("\n")[2] for part in page.split("```")[1::2] if part.startswith("python")]
    backbone, heard = tiny_backbone(tmp_path), []
    request = Request(Row("a", (5, 6), (7,), (2,)))
    names = {"backbone": backbone, "request": request, "template": TEMPLATES["markers"], "print": heard.append}
    exec(block, names)
    [expected] = LocalEngine(backbone).answers([request], names["Generation"](tokens=64))
    assert names["answer"] == expected and "".join(one.text for one in heard) == expected.text
    assert names["predictor"].predict([]) == []
