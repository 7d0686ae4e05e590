"""Correcting on the page in a real Chromium, with the keyboard and with the pointer, and what is learnt from it."""

from __future__ import annotations

from clinprompt.stages.prepared import TASK
from tests.made_pages import NOTE, correct, kept, needs_chromium, read, words_of
from tests.serving.test_adaptations import standing_in


@needs_chromium
def test_a_span_is_added_changed_and_removed_by_keyboard_alone_and_kept(opened, server):
    page = read(opened())
    correct(page, "meds@1")
    page.locator(".note").focus()
    for _ in range(4):  # Pt, 😀, on, low-dose
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert page.locator("#status").inner_text() == "Selected: low-dose aspirin"
    page.keyboard.press("2")  # the second label
    assert ["dose", "low-dose aspirin"] in words_of(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the first tag: drug, low-dose aspirin 5 mg
    dialog = page.locator("dialog[open]")
    dialog.wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.title") == "start one character earlier"
    dialog.locator("text=Remove").press("Enter")
    dialog.wait_for(state="hidden")
    page.locator("#save").press("Enter")
    page.wait_for_selector("text=Kept as a training example: 1 note of meds.")
    document = kept(server, "meds")
    assert document.text == NOTE
    assert [(span.label, span.surface(NOTE)) for span in document.spans] == [
        ("drug", "aspirin"), ("dose", "5 mg"), ("dose", "low-dose aspirin"),
    ]  # fmt: skip
    assert "Corrected by a person: meds@1" in page.locator("#results").inner_text()


@needs_chromium
def test_words_selected_with_the_pointer_become_a_span_with_attributes_or_part_of_one(opened, server):
    page = read(opened())
    correct(page, "asserted@1")

    def drag(words, *, after=0):
        page.evaluate(
            """([words, after]) => {
              const part = [...document.querySelectorAll('.stretch')].find((one) => one.textContent.includes(words));
              const from = part.textContent.indexOf(words, after);
              getSelection().setBaseAndExtent(part.firstChild, from, part.firstChild, from + words.length);
            }""",
            [words, after],
        )
        page.locator(".note").dispatch_event("pointerup")
        page.locator("dialog[open]").wait_for()

    drag("left 🦵")
    page.locator("#span-join").select_option("T1")
    page.click("dialog button[type=submit]")
    drag("daily")
    page.select_option("dialog select[name=temporality]", "past")
    page.click("dialog button[type=submit]")
    page.locator("dialog").wait_for(state="hidden")
    page.click("#save")
    page.wait_for_selector("text=Kept as a training example: 1 note of asserted.")
    document = kept(server, "asserted")
    assert [(span.surface(NOTE), span.attributes.get("temporality", "")) for span in document.spans] == [
        ("Pain left 🦵 right knee", ""), ("asthma", ""), ("daily", "past"),
    ]  # fmt: skip


@needs_chromium
def test_corrections_become_a_version_that_a_person_promotes(opened, server, monkeypatch, tmp_path):
    task = server[0].prompts.snapshot.promoted["meds"].task
    (tmp_path / task.name).mkdir()
    (tmp_path / task.name / TASK).write_text(task.model_dump_json())
    without = server[0].settings
    server[0].settings = without.model_copy(update={"replay": tmp_path})
    score = {"metric": "span-f1", "value": 61.0, "low": 40.0, "high": 75.0, "n": 6, "groups": 5}
    compared = {"metric": "span-f1", "notes": 5, "examples": 6, "folds": 5, "old": score, "new": {**score, "value": 70.5},
                "difference": 9.5, "low": -1.0, "high": 20.0}  # fmt: skip
    made = {"prompt": "meds@2", "before": "meds@1", "notes": 5, "examples": 6, "unseen": 5, "replayed": 7,
            "compared": compared}  # fmt: skip
    standing_in(monkeypatch, said=made, seconds=4)
    page = read(opened(), tasks=("meds",))
    correct(page, "meds@1")
    page.click("#save")
    replay = page.get_by_role("checkbox", name="Replay: training examples of the earlier data are practised too")
    assert not replay.is_checked()
    replay.press("Space")
    assert replay.is_checked()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "adapt"
    with page.expect_request("**/v1/adaptations") as sent:
        page.keyboard.press("Enter")
    assert sent.value.post_data_json == {"task": "meds", "replay": True}
    page.wait_for_selector("progress")
    page.wait_for_selector("text=Scoring: 25 %")
    page.wait_for_selector("#promote")
    told = page.locator("#outcome").inner_text()
    assert "made of 5 notes and replayed examples (7 to choose from)" in told
    assert "span-f1 on 5 notes (6 examples)" in told and "no difference is shown" in told
    assert page.locator(".scores tbody tr").all_inner_texts() == [
        "meds@1\t61.0\t40.0 – 75.0",
        "made like meds@2\t70.5\t40.0 – 75.0",
    ]
    assert server[0].prompts.snapshot.promoted["meds"].banked.version == 1
    page.click("#promote")
    page.wait_for_selector("text=meds now means meds@2.")
    assert server[0].prompts.snapshot.promoted["meds"].banked.version == 2
    server[0].settings = without
    server[0].bank.promote("meds@1")
    server[0].look()
