"""``clinprompt export``: prompts in the forms of other engines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clinprompt.cli.console import console
from clinprompt.cli.options import Backbone, overrides


def export(
    prompts: Annotated[list[Path], typer.Argument(help="Prompts of one backbone: files, or of a bank, BANK:NAME or "
                                                  "BANK:NAME@VERSION.")],
    to: Annotated[str, typer.Option(help="peft, prompt-tokens or vllm-embeds.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; must be empty or not exist.")],
    tables: Annotated[str | None, typer.Option(help="prompt-tokens: dtype of the tables of words, float32, bfloat16 or "
                                               "float16.", show_default="the checkpoint's")] = None,
    bank_key: Annotated[Path | None, typer.Option(help="Key that the banks must be signed with.")] = None,
    backbone: Backbone = None,
) -> None:  # fmt: skip
    """Write prompts for engines that know nothing of clinprompt.

    peft: a folder per prompt that PeftModel.from_pretrained loads; a metaprompt with the factors of its tasks.
    prompt-tokens: an ordinary checkpoint whose new tokens are the prompts, for transformers, vLLM, CTranslate2,
    llama.cpp …; prompts.json says which tokens to send. vllm-embeds: vectors for the offline API of vLLM.
    (`clinprompt data export` is for annotated notes.)
    """
    from clinprompt.stages.export_prompts import ExportSettings, export_prompts
    from clinprompt.stages.overrides import load_config

    flags = overrides(None, prompts=prompts, to=to, out=out, tables=tables, bank_key=bank_key, backbone__path=backbone)
    settings = load_config(None, ExportSettings, flags)
    console.stage("export", f"{len(settings.prompts)} prompt(s) to {settings.to}")
    done = export_prompts(settings)
    console.table(["prompt", "placement", "vectors"], done.prompts, title=f"Exported to {done.out}")
    for name, value in done.details.items():
        console.line(f"{name}: {', '.join(value) or 'none' if isinstance(value, list) else value}")
    known = f" (licences: {', '.join(done.licences)})" if done.licences else ""
    console.warn(f"prompts carry traces of the data that they were learnt from{known}; pass them on as you would that")
    names = [one for one, _, _ in done.prompts]
    console.result({"out": done.out, "prompts": names, "licences": done.licences, "details": done.details})
