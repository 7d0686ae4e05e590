"""``clinprompt serve``: a bank of prompts on one backbone, answered for over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clinprompt.cli.console import console
from clinprompt.cli.options import (
    AllowRemote,
    Backbone,
    Checkpoint,
    Config,
    Decoding,
    Engine,
    EngineKey,
    EngineModel,
    EngineUrl,
    Flat,
    Grounded,
    Sets,
)


def serve(
    bank: Annotated[Path | None, typer.Option(help="Folder of the bank.", show_default="the one of --config")] = None,
    backbone: Backbone = None,
    host: Annotated[str | None, typer.Option(help="Address to listen at.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen at; 0: a free one.", show_default="8080")] = None,
    allowed_host: Annotated[list[str] | None, typer.Option(help="Another name under which clients may call this "
                                                           "server, such as nlp.example.org; repeat it.")] = None,
    keys: Annotated[Path | None, typer.Option(help="File of keys (`clinprompt keys add`); without it everybody on this "
                                              "machine may do everything.")] = None,
    audit: Annotated[Path | None, typer.Option(help="Audit log to write; no request is answered without its line.")]
        = None,
    audit_secret: Annotated[Path | None, typer.Option(help="Secret that seals the log.",
                                                      show_default="beside the log, made when missing")] = None,
    inbox: Annotated[Path | None, typer.Option(help="Folder from which administrators may add prompt files.")] = None,
    corrections: Annotated[Path | None, typer.Option(help="Folder in which notes corrected on the page are kept, in "
                                                    "clear text, for training; without it none are.")] = None,
    replay: Annotated[Path | None, typer.Option(help="Folder with the prepared data of tasks, FOLDER/TASK, whose "
                                               "training examples may be practised beside corrections.")] = None,
    bank_key: Annotated[Path | None, typer.Option(help="Key that the bank must be signed with.")] = None,
    answer_tokens: Annotated[int | None, typer.Option(help="Longest answer where a request says nothing, in tokens.",
                                                      show_default="192")] = None,
    decoding: Decoding = None,
    grounded: Grounded = None,
    flat: Flat = None,
    engine: Engine = None,
    engine_url: EngineUrl = None,
    checkpoint: Checkpoint = None,
    engine_model: EngineModel = None,
    engine_key: EngineKey = None,
    allow_remote: AllowRemote = False,
    config: Config = None,
    sets: Sets = None,
) -> None:  # fmt: skip
    """Serve a bank: OpenAI's /v1/models, /v1/completions and /v1/chat/completions, and /v1/extract with exact places.

    Prompts that are added to the bank, promoted or rolled back are served from the next request on. SIGTERM or Ctrl-C
    lets running requests finish.
    """
    import logging

    from clinprompt.cli.options import overrides
    from clinprompt.serving.process import end
    from clinprompt.serving.process import serve as run
    from clinprompt.serving.server import open_server
    from clinprompt.serving.settings import ServeSettings
    from clinprompt.stages.overrides import load_config

    flags = overrides(
        sets, bank=bank, backbone__path=backbone, host=host, port=port, hosts=allowed_host, keys=keys, audit=audit,
        audit_secret=audit_secret, inbox=inbox, corrections=corrections, replay=replay, bank_key=bank_key,
        answer_tokens=answer_tokens, decoding__kind=decoding, decoding__grounded=grounded, decoding__flat=flat,
        engine__kind=engine, engine__url=engine_url, engine__checkpoint=checkpoint, engine__model=engine_model,
        engine__key_file=engine_key, engine__allow_remote=allow_remote or None,
    )  # fmt: skip
    settings = load_config(config, ServeSettings, flags)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    console.stage("serve", f"{settings.bank} on {settings.engine.checkpoint or settings.backbone.path}")
    server = open_server(settings)
    snapshot = server.prompts.snapshot
    for reference, fault in snapshot.faults.items():
        console.warn(f"{reference} is not served: {fault}")

    for remark in server.opened.remarks(settings.decoding):
        console.warn(remark)
    if unconstrained := server.opened.unconstrained(settings.decoding):
        console.warn(f"answers are written freely and checked afterwards: {unconstrained}")

    def told(address: str) -> None:
        console.line(f"{len(snapshot.promoted)} prompts at {address}; Ctrl-C ends it")
        console.result({"address": address, "prompts": sorted(snapshot.promoted), "faults": dict(snapshot.faults)})

    given_up = run(server, told=told)
    console.line(f"requests given up: {given_up}" if given_up else "all requests are finished")
    end()
