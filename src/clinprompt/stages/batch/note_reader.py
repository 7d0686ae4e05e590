"""The reader of a run's notes where nobody names one: the one that the run began with, else the one that is guessed."""

from __future__ import annotations

from clinprompt.data.guess import target
from clinprompt.data.new_notes import guess_notes
from clinprompt.stages.batch.parts_folder import PartsFolder
from clinprompt.stages.configs import PredictSettings


def with_reader(settings: PredictSettings) -> tuple[PredictSettings, str]:
    """The settings with a reader, its options and what it reads, and what its name rests on (empty: it was named).

    Options that were given go before those that were found. Raises :class:`InputError` when nothing known fits.
    """
    if settings.reader != "auto":
        return settings, ""
    begun = PartsFolder(settings.out).plan.get("settings") if settings.out.name else None
    if begun:
        reader, options, why = begun["reader"], begun["reader_options"], "so this run was begun"
        path = target(settings.notes, reader)
    else:
        found = guess_notes(settings.notes)
        reader, options, why, path = found.reader, found.options, found.why, found.path
    changes = {"reader": reader, "reader_options": {**options, **settings.reader_options}, "notes": path}
    return settings.model_copy(update=changes), why
