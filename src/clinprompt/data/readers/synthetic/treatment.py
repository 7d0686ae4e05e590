"""Sections about what was done for the patient: medications, adverse events, opioids, procedures."""

from __future__ import annotations

from collections.abc import Iterable

from clinprompt.data.readers.synthetic.picker import Picker
from clinprompt.data.readers.synthetic.style import Style
from clinprompt.data.readers.synthetic.vocabulary import DOSES, FREQUENCIES, ROUTES, SEVERITIES, STATUSES
from clinprompt.data.readers.synthetic.writer import NoteWriter


def separated(writer: NoteWriter, style: Style, count: int) -> Iterable[int]:
    """Count items, writing the site's punctuation after and between them."""
    for index in range(count):
        if index:
            writer.write(style.between)
        yield index
        writer.write(style.stop)


def medications(writer: NoteWriter, picker: Picker, style: Style) -> None:
    """One to four orders: drug, dose, route, frequency, often a reason; ``order`` spans the whole order."""
    for _ in separated(writer, style, picker.one_of(1, 2, 2, 3, 3, 4)):
        reason = picker.term("problem") if picker.chance(0.75) else None
        reason_first = reason is not None and style.terse and picker.chance(0.5)
        why = ""
        if reason and reason_first:
            why = writer.mention("reason", reason)
            writer.write(": ")
        if style.spoken or (not style.terse and picker.chance(0.3)):
            openings = style.phrase(("started ", "continue ", "takes "), ("",), ("I take ", "I am on ", "I use "))
            writer.write(picker.one_of(*openings))
        start = writer.position
        drug = writer.mention("drug", picker.term("drug"))
        for label, text in (
            ("dose", picker.fresh_of(DOSES)),
            ("route", picker.one_of(*ROUTES[style.site])),
            ("frequency", picker.one_of(*FREQUENCIES[style.site])),
        ):
            writer.write(" ")
            writer.relate(label, drug, writer.mention(label, text))
        writer.mark("order", (start, writer.position))
        if reason and not reason_first:
            writer.write(picker.one_of(*style.phrase((" for ",), (" for ", " re "), (" for ", " because of "))))
            why = writer.mention("reason", reason)
        if why:
            writer.relate("reason", drug, why)


def adverse_events(writer: NoteWriter, picker: Picker, style: Style) -> None:
    """One to three events, each with its cause and severity."""
    for _ in separated(writer, style, picker.one_of(1, 1, 2, 2, 3)):
        event, drug, severity = picker.term("symptom"), picker.term("drug"), picker.one_of(*SEVERITIES)
        if style.terse:
            if picker.chance(0.6):
                cause = writer.mention("drug", drug)
                writer.write(picker.one_of(" -> ", " caused "))
                effect = writer.mention("event", event)
                writer.write(", ")
                degree = writer.mention("severity", severity)
            else:
                effect = writer.mention("event", event)
                writer.write(", ")
                degree = writer.mention("severity", severity)
                writer.write(" d/t ")
                cause = writer.mention("drug", drug)
        elif picker.chance(0.5):
            writer.write("I had " if style.spoken else "")
            degree = writer.mention("severity", severity)
            writer.write(" ")
            effect = writer.mention("event", event)
            writer.write(picker.one_of(" after ", " due to ", " from "))
            cause = writer.mention("drug", drug)
        else:
            cause = writer.mention("drug", drug)
            writer.write(picker.one_of(*style.phrase((" caused ", " led to "), (" caused ",), (" gave me ",))))
            degree = writer.mention("severity", severity)
            writer.write(" ")
            effect = writer.mention("event", event)
        writer.relate("cause", effect, cause)
        writer.relate("severity", effect, degree)


def opioids(writer: NoteWriter, picker: Picker, style: Style) -> None:
    """One or two opioids with indication and status, and the urine screen."""
    for _ in separated(writer, style, picker.one_of(1, 1, 2)):
        status = picker.one_of(*STATUSES)
        if style.terse or style.spoken:
            writer.write("I got " if style.spoken else "")
            opioid = writer.mention("opioid", picker.term("opioid"))
            writer.write(", ")
            state = writer.mention("status", status)
            writer.write(picker.one_of(*style.phrase((), (", re ", ", for "), (", for my ",))))
        else:
            state = writer.mention("status", status)
            writer.write(picker.one_of(" use of ", " prescription of "))
            opioid = writer.mention("opioid", picker.term("opioid"))
            writer.write(picker.one_of(" for ", " to treat "))
        pain = writer.mention("indication", picker.term("indication"))
        writer.relate("indication", opioid, pain)
        writer.relate("status", opioid, state)
    screen = style.phrase("urine screen ", "UDS ", "my urine screen was ")
    writer.write(style.between + screen)
    writer.mention("screen", picker.one_of("positive", "negative"))
    writer.write(style.stop)


def procedures(writer: NoteWriter, picker: Picker, style: Style) -> None:
    """One to three operations with their years."""
    for _ in separated(writer, style, picker.one_of(1, 2, 2, 3)):
        writer.write(picker.one_of(*style.phrase(("underwent ", "status post ", ""), ("s/p ", ""), ("I had a ",))))
        operation = writer.mention("procedure", picker.term("procedure"))
        writer.write(" " if style.terse else " in ")
        year = picker.fresh(lambda: str(picker.rng.randint(1985, 2023)))
        writer.relate("year", operation, writer.mention("year", year))
