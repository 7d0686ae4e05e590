"""What became of one shard, as the bytes of one file: a line about the shard, then a line per note, never a text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clinprompt.stages.batch.note_answer import NoteAnswer, answer_of, answer_record


@dataclass(frozen=True, slots=True)
class Failure:
    """A note that was not read or not answered: its place among all notes, its name, and why, never its text."""

    place: int
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answered:
    """One answered note; ``digest`` is that of its id and text."""

    id: str
    digest: str
    answer: NoteAnswer


@dataclass(frozen=True, slots=True)
class Part:
    """The shard's number, the digest of its notes, and by place what was answered and what failed.

    ``provenance`` is what made the first answer; ``unconstrained`` says why answers were not constrained,
    ``remarks`` what else there is to say of the engine.
    """

    number: int
    digest: str
    answered: Mapping[int, Answered]
    failed: tuple[Failure, ...]
    provenance: Mapping[str, Any]
    unconstrained: str = ""
    remarks: tuple[str, ...] = ()


def part_bytes(part: Part) -> bytes:
    """The file: its first line has the counts and the SHA-256 of the others."""
    lines = [
        _line({"place": place, "id": note.id, "digest": note.digest, **answer_record(note.answer)})
        for place, note in sorted(part.answered.items())
    ]
    body = "".join(lines).encode()
    head = {
        "shard": part.number,
        "notes": part.digest,
        "answered": len(part.answered),
        "failed": [[one.place, one.id, one.reason] for one in part.failed],
        "provenance": dict(part.provenance),
        "unconstrained": part.unconstrained,
        "remarks": part.remarks,
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    return _line(head).encode() + body


def part_of(content: bytes) -> Part | None:
    """The part of a file's bytes; ``None`` when they are not whole."""
    first, _, body = content.partition(b"\n")
    try:
        head = json.loads(first)
    except ValueError:
        return None
    if not isinstance(head, dict) or head.get("sha256") != hashlib.sha256(body).hexdigest():
        return None
    answered = {}
    for line in body.decode().split("\n")[:-1]:
        record = json.loads(line)
        answered[record["place"]] = Answered(record["id"], record["digest"], answer_of(record))
    failed = tuple(Failure(*one) for one in head["failed"])
    return Part(
        head["shard"], head["notes"], answered, failed, head["provenance"], head["unconstrained"],
        tuple(head["remarks"]),
    )  # fmt: skip


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
