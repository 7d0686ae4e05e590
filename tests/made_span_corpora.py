"""Synthetic notes in the layouts of corpora that are given on application only: spans and relations."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

SAMPLES = Path(__file__).parent / "samples"

ADE = "Lasix 40 mg p.o. tablet, 2 tabs daily for\n5 days for edema; it caused a rash."
ADE_SPANS = [
    ("Drug", "Lasix"),
    ("Strength", "40 mg"),
    ("Route", "p.o."),
    ("Form", "tablet"),
    ("Dosage", "2 tabs"),
    ("Frequency", "daily"),
    ("Duration", "for\n5 days"),
    ("Reason", "edema"),
    ("ADE", "rash"),
]
SOCIAL = (
    "SOCIAL HISTORY: Smoked 1 pack a day for 20 years, quit in 2001. Drinks wine. Works as a cook. Lives with wife."
)
SOCIAL_UW = "He Lives in a house with wife. Works nights, Drinks red wine. Smoked 1 pack on a day off for 20 years, quit in 2001."
"""The same said at the other site, so that no source holds a target's note."""
SOCIAL_SPANS = [
    ("Tobacco", "Smoked"),
    ("Amount", "1 pack"),
    ("Frequency", "a day"),
    ("Duration", "for 20 years"),
    ("StatusTime", "quit"),
    ("History", "in 2001"),
    ("Alcohol", "Drinks"),
    ("Type", "wine"),
    ("Employment", "Works"),
    ("StatusEmploy", "Works"),
    ("LivingStatus", "Lives"),
    ("TypeLiving", "with wife"),
]
SOCIAL_LINES = [
    "E1\tTobacco:T1 Amount:T2 Frequency:T3 Duration:T4 Status:T5 History:T6",
    "E2\tAlcohol:T7 Type:T8 ",
    "E3\tEmployment:T9 Status:T10",
    "E4\tLivingStatus:T11 Type:T12",
    "A1\tStatusTimeVal T5 past",
    "A2\tTypeLivingVal T12 with_family",
    "A3\tStatusEmployVal T10 employed",
]


def pair(folder: Path, name: str, text: str, spans: list[tuple[str, str]], lines: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for place, (label, words) in enumerate(spans, 1):
        start = text.index(words)
        offsets, end = [], start
        for piece in words.split("\n"):  # brat divides a mention at a line break
            offsets.append(f"{end} {end + len(piece)}")
            end += len(piece) + 1
        rows.append(f"T{place}\t{label} {';'.join(offsets)}\t{words.replace(chr(10), ' ')}")
    (folder / f"{name}.txt").write_text(text, "utf-8")
    (folder / f"{name}.ann").write_text("".join(line + "\n" for line in rows + lines), "utf-8")


def n2c2_2018(root: Path) -> None:
    links = [f"R{n}\t{ADE_SPANS[n][0]}-Drug Arg1:T{n + 1} Arg2:T1\t" for n in range(1, len(ADE_SPANS))]
    for place, folder in enumerate((*("training_20180910",) * 30, "test")):
        pair(root / "n2c2_2018_track2" / folder, f"1{place:02}", ADE, ADE_SPANS, links)


def n2c2_2022(root: Path) -> None:
    for part in ("train", "dev", "test"):
        for site, text in (("mimic", SOCIAL), ("uw", SOCIAL_UW)):
            for number in range(4 if part == "train" else 1):  # enough for folds
                pair(root / "n2c2_2022_sdoh" / part / site, f"000{number}", text, SOCIAL_SPANS, SOCIAL_LINES)


def i2b2_2010(root: Path) -> None:
    good, there = SAMPLES / "i2b2_2010" / "good", root / "i2b2_2010"
    for number in range(100, 140):  # enough to cut a dev part from
        for kind in ("concept", "ast", "rel", "txt"):
            for file in (good / kind).glob("record-13.*"):
                folder = there / "concept_assertion_relation_training_data" / kind
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, folder / f"record-{number}{file.suffix}")
    shutil.copytree(good / "txt", there / "test_data")
    for kind, folder in (("concept", "concepts"), ("ast", "ast"), ("rel", "rel")):
        shutil.copytree(good / kind, there / "reference_standard_for_test_data" / folder)


def i2b2_2012(root: Path) -> None:
    good, there = SAMPLES / "i2b2_2012" / "good", root / "i2b2_2012"
    shutil.copytree(good, there / "ground_truth/merged_xml")
    for number in range(30):  # enough to cut a dev part from
        folder = there / "2012-07-15.original-annotation.release"
        folder.mkdir(parents=True, exist_ok=True)
        for file in good.iterdir():
            shutil.copy(file, folder / f"{number}{file.name}")


def radgraph(root: Path) -> None:
    (root / "radgraph").mkdir()
    for part, sample in (("train", "good"), ("dev", "good"), ("test", "two")):
        shutil.copy(SAMPLES / "radgraph" / f"{sample}.json", root / "radgraph" / f"{part}.json")


EVENTS = "Started lisinopril 10 mg. Continue aspirin. Warfarin was mentioned."
EVENT_SPANS = [("Disposition", "lisinopril"), ("NoDisposition", "aspirin"), ("Undetermined", "Warfarin")]
EVENT_LINES = [
    "E1\tDisposition:T1",
    "E2\tNoDisposition:T2",
    "E3\tUndetermined:T3",
    "A1\tAction E1 Start",
    "A2\tTemporality E1 Past",
    "A3\tNegation E1",
]


def n2c2_2022_track1(root: Path) -> None:
    for part in ("train", "dev", "test"):
        pair(root / "n2c2_2022_track1" / part, f"{part}-1", EVENTS, EVENT_SPANS, EVENT_LINES)


def semeval_2015(root: Path) -> None:
    for part in ("train", "devel", "test"):
        shutil.copytree(SAMPLES / "share" / "good", root / "semeval_2015_task14" / part)


USE = "Takes oxycodone 5 mg twice a day since May for back pain; still using it."
USE_SPANS = [
    ("Opioid", "oxycodone"),
    ("Amount", "5 mg"),
    ("Frequency", "twice a day"),
    ("Duration", "since May"),
    ("Reason", "back pain"),
    ("Status", "still using"),
]


def opioid_use(root: Path) -> None:
    """The neutral form in which a group brings its own notes: a document per line."""
    spans = [
        {"id": f"T{place}", "label": label, "start": USE.index(words), "end": USE.index(words) + len(words), "surface": words}
        for place, (label, words) in enumerate(USE_SPANS, 1)
    ]  # fmt: skip
    links = [{"label": span["label"], "head": "T1", "tail": span["id"]} for span in spans[1:]]
    (root / "opioid_use").mkdir(parents=True)
    for part in ("train", "dev", "test"):
        note = {"id": f"{part}-1", "text": USE, "group": f"{part}-p1", "spans": spans, "relations": links}
        (root / "opioid_use" / f"{part}.jsonl").write_text(json.dumps(note) + "\n", "utf-8")
