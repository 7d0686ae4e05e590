"""UIMA CAS XMI, as WebAnno and INCEpTION write it: several layers of spans over one text, and links between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from clinprompt.data.faults import Faults
from clinprompt.data.files import files_below, read_xml
from clinprompt.data.naming import group_name, note_name
from clinprompt.data.offsets import Offsets
from clinprompt.errors import InputError
from clinprompt.schema.concepts import CONCEPT
from clinprompt.schema.document import Document, Relation, Span

SUFFIXES = (".xmi", ".xml")
_ID = "{http://www.omg.org/XMI}id"
_PLACE = ("sofa", "begin", "end", _ID)
_TECHNICAL = ("/uima/", "lexmorph", "segmentation", "syntax", "metadata", "transform", "tweet", "/XMI")
"""Parts of the namespaces of tokens, sentences, tag sets and the CAS itself, which are no annotation of ours."""


def read(
    path: Path | None, *, layers: Sequence[str] = (), label: str = "", concept: str = "entityID", group: str = ""
) -> list[Document]:
    """One :class:`Document` per file of the path or of the files of a folder.

    Offsets in the files count UTF-16 code units. ``layers`` names the layers to read, such as ``[CLINENTITY,
    EVENT]``; by default all but tokens, sentences, tag sets and document data. The label of a span is the name
    of its layer, or the value of its feature ``label`` where it has one; its other features are attributes, the
    feature ``concept`` under that name. Links to spans (``role`` and ``target``) and annotations with a
    ``Governor`` and a ``Dependent`` become relations, labelled by their role, relation type or layer. Features
    of annotations without extent are metadata; links to layers that are not read are counted there. ``group``
    is a regular expression that finds the patient in the name of the file.

    The discontinuous entities of E3C are one stretch from their first to their last part, with the attribute
    ``discontinuous``: their parts are not in the files.

    Raises one :class:`InputError` that lists all files and annotations that cannot be read.
    """
    faults, documents = Faults(), []
    for file in files_below(path, reader="xmi", suffixes=SUFFIXES):
        with faults.gathered():
            name = note_name(file, Path(path))  # type: ignore[arg-type]
            cas = _Cas(read_xml(file), layers=tuple(layers), label=label, concept=concept, where=str(file))
            documents.append(cas.document(name=name, group=group_name(name, group)))
    faults.raise_all()
    return documents


class _Cas:
    """The elements of one file: one text, the annotations of the layers that are read, and links by id."""

    def __init__(self, root: Element, *, layers: tuple[str, ...], label: str, concept: str, where: str) -> None:
        self.label, self.concept, self.where = label, concept, where
        sofas = [element for element in root if _local(element) == "Sofa"]
        if not root.tag.endswith("}XMI") or len(sofas) != 1 or sofas[0].get("sofaString") is None:
            raise InputError("the file is no UIMA XMI with one text", where=where)
        self.text = sofas[0].get("sofaString", "")
        self.offsets = Offsets(self.text, "utf16")
        annotations = [
            element
            for element in root
            if element.get("sofa") == sofas[0].get(_ID)
            and element.get("begin") is not None
            and (_local(element) in layers if layers else not _technical(element))
        ]
        # Ids are looked up by kind: in files that were curated by hand a text and an annotation may share one.
        self.arcs = [element for element in annotations if element.get("Governor") and element.get("Dependent")]
        self.spans = [element for element in annotations if element not in self.arcs and _extent(element)]
        self.points = [element for element in annotations if element not in self.arcs and not _extent(element)]
        self.links = {element.get(_ID): element for element in root if element.get("target") and element.get("role")}
        self.known = {element.get(_ID) for element in self.spans}
        self.counts: Counter[str] = Counter()

    def document(self, *, name: str, group: str) -> Document:
        """The whole document; :class:`InputError` that lists all annotations with a wrong place."""
        faults, spans = Faults(), []
        for place, element in enumerate(self.spans, 1):
            with faults.gathered():
                spans.append(self._span(element, where=f"{self.where} annotation {place}"))
        faults.raise_all()
        relations = [relation for element in self.spans for relation in self._linked(element)]
        relations += [relation for element in self.arcs for relation in self._arc(element)]
        metadata = {
            key: value
            for element in self.points
            for key, value in element.attrib.items()
            if key not in _PLACE and value
        }
        counted = {f"xmi {kind}": str(count) for kind, count in sorted(self.counts.items()) if count}
        return Document(
            id=name,
            text=self.text,
            spans=tuple(spans),
            relations=tuple(
                Relation(label=relation.label, head=relation.head, tail=relation.tail, id=f"R{place}")
                for place, relation in enumerate(relations, 1)
            ),
            group=group,
            metadata={**metadata, **counted},
        )

    def _span(self, element: Element, *, where: str) -> Span:
        begin, end = element.get("begin", ""), element.get("end", "")
        if not begin.isdigit() or not end.isdigit():
            raise InputError("the annotation has no begin or no end", where=where)
        try:
            place = (self.offsets.codepoint(int(begin)), self.offsets.codepoint(int(end)))
        except InputError as fault:
            raise InputError(fault.what, where=where, allowed=fault.allowed, fix=fault.fix) from None
        if not place[0] < place[1]:
            raise InputError(f"the annotation {begin}-{end} ends before it begins", where=where)
        attributes = {
            CONCEPT if key == self.concept else key: value
            for key, value in element.attrib.items()
            if key not in (*_PLACE, self.label) and value and not self._links_of(element, key)
        }
        label = element.get(self.label) or _local(element)
        return Span(label=label, fragments=(place,), id=element.get(_ID, ""), attributes=attributes)

    def _links_of(self, element: Element, key: str) -> list[Element]:
        """The links that a feature lists; none when it is a plain value, which may look like ids."""
        kind = f"{_local(element)}{key}Link".casefold()
        found = [self.links[name] for name in element.get(key, "").split() if name in self.links]
        return [link for link in found if _local(link).casefold() == kind]

    def _linked(self, element: Element) -> list[Relation]:
        links = [link for key in element.attrib if key not in _PLACE for link in self._links_of(element, key)]
        return self._known([(link.get("role", ""), element.get(_ID, ""), link.get("target", "")) for link in links])

    def _arc(self, element: Element) -> list[Relation]:
        label = element.get(self.label) or element.get("DependencyType") or _local(element)
        return self._known([(label, element.get("Governor", ""), element.get("Dependent", ""))])

    def _known(self, links: list[tuple[str, str, str]]) -> list[Relation]:
        kept = [link for link in links if {link[1], link[2]} <= self.known]
        self.counts["links to layers that are not read"] += len(links) - len(kept)
        return [Relation(label=label, head=head, tail=tail) for label, head, tail in kept]


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _technical(element: Element) -> bool:
    return any(part in element.tag.partition("}")[0] + "/" for part in _TECHNICAL)


def _extent(element: Element) -> bool:
    return element.get("begin") != element.get("end")
