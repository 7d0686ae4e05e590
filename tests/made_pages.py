"""A real Chromium on the page of a real server, with what a model would have found."""

from __future__ import annotations

import shutil

import pytest

from clinprompt.stages.corrections import Corrections
from tests.made_findings import finding

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
NOTE = "Pt 😀 on low-dose aspirin 5 mg daily.\nPain in left 🦵 and right knee <b>now</b> & no asthma."


def at(words, *, after=0):
    return [NOTE.index(words, after), NOTE.index(words, after) + len(words)]


FOUND = [
    finding("meds@1", NOTE, [("drug", at("low-dose aspirin 5 mg")), ("drug", at("aspirin")), ("dose", at("5 mg"))],
            windows=3, unlocated=2),
    finding("doses@1", NOTE, [("drug", at("aspirin")), ("dose", at("5 mg daily"))], [("dose", "T1", "T2")], kind="relations"),
    finding("asserted@1", NOTE, [("condition", at("Pain"), at("right knee")), ("condition", at("asthma"), {"assertion": "absent"})]),
    finding("line@1", NOTE, kind="summarisation", answer={"text": "<i>On</i> aspirin 😀"}),
]  # fmt: skip


def read(page, note=NOTE, tasks=("meds", "doses", "asserted", "line")):
    page.fill("#note", note)
    for task in tasks:
        page.check(f"#task-{task}")
    page.click("#read")
    page.wait_for_selector("#findings")
    return page


def words_of(page):
    """Each span's label, as its tag has it, and the words that are marked as its own."""
    return page.evaluate(
        """[...document.querySelectorAll('.note .tag[role=button]')].map((tag) => [
          tag.textContent,
          [...document.querySelectorAll('.stretch')].filter((part) =>
            (part.dataset.items ?? '').split(' ').includes(tag.dataset.items)).map((part) => part.textContent).join('')])"""
    )


def correct(page, prompt):
    page.select_option("#correct-which", prompt)
    page.click("#correct")
    page.wait_for_selector("#save")


def kept(server, name):
    task = server[0].prompts.snapshot.promoted[name].task
    folder = Corrections(server[2])
    [one] = [folder.read(task.name, known) for known in folder.ids(task.name)]
    return one.document
