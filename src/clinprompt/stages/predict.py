"""Notes in, predictions out: in shards that are kept when they are done, joined into one output at the end."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from typing import Any

from clinprompt import __version__
from clinprompt.data.files import file_hash
from clinprompt.errors import InputError, raise_all
from clinprompt.prompts.prompt_file import read_card
from clinprompt.stages.adapted import run_prompt
from clinprompt.stages.banked import prompt_path
from clinprompt.stages.batch.asked import Answers, Asked, asked_by
from clinprompt.stages.batch.backbone_answers import BackboneAnswers
from clinprompt.stages.batch.executors import Parts, in_processes, in_turn
from clinprompt.stages.batch.job import Job, items_of
from clinprompt.stages.batch.joined import beside, joined, totals
from clinprompt.stages.batch.meter import Meter
from clinprompt.stages.batch.note_reader import with_reader
from clinprompt.stages.batch.notes import Notes
from clinprompt.stages.batch.part import Part, part_of
from clinprompt.stages.batch.parts_folder import PartsFolder
from clinprompt.stages.batch.report import PredictReport
from clinprompt.stages.batch.share import Share, share_of
from clinprompt.stages.batch.survey import Survey, survey, too_many
from clinprompt.stages.configs import PredictSettings
from clinprompt.stages.exporting import check_output, holds_answers, rehearse
from clinprompt.stages.opened import Opened
from clinprompt.stages.progress import Progress, silent
from clinprompt.stages.reading import LEDGER

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SUSPICIOUS = 10
"""Of so many notes together at least one should be answered."""


def predict(settings: PredictSettings, *, opened: Opened | None = None, progress: Progress = silent) -> PredictReport:
    """Predict every prompt's task on every note and write the result to ``settings.out``.

    What is done is kept shard by shard: however a run ends, the same call goes on where it stopped. Refuses prompts of
    another backbone, prompts that have gone silent, outputs that the writer cannot hold, and to go on with other
    settings, prompts or notes.
    """
    share, settings = share_of(settings.batch.share), _settled(settings)
    if not settings.out.name:
        raise InputError("this is no name of an output", where=f"--out {settings.out}",
                         fix="name a file, or a folder that is not there yet")  # fmt: skip
    folder = PartsFolder(settings.out)
    with folder.held(share), _full_disk_told(folder):
        folder.sweep()
        _check_output(settings, folder)
        try:
            with ExitStack() as stack:
                return _run(settings, folder, share, opened, progress, stack)
        except BaseException:
            if share is None and not folder.numbers():
                folder.remove()
            raise


def report_record(report: PredictReport) -> dict[str, Any]:
    """The report as plain values."""
    return asdict(report)


def _run(
    settings: PredictSettings,
    folder: PartsFolder,
    share: Share | None,
    opened: Opened | None,
    progress: Progress,
    stack: ExitStack,
) -> PredictReport:
    batch = settings.batch
    answers, asked = _asked(settings, opened, stack)
    if asked.only_answers and not holds_answers(settings.writer):
        raise InputError(
            f"{settings.writer} holds spans and relations only",
            allowed="entities, relations, answers in words of the note (codec quote)",
            fix="use --to jsonl",
        )
    notes = Notes(items_of(settings), size=batch.shard)
    looked = survey(
        notes,
        lambda ids: rehearse(ids, asked.labels, asked.relations, settings.out,
                             writer=settings.writer, options=settings.writer_options),
        most_failed=batch.most_failed, progress=progress,
    )  # fmt: skip
    # Where all notes are one shard nothing is lost by stopping, and mending comes first.
    stop = len(looked.shards) <= 1 if batch.stop_on_failure is None else batch.stop_on_failure
    stop = stop and not batch.retry_failed
    if stop:
        raise_all(list(looked.faults))
    if asked.mentions and not asked.mentions & looked.labels:
        raise InputError(
            "the notes have no mention to ask about",
            allowed=", ".join(sorted(asked.mentions)),
            fix="add a --prompt that extracts them, or read annotated notes, such as --reader brat",
        )
    folder.begin(_plan(settings, asked))
    numbers = range(1, len(looked.shards) + 1)
    known = _known(folder, looked, settings)
    mine = [number for number in numbers if share is None or share.has(number)]
    left = [number for number in mine if number not in known or (batch.retry_failed and known[number])]
    failed = sum(count for number, count in known.items() if number not in left)
    job = Job(settings, looked.shards, stop)
    sizes = {number: min(batch.shard, looked.notes - (number - 1) * batch.shard) for number in left}
    with progress("predict", sum(sizes.values())) as advance:
        meter = Meter(advance, sizes)
        for number, content in _parts(job, left, notes, answers, meter):
            part = part_of(content)
            assert part is not None
            failed += len(part.failed)
            _check_failures(part, failed, settings)
            folder.commit(number, content)
            meter.done(number)
    with folder.joined_by_us(share) as ours:
        waiting = sum(folder.part(number) is None for number in numbers)
        if ours and not waiting:
            report = joined(settings, notes, folder, asked, shards=len(numbers))
            folder.end(failed=bool(report.failed))
            return report
    return totals(folder, asked, mine).report(
        lost={}, ledger=beside(settings, LEDGER), extents=asked.extents, waiting=max(waiting, 1)
    )


def _settled(settings: PredictSettings) -> PredictSettings:
    """The settings with the files of prompts that banks name, and with a reader; :class:`InputError` for what does not
    go together.
    """
    batch, (settings, _) = settings.batch, with_reader(settings)
    if settings.decoding.gold_heads:
        raise InputError(
            "new notes have no annotated heads to ask about",
            where="decoding.gold_heads",
            fix="leave it out; `clinprompt evaluate` scores with annotated heads beside those that are found",
        )
    if batch.retry_failed and batch.share:
        raise InputError("notes that failed are tried again by one process", where="--retry-failed",
                         fix="leave --shard-of out")  # fmt: skip
    if batch.server is None:
        paths = tuple(run_prompt(prompt_path(place, key=settings.bank_key)) for place in settings.prompts)
        return settings.model_copy(update={"prompts": paths})
    own = {"backbone", "engine", "window", "decoding", "bank_key"} & settings.model_fields_set
    own |= {"batch.processes"} if batch.processes > 1 else set()
    own |= {"batch.executor"} if batch.executor != "local" else set()
    if own:
        raise InputError(
            f"{', '.join(sorted(own))} cannot be set for a server",
            where="--server",
            fix="leave it out; the server has its own backbone, windows and decoding",
        )
    return settings


def _check_output(settings: PredictSettings, folder: PartsFolder) -> None:
    """Raise for an output that is there and not ours to write again, and for what the writer would refuse."""
    out, retry = settings.out, settings.batch.retry_failed
    if retry and not folder.path.is_dir():
        raise InputError("no note of this output failed, or it was never begun", where=str(out),
                         fix="leave --retry-failed out")  # fmt: skip
    if folder.finished and not retry and out.exists():
        raise InputError("the output is there already, without the notes that failed", where=str(out),
                         fix="try those again with --retry-failed, or choose another name")  # fmt: skip
    again = folder.joining or (retry and folder.finished)
    check_output(settings.writer, settings.writer_options, out, overwrite=again)


def _asked(settings: PredictSettings, opened: Opened | None, stack: ExitStack) -> tuple[Answers | None, Asked]:
    """What answers in this process, if anything does, and what is asked."""
    batch = settings.batch
    if batch.server is not None:
        from clinprompt.stages.batch.server_answers import ServerAnswers  # httpx

        server = stack.enter_context(closing(ServerAnswers(settings)))
        return server, server.asked
    if settings.engine.kind == "local" and (batch.processes > 1 or batch.executor != "local"):
        return None, asked_by([read_card(path) for path in settings.prompts], settings.prompts)
    # Another engine has light words here, and maybe the prompts.
    answers = stack.enter_context(closing(BackboneAnswers(settings, opened=opened)))
    asked = asked_by(answers.cards, settings.prompts)
    return (None if batch.processes > 1 or batch.executor != "local" else answers), asked


def _plan(settings: PredictSettings, asked: Asked) -> dict[str, Any]:
    """What must stay the same for a run to go on: all that answers depend on."""
    here = {"device", "note_memory", "note_folder", "compiled", "sharded", "recompute", "path"}
    apart = {"engine", "prompts", "bank_key", "notes", "out", "writer", "writer_options", "batch"}
    if settings.batch.server is not None:
        apart |= {"backbone", "window", "decoding", "answer_tokens"}
    rules, engine = settings.long_notes.sections, settings.engine
    return {
        "clinprompt": __version__,
        "settings": settings.model_dump(
            mode="json", exclude={**dict.fromkeys(apart, True), **({} if "backbone" in apart else {"backbone": here})}
        ),
        "engine": {name: str(getattr(engine, name)) for name in ("kind", "checkpoint", "model")},
        "sections": file_hash(rules) if rules else None,
        "prompts": [dict(one) for one in asked.made_by],
        "shard": settings.batch.shard,
    }


def _known(folder: PartsFolder, looked: Survey, settings: PredictSettings) -> dict[int, int]:
    """The shards that are done, with the number of notes that failed.

    Raises :class:`InputError` when notes are others than those that were answered; notes of shards that are not done
    may have been mended, and those that failed where they are tried again.
    """
    known, size = {}, settings.batch.shard
    for number in folder.numbers():
        part = folder.part(number)
        if part is None:
            continue
        there = number <= len(looked.shards)
        mended = settings.batch.retry_failed and bool(part.failed)
        if not there or (part.digest != looked.shards[number - 1] and not mended):
            raise InputError(
                "the notes were changed, moved or removed after they had been answered",
                where=f"notes {(number - 1) * size + 1} to {number * size}, {folder.path}",
                fix=("if only notes that had failed were mended, give --retry-failed; else " if part.failed else "")
                + "restore them, choose another --out, or remove that folder to start anew",
            )
        known[number] = len(part.failed)
    return known


def _parts(job: Job, left: Sequence[int], notes: Notes, answers: Answers | None, meter: Meter) -> Parts:
    batch = job.settings.batch
    if answers is not None:
        return in_turn(job.worker(notes=notes, answers=answers), left, watch=meter.further)
    if batch.executor == "ray":
        from clinprompt.stages.batch.cluster import on_cluster

        return on_cluster(job, left, actors=batch.processes)
    return in_processes(job, left, processes=batch.processes)


def _check_failures(part: Part, failed: int, settings: PredictSettings) -> None:
    """Raise when so many notes failed that it is hardly the notes' fault."""
    if not part.failed or settings.batch.retry_failed:
        return
    if not part.answered and len(part.failed) >= _SUSPICIOUS:
        raise InputError(f"none of the {len(part.failed)} notes of shard {part.number} could be answered; the first: "
                         f"{part.failed[0].reason}")  # fmt: skip
    if failed > settings.batch.most_failed:
        raise too_many(settings.batch.most_failed, part.failed[0].reason, what="read or answered")


@contextmanager
def _full_disk_told(folder: PartsFolder) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise InputError(
            f"there is no room to write ({error.strerror})",
            where=str(folder.out.parent),
            fix="make room and run the same command again; shards that are done stay done",
        ) from None
