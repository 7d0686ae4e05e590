"""Pretraining instructions with free text answers: summaries, counts, copies."""

from __future__ import annotations

import random

from clinprompt.backbones.embedded.turn import Turn
from clinprompt.backbones.embedded.wording import invented
from clinprompt.data.readers.synthetic.facts import linked, spans, surfaces
from clinprompt.data.readers.synthetic.picker import pseudo_word
from clinprompt.data.readers.synthetic.summaries import impression, ordered_drugs
from clinprompt.schema.document import Document


def summary(note: Document, rng: random.Random) -> Turn | None:
    """A short text about one part of the note, or a count."""
    options: list[tuple[str, str]] = []
    text = note.text
    listed = ordered_drugs(note)
    if spans(note, "study"):
        found = spans(note, "finding")
        full = [
            f"{' '.join(linked(note, 'size', s))} {' and '.join(linked(note, 'side', s))} {s.surface(text)}"
            for s in found
        ]
        asked = impression(note, rng)
        options += [("write the impression.", (asked and asked.answer.text) or "")] * 2
        options += [("write a full impression.", ", ".join(line.strip() for line in full) or "no acute findings")]
        options += [("how many findings?", str(len(found)))]
    if spans(note, "age"):
        age, sex, complaint, duration = (surfaces(note, label)[0] for label in ("age", "sex", "symptom", "duration"))
        first = spans(note, "symptom")[0].start
        known = max((s for s in spans(note, "problem") if s.start < first), key=lambda s: s.start).surface(text)
        options += [("give a one line history.", f"{age} {sex} with {known}, {complaint} for {duration}")] * 2
        options += [("who is the patient?", f"{age} {sex}")]
    if listed:
        options += [("summarize the medications.", "on " + ", ".join(listed))] * 2
        options += [("how many orders?", str(len(listed)))]
    if spans(note, "negated", "possible"):
        has, has_not = surfaces(note, "problem"), surfaces(note, "negated")
        options += [
            (
                "summarize the problems.",
                f"has {', '.join(has) or 'nothing'}; not {', '.join(has_not) or 'anything'}",
            )
        ]
    if spans(note, "event"):
        pairs = [f"{span.surface(text)} from {linked(note, 'cause', span)[0]}" for span in spans(note, "event")]
        options += [("summarize the reactions.", ", ".join(pairs))]
    if spans(note, "lab"):
        flags = [(linked(note, "flag", span)[0], span.surface(text)) for span in spans(note, "lab")]
        odd = [f"{flag} {test}" for flag, test in flags if flag not in ("normal", "WNL")]
        options += [("list the abnormal labs.", ", ".join(odd) or "none abnormal")]
    if spans(note, "procedure"):
        done = [f"{span.surface(text)} {linked(note, 'year', span)[0]}" for span in spans(note, "procedure")]
        options += [("summarize the operations.", ", ".join(done))]
    if not options:
        return None
    asked, answer = rng.choice(options)
    return Turn("sum", asked, answer)


def copy(note: Document, rng: random.Random) -> Turn | None:
    """A section, the headings, invented words, or the words after two given ones."""
    end = note.metadata["heading_end"]
    headed = bool(end) and "\n" not in end
    sections = [line.partition(end) for line in note.text.split("\n") if end in line] if headed else []
    draw = rng.random() if sections else rng.uniform(0.5, 1)
    if draw < 0.3:
        name, _, body = rng.choice(sections)
        return Turn("copy", f"{rng.choice(('copy the section', 'repeat the part'))} {name}.", body)
    if draw < 0.5:
        return Turn(
            "copy",
            rng.choice(("which sections are there?", "list the headings.")),
            ", ".join(s[0] for s in sections),
        )
    if draw < 0.8:
        words = " ".join(pseudo_word(rng) for _ in range(rng.randint(2, 6)))
        return Turn("copy", rng.choice(("repeat.", "copy the words.")), words, question=words)
    words = note.text.replace("\n", " ").split(" ")
    start = rng.randrange(max(1, len(words) - 7))
    given, after = " ".join(words[start : start + 2]), " ".join(words[start + 2 : start + 7])
    if not after or note.text.replace("\n", " ").count(given) != 1:
        return None
    return Turn("copy", "continue the text.", after, question=given)


def recall(note: Document, rng: random.Random) -> Turn | None:
    """The value of an invented key in a list of invented pairs: pure retrieval."""
    pairs = [(pseudo_word(rng), invented(rng)) for _ in range(rng.randint(2, 6))]
    key, value = rng.choice(pairs)
    if len({first for first, _ in pairs}) < len(pairs):
        return None
    listing = ", ".join(f"{first} is {second}" for first, second in pairs)
    return Turn("copy", f"what is {key}?", value, question=listing)
