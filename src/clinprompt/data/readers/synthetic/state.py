"""Sections about the patient's state: history, problems, labs, social history, imaging."""

from __future__ import annotations

from collections.abc import Callable

from clinprompt.data.readers.synthetic.picker import Picker
from clinprompt.data.readers.synthetic.style import Style
from clinprompt.data.readers.synthetic.treatment import separated
from clinprompt.data.readers.synthetic.vocabulary import FLAGS, SIDES, SIZES, STUDIES
from clinprompt.data.readers.synthetic.writer import NoteWriter


def history_of(age: int, sex: str) -> Callable[[NoteWriter, Picker, Style], None]:
    """The history section of a patient of this age (years) and sex ("male" or "female")."""

    def history(writer: NoteWriter, picker: Picker, style: Style) -> None:
        writer.write(picker.one_of(*style.phrase(("", "the patient is a "), ("",), ("I am a ",))))
        writer.mention("age", f"{age} yo" if style.terse else f"{age} year old")
        writer.write(" ")
        writer.mention("sex", sex[0].upper() if style.terse else sex)
        known = style.phrase((" with ", " with a history of "), (", PMH ", " w/ h/o "), (" with ",))
        writer.write(picker.one_of(*known))
        writer.mention("problem", picker.term("problem"))
        came = (" presents with ", " here for ", " reports ")
        writer.write(picker.one_of(*style.phrase(came, (", c/o ", ", cc "), (" and I have ", " and I get "))))
        complaint = writer.mention("symptom", picker.term("symptom"))
        writer.write(" x " if style.terse else " for ")
        duration = f"{picker.rng.randint(2, 9)} {picker.one_of('days', 'weeks')}"
        writer.relate("duration", complaint, writer.mention("duration", duration))
        writer.write(style.stop)

    return history


# In full sentences, in shorthand, in a patient's words.
_PROBLEM_PHRASES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "problem": (("history of ", "known ", "has "), ("+ ", "active "), ("I have ", "I live with ")),
    "negated": (("denies ", "no evidence of ", "no sign of "), ("no ", "neg "), ("I never had ", "I do not have ")),
    "possible": (("possible ", "cannot exclude ", "concern for "), ("? ", "r/o "), ("I may have ", "maybe I have ")),
}


def problems(writer: NoteWriter, picker: Picker, style: Style) -> None:
    """Two to four problems: present (``problem``), ``negated`` or ``possible``."""
    for _ in separated(writer, style, picker.one_of(2, 3, 3, 4)):
        label = picker.one_of("problem", "problem", "negated", "negated", "possible")
        writer.write(picker.one_of(*style.phrase(*_PROBLEM_PHRASES[label])))
        writer.mention(label, picker.term("problem"))


def labs(writer: NoteWriter, picker: Picker, style: Style) -> None:
    """Two to four results with value and flag."""
    for _ in separated(writer, style, picker.one_of(2, 3, 3, 4)):
        writer.write("my " if style.spoken else "")
        test = writer.mention("lab", picker.term("lab"))
        writer.write(picker.one_of(*style.phrase((" ", " was ", " of "), (" ",), (" was ",))))
        writer.relate("value", test, writer.mention("value", picker.fresh(lambda: _result(picker))))
        writer.write(" ")
        writer.relate("flag", test, writer.mention("flag", picker.one_of(*FLAGS[style.site])))


def _result(picker: Picker) -> str:
    # Never a number that can stand in a dose: a value must be found in one place.
    whole = picker.rng.randrange(101, 300, 10) + picker.rng.randrange(4)
    return picker.one_of(str(whole), f"{picker.rng.uniform(0.5, 15):.1f}")


_Frames = tuple[tuple[str, str], ...]
# What stands before and after the words, in full sentences, in shorthand, in a patient's words.
_SOCIAL_PHRASES: dict[str, tuple[_Frames, _Frames, _Frames]] = {
    "tobacco": ((("tobacco: ", ""), ("smoking history: ", "")), (("tob: ", ""),), (("as for smoking, ", ""),)),
    "alcohol": ((("alcohol use: ", ""), ("drinks alcohol: ", "")), (("EtOH: ", ""),), (("as for drinking, ", ""),)),
    "illicit": ((("uses ", ""), ("active ", " use")), (("+ ", " use"), ("abuses ", "")), (("I use ", ""),)),
    "no illicit": ((("denies ", ""),), (("no ", ""),), (("I do not use ", ""), ("I never tried ", ""))),
    "job": (
        (("works as a ", ""), ("employed as a ", ""), ("retired ", "")),
        (("job: ", ""), ("occ: ", "")),
        (("I work as a ", ""), ("I was a ", "")),
    ),
    "housing": ((("lives ", ""),), (("stays ", ""), ("home: ", "")), (("I live ", ""),)),
}


def social(writer: NoteWriter, picker: Picker, style: Style) -> None:
    """Two to five habits and circumstances; an ``illicit`` drug carries its status as an attribute."""
    labels = picker.rng.sample(("tobacco", "alcohol", "illicit", "job", "housing"), picker.one_of(2, 3, 4, 4, 5))
    for index in separated(writer, style, len(labels)):
        label = labels[index]
        denied = label == "illicit" and picker.chance(0.5)
        before, after = picker.one_of(*style.phrase(*_SOCIAL_PHRASES["no illicit" if denied else label]))
        attributes = {"status": "denied" if denied else "current"} if label == "illicit" else {}
        writer.write(before)
        writer.mention(label, picker.term(label), **attributes)
        writer.write(after)


def imaging(writer: NoteWriter, picker: Picker, style: Style) -> None:
    """A study with two to four findings, present (``finding``) or not (``no-finding``).

    ``located`` spans side and finding together; in "left and right cyst" the first one has two fragments.
    """
    writer.mention("study", picker.one_of(*STUDIES[style.site]))
    writer.write(" = " if style.terse else " shows: ")
    for _ in separated(writer, style, picker.one_of(2, 3, 3, 4)):
        if picker.chance(0.4):
            writer.write(picker.one_of(*style.phrase(("no ", "no evidence of "), ("w/o ", "neg for "))))
            writer.mention("no-finding", picker.term("finding"))
        elif picker.chance(0.12):
            _two_sided(writer, picker)
        else:
            size = writer.mention("size", picker.one_of(*SIZES))
            writer.write(" ")
            start = writer.position
            side = writer.mention("side", picker.one_of(*SIDES))
            writer.write(" ")
            finding = writer.mention("finding", picker.term("finding"))
            writer.mark("located", (start, writer.position))
            writer.relate("side", finding, side)
            writer.relate("size", finding, size)


def _two_sided(writer: NoteWriter, picker: Picker) -> None:
    sides = ["left", "right"]
    picker.rng.shuffle(sides)
    first = writer.mention("side", sides[0])
    writer.write(" and ")
    second = writer.mention("side", sides[1])
    writer.write(" ")
    finding = writer.mention("finding", picker.term("finding"))
    writer.mark("located", writer.place(first), writer.place(finding))
    writer.mark("located", (writer.place(second)[0], writer.position))
    writer.relate("side", finding, first)
    writer.relate("side", finding, second)
