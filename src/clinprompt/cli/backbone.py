"""``clinprompt backbone``: make the small backbone, or one out of a GGUF file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clinprompt.cli.check import Dtype
from clinprompt.cli.console import console

app = typer.Typer(help="Make and look at backbones.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Make and look at backbones."""


@app.command()
def pretrain(
    out: Annotated[Path, typer.Argument(help="Folder to write, an ordinary Hugging Face folder.")],
    size: Annotated[str, typer.Option(help="small (0.4 M weights), base (1.5 M) or large (3 M).")] = "base",
    tokens: Annotated[int, typer.Option(help="Training tokens, over all processes.")] = 48_000_000,
    seed: Annotated[int, typer.Option(help="Seed of notes, order and start.")] = 7,
    processes: Annotated[
        int | None,
        typer.Option(help="Processes of one thread each that share every update.", show_default="one per core"),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Highest learning rate.", show_default="that of the size")
    ] = None,
) -> None:
    """Train the embedded backbone from nothing on synthetic notes.

    An interrupted run goes on from its last checkpoint when the same command is given again; the curve is kept in
    OUT/pretraining.jsonl. An allocator such as tcmalloc, set with LD_PRELOAD, makes it a little faster.
    """
    from clinprompt.backbones.embedded.pretrain import pretrain as train
    from clinprompt.backbones.embedded.progress import Progress
    from clinprompt.backbones.embedded.size import named_size
    from clinprompt.backbones.embedded.team import cores

    shape, count = named_size(size), processes or cores()
    console.stage("pretrain", f"{size}: {tokens / 1e6:.0f} M tokens of synthetic notes, {count} processes")
    with console.progress("pretrain (k tokens)", tokens // 1000) as advance:
        done = 0

        def report(now: Progress) -> None:
            nonlocal done
            speed = round(now.tokens_per_second)
            advance(now.tokens // 1000 - done, loss=now.answer_loss, tokens_per_second=speed)
            done = now.tokens // 1000

        result = train(
            out,
            tokens=tokens,
            seed=seed,
            report=report,
            size=shape,
            processes=count,
            learning_rate=learning_rate,
        )
    console.line(f"written to {out}")
    console.result({"out": out, "result": str(result)})


@app.command()
def unpack(
    file: Annotated[Path, typer.Argument(help="A decoder in one GGUF file.")],
    out: Annotated[Path, typer.Argument(help="Folder to write, an ordinary Hugging Face folder.")],
    dtype: Annotated[Dtype, typer.Option(help="Dtype of the weights in the folder.")] = Dtype.bfloat16,
) -> None:
    """Write a GGUF file, as llama.cpp and its relatives keep models, out as a backbone's folder.

    Weights in fewer bits are written out in full; they keep the rounding that they have. Needs the extra gguf.
    """
    from clinprompt.backbones.gguf_file import unpack as write

    console.stage("unpack", str(file))
    count = write(file, out, dtype=dtype.value)
    console.line(f"{count:,} parameters in {dtype.value} written to {out}")
    console.result({"out": out, "parameters": count, "dtype": dtype.value})


@app.command()
def examine(
    folder: Annotated[Path | None, typer.Argument(help="A pretrained folder.", show_default="the embedded one")] = None,
    items: Annotated[int, typer.Option(help="Instructions per row.", min=1)] = 600,
    seed: Annotated[int, typer.Option(help="Seed of the held-out notes.")] = 5,
) -> None:
    """How well a pretrained model follows instructions over notes it has not seen: whole answers, teacher-forced."""
    from clinprompt.backbones.embedded import MODEL_FOLDER
    from clinprompt.backbones.embedded.evaluation import SETTINGS
    from clinprompt.backbones.embedded.evaluation import examine as ask

    found = []
    with console.progress("examine", len(SETTINGS)) as advance:
        for setting, shares in ask(folder or MODEL_FOLDER, n=items, seed=seed):
            found.append((setting, shares))
            advance(1)
    kinds = ["all", *sorted({kind for _, shares in found for kind in shares} - {"all"})]
    rows = [
        [str(setting), *(f"{shares[kind].share:.2f} ({shares[kind].n})" if kind in shares else "" for kind in kinds)]
        for setting, shares in found
    ]
    console.table(["setting", *kinds], rows, title="Exact match of whole answers (number of items)")
    console.result({str(setting): {kind: shares[kind].share for kind in shares} for setting, shares in found})
