from __future__ import annotations

import dataclasses

from clinprompt.stages.opened import Opened
from clinprompt.study.job import backbone_told
from clinprompt.tasks.template import TEMPLATES
from tests.made_backbones import tiny_backbone


def test_a_backbone_tells_of_a_chat_template_that_it_is_not_asked_in(tmp_path):
    backbone = tiny_backbone(tmp_path, family="llama")
    opened = Opened(backbone, TEMPLATES["plain"])
    assert "unused" not in backbone_told(opened)
    backbone.tokenizer.chat_template = "{{ messages[0]['content'] }}"
    assert "backbone.template=chat" in backbone_told(opened)
    chatting = dataclasses.replace(TEMPLATES["plain"], name="chat")
    assert "unused" not in backbone_told(Opened(backbone, chatting))
