"""``clinprompt backbone``: make the small backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clinprompt.cli.console import console

app = typer.Typer(help="Make and look at backbones.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Make and look at backbones."""


@app.command()
def pretrain(
    out: Annotated[Path, typer.Argument(help="Folder to write, an ordinary Hugging Face folder.")],
    tokens: Annotated[int, typer.Option(help="Training tokens.")] = 26_000_000,
    seed: Annotated[int, typer.Option(help="Seed of notes, order and start.")] = 7,
    threads: Annotated[int, typer.Option(help="Processor threads.")] = 2,
) -> None:
    """Train the embedded backbone from nothing on synthetic notes; about an hour on two cores for 26 M tokens."""
    from clinprompt.backbones.embedded.pretrain import PretrainStep
    from clinprompt.backbones.embedded.pretrain import pretrain as train

    console.stage("pretrain", f"{tokens / 1e6:.0f} M tokens of synthetic notes")
    with console.progress("pretrain (k tokens)", tokens // 1000) as advance:
        done = 0

        def report(step: PretrainStep) -> None:
            nonlocal done
            advance(step.tokens // 1000 - done, loss=step.answer_loss)
            done = step.tokens // 1000

        result = train(out, tokens=tokens, seed=seed, threads=threads, report=report)
    console.line(f"written to {out}")
    console.result({"out": out, "result": str(result)})
