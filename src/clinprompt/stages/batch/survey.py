"""The first look at all notes: how many there are, their digests, and what cannot be read or written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice

from clinprompt.data.digests import Digests, digest
from clinprompt.errors import InputError
from clinprompt.schema.document import Document
from clinprompt.stages.batch.notes import Entry, Notes, entry_name
from clinprompt.stages.progress import Advance, Progress

_NAMED = 1000
"""So many of the names that come again are shown to the writer."""


@dataclass(frozen=True, slots=True)
class Survey:
    """``notes`` places in all, a digest per shard, the faults of what cannot be read, labels of annotated mentions."""

    notes: int
    shards: tuple[str, ...]
    faults: tuple[InputError, ...]
    labels: frozenset[str]


def survey(
    notes: Notes, rehearse: Callable[[Sequence[str]], None], *, most_failed: int, progress: Progress
) -> Survey:  # fmt: skip
    """Go through all notes once, holding one shard; ``rehearse`` raises for names that cannot be written.

    Raises :class:`InputError` when more than ``most_failed`` notes cannot be read.
    """
    count, shards, faults, labels, names = 0, list[str](), list[InputError](), set[str](), Digests()
    with ExitStack() as stack:
        advance: Advance = lambda *_, **__: None  # noqa: E731
        for shard in notes:
            if shard.number == 2:  # few notes are read in no time
                advance = stack.enter_context(progress("read", None))
                advance(count)
            ids = [entry_name(entry) for entry in shard.entries if not isinstance(entry, InputError)]
            faults += [entry for entry in shard.entries if isinstance(entry, InputError)]
            if len(faults) > most_failed:
                raise too_many(most_failed, str(faults[0]), what="read")
            labels.update(_labels(shard.entries))
            rehearse(ids)
            for name in ids:
                names.add(name.casefold())
            count += len(shard.entries)
            shards.append(shard.digest)
            advance(len(shard.entries))
    again = names.repeated()
    if again and len(shards) > 1:  # of one shard all names were rehearsed together
        entries = (entry for shard in notes for entry in shard.entries if not isinstance(entry, InputError))
        rehearse(list(islice((entry.id for entry in entries if digest(entry.id.casefold()) in again), _NAMED)))
    if not shards:
        rehearse(())
    return Survey(count, tuple(shards), tuple(faults), frozenset(labels))


def too_many(most: int, first: str, *, what: str) -> InputError:
    """The error for more failures than are allowed; ``what`` could not be done to the notes."""
    return InputError(
        f"more than {most} notes could not be {what}; the first: {first}",
        where="batch.most_failed",
        fix="mend the notes (with --retry-failed where a shard with them is done), or allow more with --most-failed; "
        "what is done stays done",
    )


def _labels(entries: Sequence[Entry]) -> set[str]:
    return {span.label for entry in entries if isinstance(entry, Document) for span in entry.spans}
