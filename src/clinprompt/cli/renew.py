"""``clinprompt renew``: a new version of a bank's prompt from corrected notes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clinprompt.cli.console import console
from clinprompt.cli.options import Backbone, Config, Sets, overrides


def renew(
    name: Annotated[str | None, typer.Argument(help="Prompt of the bank, NAME or NAME@VERSION to go on from.")] = None,
    bank: Annotated[Path | None, typer.Option(help="Bank that the new version is added to.")] = None,
    corrections: Annotated[Path | None, typer.Option(help="Folder of corrections that the page saved.")] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            help="Prepared data whose training examples are practised too: half of all (--set replay_share=0.5), at "
            "least one."
        ),
    ] = None,
    bank_key: Annotated[Path | None, typer.Option(help="Key that the bank is signed with.")] = None,
    backbone: Backbone = None,
    config: Config = None,
    sets: Sets = None,
    status: Annotated[Path | None, typer.Option(help="File to write the progress to, as JSON.")] = None,
) -> None:
    """Train on corrected notes from the prompt in use, score both on notes left out, add the version to the bank.

    The new version is not promoted: look at the scores, then `clinprompt bank promote`.
    """
    from clinprompt.stages.overrides import load_config
    from clinprompt.stages.renew import RenewSettings
    from clinprompt.stages.renew import renew as stage
    from clinprompt.stages.told import told

    flags = overrides(
        sets, name=name, bank=bank, corrections=corrections, replay=replay, bank_key=bank_key, backbone__path=backbone
    )  # fmt: skip
    settings = load_config(config, RenewSettings, flags)
    console.stage("renew", f"{settings.name}, from {settings.corrections}")
    made = stage(settings, progress=told(console.progress, status) if status else console.progress)
    found = made.compared
    if found is None:
        console.warn(f"not scored: {made.unseen} of {made.notes} notes were not seen by {made.before}; save more")
    else:
        rows = [[made.before, *_numbers(found.old)], [f"like {made.prompt}", *_numbers(found.new)]]
        console.table(["version", found.metric, "low", "high", "examples", "documents"], rows, title="Notes left out")
        console.line(
            f"difference {found.difference:+.1f} [{found.low:+.1f} to {found.high:+.1f}] points on {found.notes} notes"
        )
    more = f" and replayed examples ({made.replayed} to choose from)" if made.replayed else ""
    console.line(f"added {made.prompt}, trained on {made.notes} notes{more}; {made.before} stays promoted")
    console.result(made.record())


def _numbers(score: object) -> list[object]:
    return [getattr(score, name) for name in ("value", "low", "high", "n", "groups")]
