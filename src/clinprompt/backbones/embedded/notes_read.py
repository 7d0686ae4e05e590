"""The notes that a backbone of our own was pretrained on, made anew from the record it carries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clinprompt.backbones.embedded.pretrain import Run, chunks_of, own_conversations
from clinprompt.backbones.embedded.size import Size

RECORD = "clinprompt.json"


@dataclass(frozen=True, slots=True)
class NotesRead:
    """About ``count`` notes, which iterating gives in the order in which they were read."""

    run: Run

    @property
    def count(self) -> int:
        """About how many they are: the last chunk was not read to its end."""
        return chunks_of(self.run) * self.run.processes * self.run.size.sequences_at_a_time

    def __iter__(self) -> Iterator[str]:
        for chunk in range(chunks_of(self.run)):
            for rank in range(self.run.processes):
                conversations, _ = own_conversations(self.run, chunk, rank=rank)
                yield from (conversation.note.text for conversation in conversations)


def notes_read(folder: Path) -> NotesRead | None:
    """The pretraining notes of the backbone in this folder, ``None`` when it has no record of how they were made."""
    file = folder / RECORD
    record = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if not {"tokens", "seed", "processes", "size"} <= record.keys():
        return None
    return NotesRead(Run(record["tokens"], record["seed"], record["processes"], Size(**record["size"])))
