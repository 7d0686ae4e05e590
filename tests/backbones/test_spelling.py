"""A note that spells a special token is text, also while another thread spells our own words."""

import sys
import threading
import time

from clinprompt.backbones.spelling import spell
from tests.made_backbones import tiny_backbone


def test_threads_do_not_change_each_others_trust(tmp_path):
    tokenizer = tiny_backbone(tmp_path).tokenizer
    text = "<note> a <eos> " * 30
    expected = {trusted: spell(tokenizer, text, trusted=trusted)["input_ids"] for trusted in (True, False)}
    assert len(expected[True]) < len(expected[False])
    wrong, end, before = [], time.monotonic() + 0.5, sys.getswitchinterval()

    def work(trusted):
        while time.monotonic() < end:
            if spell(tokenizer, text, trusted=trusted)["input_ids"] != expected[trusted]:
                wrong.append(trusted)

    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(trusted,)) for trusted in (True, False, True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not wrong
