"""What makes the part of a shard: one note that cannot be answered does not take the others with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from clinprompt.errors import InputError
from clinprompt.stages.batch.asked import Answers, RunError
from clinprompt.stages.batch.note_answer import NoteAnswer
from clinprompt.stages.batch.notes import Item, Notes, Shard, ShardsInTurn, entry_digest, entry_name
from clinprompt.stages.batch.part import Answered, Failure, Part, part_bytes
from clinprompt.stages.batch.parts_folder import PartsFolder

Watch = Callable[[float], None]


class ShardWorker:
    """Answers shards of ``notes``, whose digests are ``shards``; with ``stop`` the first failure is raised.

    With ``retry`` what an earlier part of the output ``out`` has answered is kept and the rest is tried again.
    """

    def __init__(
        self, notes: Notes, answers: Answers, *, shards: Sequence[str], out: Path, stop: bool, retry: bool
    ) -> None:
        self.answers, self.shards, self.stop, self.retry = answers, shards, stop, retry
        self.turn, self.folder = ShardsInTurn(notes), PartsFolder(out)

    def part(self, number: int, *, watch: Watch = lambda share: None) -> bytes:
        """The part of a shard; raises :class:`InputError` when its notes are others than they were at first."""
        shard = self.turn.shard(number)
        if shard is None or shard.digest != self.shards[number - 1]:
            raise InputError(
                f"notes of shard {number} changed while the run went on",
                fix="keep the notes as they are until it has ended, then run the same command again",
            )
        known = self.folder.part(number) if self.retry else None
        answered = _still_there(shard, known)
        failed = [
            Failure(place, entry_name(entry), str(entry))
            for place, entry in shard.placed
            if isinstance(entry, InputError)
        ]
        if failed and self.stop:
            raise next(entry for entry in shard.entries if isinstance(entry, InputError))
        open_ = [
            (place, entry)
            for place, entry in shard.placed
            if place not in answered and not isinstance(entry, InputError)
        ]
        found = self._tried([item for _, item in open_], watch)
        for (place, item), one in zip(open_, found, strict=True):
            if isinstance(one, NoteAnswer):
                answered[place] = Answered(item.id, entry_digest(item), one)
            else:
                failed.append(Failure(place, item.id, _reason(one)))
        made = (note.answer.provenance for _, note in sorted(answered.items()))
        provenance = next((one for one in made if one), known.provenance if known else {})
        failed.sort(key=lambda one: one.place)
        told = (self.answers.unconstrained, self.answers.remarks)
        return part_bytes(Part(number, shard.digest, answered, tuple(failed), provenance, *told))

    def _tried(self, items: Sequence[Item], watch: Watch) -> list[NoteAnswer | Exception]:
        """An answer or a fault for each; where all fail together, halves are tried, down to single notes."""
        if not items:
            return []
        try:
            found = list[NoteAnswer | Exception](self.answers.answers(items, watch=watch))
        except OSError:
            raise  # a disk, a connection: no fault of a note
        except Exception as fault:
            if self.stop or isinstance(fault, RunError):
                raise
            if len(items) == 1:
                return [fault]
            half = len(items) // 2
            return [*self._tried(items[:half], _deaf), *self._tried(items[half:], _deaf)]
        for one in found:
            if self.stop and isinstance(one, Exception):
                raise one
        return found


def _deaf(share: float) -> None:
    pass


def _still_there(shard: Shard, known: Part | None) -> dict[int, Answered]:
    """What was answered before, of notes that are the same."""
    kept = dict(known.answered) if known else {}
    digests = {place: entry_digest(entry) for place, entry in shard.placed}
    for place, note in kept.items():
        if digests.get(place) != note.digest:
            raise InputError(
                f"the note {note.id}, which was answered, is another now or has another place",
                where=f"note {place}",
                fix="only notes that failed may be mended for --retry-failed; give another --out to read all anew",
            )
    return kept


def _reason(fault: Exception) -> str:
    """What may be told of a fault: messages of other libraries could quote the note."""
    return str(fault) if isinstance(fault, InputError) else type(fault).__name__
