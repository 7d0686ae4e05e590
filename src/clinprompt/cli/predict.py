"""``clinprompt predict``: notes in, exact spans and answers out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clinprompt.cli.batch_options import (
    AtOnce,
    Executor,
    MostFailed,
    Processes,
    RetryFailed,
    Server,
    ServerKey,
    Shard,
    ShardOf,
    StopOnFailure,
)  # fmt: skip
from clinprompt.cli.console import console
from clinprompt.cli.options import (
    FAILED,
    AllowRemote,
    Backbone,
    Checkpoint,
    Decoding,
    Engine,
    EngineKey,
    EngineModel,
    EngineUrl,
    Flat,
    Grounded,
    Sets,
)


def predict(
    notes: Annotated[Path, typer.Argument(help="Folder (or file) of notes.")],
    prompt: Annotated[list[Path], typer.Option("--prompt", "-p", help="A prompt file, a run of `clinprompt adapt` "
                                                    "with one, or one of a bank: BANK:NAME or "
                                                    "BANK:NAME@VERSION; with --server a NAME of its bank, with "
                                                    "--checkpoint one of it; repeat for several tasks.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder (brat) or file to write; must not exist.")],
    to: Annotated[str, typer.Option(help="Format to write; see `clinprompt show writers`.")] = "brat",
    to_option: Annotated[list[str] | None, typer.Option(help="Option of the format, such as unit=utf16.")] = None,
    reader: Annotated[str | None, typer.Option(help="How the notes are read; see `clinprompt show readers`.",
                                               show_default="guessed; text files are plain")] = None,
    option: Annotated[list[str] | None, typer.Option(help="Option of the reader, such as note=report_text.")] = None,
    window: Annotated[int | None, typer.Option(help="Longest stretch of a note searched for spans at once, in "
                                               "characters.", show_default="the task's")] = None,
    window_tokens: Annotated[int | None, typer.Option(help="Longest stretch of a note in tokens of the backbone.",
                                                      show_default="what the context holds")] = None,
    overlap: Annotated[int | None, typer.Option(help="Characters that neighbouring windows share at least.",
                                                show_default="the longest span or relation of the training data, at "
                                                "most half a window")] = None,
    long_choices: Annotated[str | None, typer.Option(help="Class or option of a note in several windows: surest, or "
                                                     "summed over the windows.", show_default="surest")] = None,
    long_summaries: Annotated[str | None, typer.Option(help="Summaries of a note in several windows: summarised "
                                                       "again, or joined.", show_default="again")] = None,
    sections: Annotated[Path | None, typer.Option(help="YAML file of section headings, added to our own.")] = None,
    mark_sections: Annotated[bool, typer.Option("--mark-sections", help="Give each span the attribute `section`.")]
        = False,
    mark_ambiguous: Annotated[bool, typer.Option("--mark-ambiguous", help="Give spans whose words stand in several "
                              "places the attribute `ambiguous`.")] = False,
    answer_tokens: Annotated[int | None, typer.Option(help="Longest answer of a decoder, in tokens.",
                                                      show_default="192")] = None,
    decoding: Decoding = None,
    grounded: Grounded = None,
    flat: Flat = None,
    bank_key: Annotated[Path | None, typer.Option(help="Key that the banks must be signed with.")] = None,
    backbone: Backbone = None,
    shard: Shard = 1000,
    shard_of: ShardOf = "",
    processes: Processes = 1,
    executor: Executor = "local",
    server: Server = None,
    server_key: ServerKey = None,
    at_once: AtOnce = None,
    stop_on_failure: StopOnFailure = None,
    most_failed: MostFailed = None,
    retry_failed: RetryFailed = False,
    engine: Engine = None,
    engine_url: EngineUrl = None,
    checkpoint: Checkpoint = None,
    engine_model: EngineModel = None,
    engine_key: EngineKey = None,
    allow_remote: AllowRemote = False,
    sets: Sets = None,
) -> None:  # fmt: skip
    """Read notes with one prompt or several: every returned span is in the note at the offsets given.

    Notes of any length are read whole, in windows where need be; ledger.jsonl says in how many, for each note and task.
    Any number of notes is read in shards: stopped or killed, the same command goes on after the last finished shard.
    The exit code is 3 when all is done but for notes in failed.jsonl.
    """
    from clinprompt.cli.options import overrides
    from clinprompt.stages.batch.note_reader import with_reader
    from clinprompt.stages.configs import PredictSettings
    from clinprompt.stages.overrides import load_config
    from clinprompt.stages.predict import predict as stage
    from clinprompt.stages.predict import report_record

    flags = overrides(
        [*(f"reader_options.{given}" for given in option or []),
         *(f"writer_options.{given}" for given in to_option or []), *(sets or [])],
        notes=notes, prompts=prompt, out=out, writer=to, reader=reader, window=window,
        long_notes__window_tokens=window_tokens, long_notes__overlap=overlap, long_notes__choices=long_choices,
        long_notes__summaries=long_summaries, long_notes__sections=sections, mark_sections=mark_sections or None,
        mark_ambiguous=mark_ambiguous or None,
        answer_tokens=answer_tokens, decoding__kind=decoding, decoding__grounded=grounded, decoding__flat=flat,
        batch__shard=shard, batch__share=shard_of or None, batch__processes=processes, batch__executor=executor,
        batch__server__url=server, batch__server__key=server_key, batch__server__at_once=at_once,
        batch__stop_on_failure=stop_on_failure, batch__most_failed=most_failed,
        batch__retry_failed=retry_failed or None,
        bank_key=bank_key, backbone__path=backbone, engine__kind=engine, engine__url=engine_url,
        engine__checkpoint=checkpoint, engine__model=engine_model, engine__key_file=engine_key,
        **{f"{'batch__server' if server else 'engine'}__allow_remote": allow_remote or None},
    )  # fmt: skip
    settings, why = with_reader(load_config(None, PredictSettings, flags))
    console.stage("predict", f"{len(settings.prompts)} task(s) on {settings.notes}")
    if why:
        console.line(f"read as {settings.reader}: {why} (--reader names another format)")
    report = stage(settings, progress=console.progress)
    found = report.decoding
    counts = ("notes", "windows", "characters", "spans", "relations", "attributes", "answers")
    console.table(list(counts), [[getattr(report, name) for name in counts]], title="Read and written")
    console.line(
        f"of {found.items} items in the answers: {found.unreadable} could not be read, {found.unlocated} are not in "
        f"the note, {found.repeated} were said before (all left out), {found.ambiguous} stand in several places; "
        f"{found.truncated} answers were cut"
    )
    console.line(
        f"coverage: {report.windowed} of {report.notes} notes in several windows, {report.truncated} characters left "
        f"out; {report.pairs_apart} pairs of mentions that a relation could join shared no window ({report.ledger})"
    )
    for task, (shared, extent) in report.overlaps.items():
        console.warn(f"{task}: windows share {shared} characters, less than the longest training item ({extent}); "
                     "longer items may be cut (--overlap, --window)")  # fmt: skip
    if report.unconstrained:
        console.warn(f"answers of this backbone were written freely and checked afterwards: {report.unconstrained}")
    for remark in report.remarks:
        console.warn(remark)
    if report.waiting:
        console.line(
            f"this share is done; {report.waiting} shards of others are not, and who ends last writes the output"
        )
        if report.failed:
            console.warn(f"{report.failed} notes of this share failed; their list is written with the output")
        console.result({"out": settings.out, **report_record(report)})
        return
    if report.lost:
        console.warn(f"{to} cannot hold: {', '.join(f'{kind} {count}' for kind, count in report.lost.items())}")
    console.line(f"written to {settings.out}")
    console.result({"out": settings.out, **report_record(report)})
    if report.failed:
        console.warn(f"{report.failed} notes failed and are left out; {report.dead_letters} says why. Mend what can be "
                     "mended and try them again with the same command and --retry-failed")  # fmt: skip
        raise typer.Exit(FAILED)
