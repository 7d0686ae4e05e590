"""The page in a real Chromium: what a person sees, and what leaves the page."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from clinprompt.serving.page import page_files
from tests.made_findings import finding
from tests.made_pages import FOUND, NOTE, at, correct, needs_chromium, read, words_of


@needs_chromium
def test_nested_overlapping_and_broken_spans_are_shown_at_their_words(opened):
    page = read(opened())
    assert words_of(page) == [
        ["drug", "low-dose aspirin 5 mg"], ["drug", "aspirin"], ["drug", "aspirin"], ["dose", "5 mg daily"],
        ["dose", "5 mg"], ["condition", "Painright knee"], ["condition: absent", "asthma"],
    ]  # fmt: skip
    text = page.evaluate("[...document.querySelectorAll('.stretch')].map((part) => part.textContent).join('')")
    assert text == NOTE
    assert page.locator("#results b, #results i, #results img").count() == 0
    assert page.locator(".answer p").inner_text() == "<i>On</i> aspirin 😀"


@needs_chromium
def test_what_was_left_out_is_said(opened):
    page = read(opened())
    warned = page.locator(".warnings").inner_text()
    assert "2 items of the answer were not in the note and left out" in warned and "in 3 windows" in warned
    assert "4 prompts" in page.locator("#status").inner_text()
    assert page.locator(".relations li").inner_text().startswith("aspirin dose → 5 mg daily")


@needs_chromium
def test_the_keyboard_leads_from_span_to_span_and_shows_what_is_known(opened):
    page = read(opened())
    page.locator('.note .tag[tabindex="0"]').focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    card = page.locator("#card")
    card.wait_for()
    start, end = at("asthma")
    for told in ("asthma", "absent", f"{start}–{end}", "0.90 (not calibrated)", "asserted@1"):
        assert told in card.inner_text()
    page.keyboard.press("Escape")
    assert card.is_hidden()
    page.click(".relations button >> nth=0")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "drug: aspirin"
    page.uncheck("text=condition 2")
    assert [label for label, _ in words_of(page)] == ["drug", "drug", "drug", "dose", "dose"]


@needs_chromium
def test_offsets_are_code_points_whatever_the_text(opened):
    page = opened()
    texts = ["", "abc", "a😀b", "😀😀", "é\r\n\u2028x🏽‍♂️", NOTE]
    found = page.evaluate(
        """async (texts) => {
          const { Offsets } = await import('/page/offsets.js');
          return texts.map((text) => {
            const at = new Offsets(text);
            const all = [...Array(at.length + 1).keys()];
            return [at.length, all.map((n) => at.slice(0, n)), all.every((n) => at.point(at.unit(n)) === n)];
          });
        }""",
        texts,
    )
    assert found == [[len(text), [text[:n] for n in range(len(text) + 1)], True] for text in texts]


@needs_chromium
def test_two_versions_side_by_side_show_what_differs(opened):
    other = finding("meds@2", NOTE, [("drug", at("aspirin")), ("drug", at("5 mg")), ("dose", at("daily"))])
    page = opened(found=[FOUND[0], other])
    page.fill("#note", NOTE)
    page.click("#compare summary")
    page.click("#compare-go")
    page.wait_for_selector(".columns")
    assert (
        page.locator(".verdict")
        .inner_text()
        .startswith("1 the same, 1 with another label or attribute, 1 only by meds@1, 1 only by meds@2")
    )
    tags = page.locator(".columns .tag").all_inner_texts()
    assert tags == ["+ drug", "drug", "≠ dose", "drug", "≠ drug", "+ dose"]


@needs_chromium
def test_prompts_of_two_names_for_one_task_are_compared_by_keyboard_alone(opened):
    page = opened(found=[FOUND[0], finding("meds-24@1", NOTE, [("medicine", at("aspirin"))])])

    def with_another_name(route):
        told = route.fetch().json()
        [meds] = [one for one in told["data"] if one["id"] == "meds"]
        told["data"].append({**meds, "id": "meds-24", "version": 1, "versions": [1]})
        route.fulfill(json=told)

    page.route("**/v1/models", with_another_name)
    page.reload()
    page.wait_for_selector("#task-meds-24")
    page.fill("#note", NOTE)
    page.locator("#compare summary").press("Enter")
    one, other = page.locator("#compare-one"), page.locator("#compare-other")
    assert one.locator("option").all_inner_texts() == ["meds@1 (promoted)", "meds@2", "meds-24@1 (promoted)"]
    assert one.locator("optgroup").get_attribute("label") == "medications"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "compare-one"
    one.select_option("meds@2")
    assert other.locator("option").all_inner_texts() == ["meds@1 (promoted)", "meds-24@1 (promoted)"]
    other.select_option("meds@1")
    one.select_option("meds-24@1")
    assert other.input_value() == "meds@1"
    with page.expect_request("**/v1/extract") as sent:
        page.locator("#compare-go").press("Enter")
    assert sent.value.post_data_json["tasks"] == ["meds-24@1", "meds@1"]
    page.wait_for_selector(".columns")
    assert page.evaluate("document.activeElement.id") == "results"
    assert page.locator("#status").inner_text() == "Compared meds-24@1 and meds@1."


@needs_chromium
def test_findings_are_saved_as_json_brat_and_fhir(opened, tmp_path):
    page = opened()
    page.set_input_files(
        "#file", {"name": "n 7.txt", "mimeType": "text/plain", "buffer": NOTE.replace("\n", "\r\n").encode()}
    )
    page.wait_for_selector("#note-size:not(:empty)")
    note = NOTE.replace("\n", "\r\n")
    meds = finding("meds@1", note, [("drug", [note.index("aspirin"), note.index("aspirin") + 7])])
    page.unroute("**/v1/extract")
    sent = []

    def answer(route):
        sent.append(route.request.post_data_json)
        route.fulfill(json={"results": [{"id": "n 7", "characters": len(note), "tasks": [meds]}]})

    page.route("**/v1/extract", answer)
    page.check("#task-meds")
    page.keyboard.press("Control+Enter")
    page.locator("#read").click()
    page.wait_for_selector("#findings")
    assert sent[0]["notes"] == [{"id": "n 7", "text": note}]  # line ends as in the file
    for kind, name in (("json", "n-7.json"), ("brat", "n-7.zip"), ("fhir", "n-7.fhir.json")):
        with page.expect_download() as download:
            page.click(f"#save-{kind}")
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / name)
    assert json.loads((tmp_path / "n-7.json").read_text())["tasks"] == [meds]
    with zipfile.ZipFile(tmp_path / "n-7.zip") as archive:
        assert archive.read("n-7.txt").decode() == note
        start, end = meds["spans"][0]["fragments"][0]
        assert archive.read("n-7.ann").decode() == f"T1\tdrug {start} {end}\taspirin\n"
    assert json.loads((tmp_path / "n-7.fhir.json").read_text())["resourceType"] == "Bundle"


@needs_chromium
def test_a_real_answer_of_the_server_is_shown(opened):
    page = read(opened(found=None), tasks=("meds", "line"))
    assert "Read by 2 prompts" in page.locator("#status").inner_text()
    page.click("text=Where this comes from")
    assert "backbone" in page.locator(".provenance").inner_text()


CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (colour, under) => {
    canvas.fillStyle = `rgb(${under.join(' ')})`;
    canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (c) => c.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const back = (node) => node ? rgb(getComputedStyle(node).backgroundColor, back(node.parentElement)) : [255, 255, 255];
  const found = [];
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
    if (!own || !node.checkVisibility() || node.matches(':disabled, .skip')) continue;
    const under = back(node);
    const [a, b] = [light(rgb(getComputedStyle(node).color, under)), light(under)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${node.tagName}.${node.className} ${node.textContent.trim().slice(0, 20)} ${ratio.toFixed(2)}`);
  }
  return found;
}"""


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read_in_light_and_dark(opened, scheme):
    many = [finding("meds@1", NOTE, [(f"label {n}", at("aspirin")) for n in range(20)], unreadable=1)]
    page = read(opened(scheme=scheme, found=[*many, *FOUND[1:]]))
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert page.evaluate(CONTRAST) == []
    correct(page, "doses@1")
    assert page.evaluate(CONTRAST) == []


@needs_chromium
def test_a_phone_is_wide_enough_and_everything_has_a_name(opened):
    page = read(opened(width=360, height=740))
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    nameless = page.evaluate(
        """[...document.querySelectorAll('button, input, select, textarea')].filter((one) => one.checkVisibility() &&
          !(one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim())).map((one) => one.outerHTML)"""
    )
    assert nameless == []
    correct(page, "doses@1")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@needs_chromium
def test_a_wrong_file_and_a_refusal_are_told(opened):
    page = opened(found=None)
    page.set_input_files("#file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"\xff\xfe caf\xe9"})
    page.wait_for_selector("text=not UTF-8 text")
    page.click("#read")
    page.wait_for_selector("text=There is no note yet.")
    page.fill("#note", NOTE)
    page.click("#read")
    page.wait_for_selector("text=Pick at least one task.")


@needs_chromium
def test_a_server_that_keeps_no_corrections_offers_none_and_nothing_is_complained_of(opened, server, monkeypatch):
    monkeypatch.setattr(server[0], "settings", server[0].settings.model_copy(update={"corrections": None}))
    page = read(opened())
    assert page.locator("#save-json").is_visible() and not page.locator("#correct").count()


def test_the_page_is_whole_and_small():
    parts = page_files()
    assert {"index.html", "page.css", "page.js", "icon.svg"} <= set(parts)
    folder = Path(__file__).parents[3] / "src" / "clinprompt" / "serving" / "page"
    assert {path.name for path in folder.iterdir()} == set(parts)
    for name, content in parts.items():
        text = content.decode()
        assert len(text.splitlines()) < 300, name
        assert "://" not in text.replace("http://www.w3.org/2000/svg", ""), f"{name} names another place"
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "localStorage",
            "sessionStorage",
            "eval(",
        ):
            assert word not in text, f"{name} has {word}"
        assert name != "index.html" or ("<style" not in text and "style=" not in text and " on" + "click" not in text)
