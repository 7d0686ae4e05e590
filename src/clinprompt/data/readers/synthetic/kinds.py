"""Kinds of clinical documents: which sections they have, how they are headed, who speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from clinprompt.data.readers.synthetic.style import ON_REQUEST, SECTION_NAMES, SITES, Style


@dataclass(frozen=True, slots=True)
class DocumentKind:
    """A kind of document at both sites.

    ``headings`` replace those of the site; an answer in a dialogue is headed by the question. ``openings`` stand
    before the first section, ``endings`` behind the last. ``always`` is in every document, ``counts`` are how many
    sections one has (each as likely as it is listed), ``share`` how common the kind is.
    """

    name: str
    sections: tuple[str, ...]
    counts: tuple[int, ...]
    share: float
    always: tuple[str, ...] = ()
    openings: Mapping[str, str] = field(default_factory=dict)
    endings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    headings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    heading_end: str | None = None
    section_break: str = "\n"
    spoken: bool = False

    def style(self, site: Style) -> Style:
        """The site's writing in this kind of document."""
        return replace(
            site,
            headings={**site.headings, **self.headings.get(site.site, {})},
            heading_end=site.heading_end if self.heading_end is None else self.heading_end,
            between=" " if self.spoken else site.between,
            stop="." if self.spoken else site.stop,
            section_break=self.section_break,
            terse=site.terse and not self.spoken,
            spoken=self.spoken,
        )

    def holds(self, sections: tuple[str, ...]) -> bool:
        """Whether a document of this kind can have all these sections."""
        return set(sections) <= {*self.sections, *(() if self.spoken else ON_REQUEST)}


_TALKED_OF = ("history", "medications", "adverse-events", "problems", "labs", "social", "opioids", "procedures")

_KINDS = (
    DocumentKind(
        "discharge-summary",
        sections=SECTION_NAMES,
        counts=(3, 3, 4, 4, 5, 6),
        share=0.3,
        openings={"A": "DISCHARGE SUMMARY\n", "B": "D/C summ\n"},
    ),
    DocumentKind(
        "progress-note",
        sections=("history", "medications", "adverse-events", "problems", "labs", "opioids", "imaging"),
        counts=(2, 3, 3, 4),
        share=0.25,
        openings={"A": "PROGRESS NOTE\n", "B": "PN\n"},
        headings={
            "A": {"history": "SUBJECTIVE", "labs": "OBJECTIVE", "problems": "ASSESSMENT", "medications": "PLAN"},
            "B": {"history": "S", "labs": "O", "problems": "A", "medications": "P"},
        },
    ),
    DocumentKind(
        "radiology-report",
        sections=("imaging", "history", "problems", "procedures"),
        always=("imaging",),
        counts=(1, 2, 2, 3),
        share=0.15,
        openings={"A": "RADIOLOGY REPORT\n", "B": "Rad\n"},
        headings={
            "A": {"imaging": "FINDINGS", "history": "INDICATION", "problems": "CLINICAL INFORMATION"},
            "B": {"imaging": "Fdg", "history": "Ind", "problems": "Clin"},
        },
    ),
    DocumentKind(
        "patient-question",
        sections=_TALKED_OF,
        counts=(1, 2, 2, 3),
        share=0.15,
        openings={"A": "Dear doctor, ", "B": "hi, "},
        endings={"A": (" What should I do?", " Is this serious?"), "B": (" any advice?", " should I come in?")},
        headings={site: dict.fromkeys(SECTION_NAMES, "") for site in SITES},
        heading_end="",
        section_break=" ",
        spoken=True,
    ),
    DocumentKind(
        "dialogue",
        sections=_TALKED_OF,
        counts=(2, 2, 3, 4),
        share=0.15,
        headings={
            "A": {
                "history": "Doctor: What brings you in?",
                "medications": "Doctor: Which medicines do you take?",
                "adverse-events": "Doctor: Did any medicine harm you?",
                "problems": "Doctor: Which illnesses do you have?",
                "labs": "Doctor: What did the blood tests say?",
                "social": "Doctor: Tell me about your habits.",
                "opioids": "Doctor: Do you take strong painkillers?",
                "procedures": "Doctor: Any operations?",
            },
            "B": {
                "history": "D: why are you here?",
                "medications": "D: meds?",
                "adverse-events": "D: bad reactions?",
                "problems": "D: conditions?",
                "labs": "D: test results?",
                "social": "D: home and habits?",
                "opioids": "D: opioids?",
                "procedures": "D: surgeries?",
            },
        },
        heading_end="\nPatient: ",
        spoken=True,
    ),
)

KINDS: Mapping[str, DocumentKind] = {kind.name: kind for kind in _KINDS}
