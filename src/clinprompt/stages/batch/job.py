"""What every worker of a run is made of, in this process or in another one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

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

    def placed(self, place: int, processes: int) -> Job:
        """The job for one of several processes: on its own accelerator and with its part of the cores."""
        import torch

        torch.set_num_threads(max(1, torch.get_num_threads() // processes))
        backbone = self.settings.backbone
        if backbone.device != "auto" or torch.cuda.device_count() < 2:
            return self
        device = f"cuda:{place % torch.cuda.device_count()}"
        settings = self.settings.model_copy(update={"backbone": backbone.model_copy(update={"device": device})})
        return replace(self, settings=settings)

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
