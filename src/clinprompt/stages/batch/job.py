"""What every worker of a run is made of, in this process or in another one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from clinprompt.stages.batch.asked import Answers
from clinprompt.stages.batch.backbone_answers import BackboneAnswers
from clinprompt.stages.batch.notes import Item, Notes
from clinprompt.stages.batch.shard_worker import ShardWorker
from clinprompt.stages.configs import PredictSettings
from clinprompt.stages.importing import reader_of


@dataclass(frozen=True, slots=True)
class Job:
    """Settings, the digest of every shard, and whether the first failure ends the run."""

    settings: PredictSettings
    shards: tuple[str, ...]
    stop: bool

    def worker(self, *, notes: Notes | None = None, answers: Answers | None = None) -> ShardWorker:
        """A worker with its own backbone and its own reading of the notes, where none are given."""
        batch = self.settings.batch
        return ShardWorker(
            notes or Notes(items_of(self.settings), size=batch.shard),
            answers or BackboneAnswers(self.settings),
            shards=self.shards,
            out=self.settings.out,
            stop=self.stop,
            retry=batch.retry_failed,
        )


def items_of(settings: PredictSettings) -> Iterable[Item]:
    """The notes that the settings name, which can be gone through more than once."""
    read = reader_of(settings.reader, settings.reader_options)
    return read(settings.notes, **settings.reader_options)
