"""The command line: a table of commands, and what happens when one fails."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from clinprompt.cli.console import console
from clinprompt.cli.lazy import LazyCommand, as_command
from clinprompt.errors import InputError

COMMANDS: dict[str, tuple[str, str, str]] = {
    "demo": (
        "clinprompt.cli.demo:demo",
        "Start",
        "The main job on a small scale, in minutes.",
    ),
    "doctor": (
        "clinprompt.cli.doctor:doctor",
        "Start",
        "What is installed and what this machine can run.",
    ),
    "check": ("clinprompt.cli.check:check", "Start", "Whether a backbone and its prompts fit into memory."),
    "show": ("clinprompt.cli.show:show", "Start", "List tasks, readers, metrics, methods, backbones …"),
    "data": ("clinprompt.cli.data:app", "Main job", "Import a corpus, describe it."),
    "teach": ("clinprompt.cli.teach:teach", "Main job", "Train one teacher prompt per source task."),
    "distill": ("clinprompt.cli.distill:distill", "Main job", "Distil the teachers into one metaprompt."),
    "adapt": ("clinprompt.cli.adapt:adapt", "Main job", "Adapt the metaprompt to target tasks."),
    "evaluate": ("clinprompt.cli.evaluate:evaluate", "Main job", "Score prompts, with intervals and counts."),
    "predict": ("clinprompt.cli.predict:predict", "Main job", "Read notes, write answers and exact spans."),
    "run": (
        "clinprompt.cli.run:run",
        "Main job",
        "Run the stages of a recipe, resuming what stopped.",
    ),
    "renew": ("clinprompt.cli.renew:renew", "Models", "A new version of a bank's prompt from corrected notes."),
    "study": ("clinprompt.cli.study:app", "Main job", "A grid of comparisons: plan, run, report."),
    "bank": ("clinprompt.cli.bank:app", "Models", "Keep prompts in versions: add, promote, roll back, verify, sign."),
    "bundle": ("clinprompt.cli.bundle:app", "Models", "Carry clinprompt to machines without a network."),
    "serve": ("clinprompt.cli.serve:serve", "Server", "Answer over HTTP: OpenAI's routes and grounded extraction."),
    "keys": ("clinprompt.cli.keys:app", "Server", "Who may use a server: keys, scopes, quotas."),
    "audit": ("clinprompt.cli.audit:app", "Server", "A server's audit log: verify it, find who sent a note."),
    "export": ("clinprompt.cli.export:export", "Other engines", "Prompts for peft, transformers, vLLM, CTranslate2 …"),
    "import": ("clinprompt.cli.import_prompt:import_prompt", "Other engines", "A prompt that peft saved."),
    "backbone": ("clinprompt.cli.backbone:app", "Models", "Pretrain a small backbone."),
}
"""Command name: (module and attribute, panel of the help page, line of help)."""

POSTURE = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Environment set before anything heavy is imported: offline, silent, and no spinning threads."""


class Program(TyperGroup):
    """The root command: one paragraph for the user's faults, one line for an interrupt."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; exit code 2 for :class:`InputError`, 130 for an interrupt."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            console.fail(error)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            console.line("interrupted; run the same command again to resume")
            raise typer.Exit(130) from None


def _json(value: bool) -> None:
    console.json = value


def _online(value: bool) -> None:
    os.environ["HF_HUB_OFFLINE"] = "0" if value else os.environ.get("HF_HUB_OFFLINE", "1")


def _shared(
    json: bool = typer.Option(
        False, "--json", is_eager=True, expose_value=False, callback=_json,
        help="Print one JSON object on stdout, all else on stderr.",
    ),
    online: bool = typer.Option(
        False, "--online", is_eager=True, expose_value=False, callback=_online,
        help="Allow downloads from a model hub.",
    ),
) -> None:  # fmt: skip
    """The options of every command, as typer reads them."""


def _version(value: bool) -> None:
    if value:
        from clinprompt import __version__

        sys.stdout.write(f"clinprompt {__version__}\n")
        raise typer.Exit()


def _root(
    version: bool = typer.Option(
        False, "--version", is_eager=True, callback=_version, help="Print the version and leave."
    ),
) -> None:
    """Clinical NLP with soft prompts on one frozen language model."""


def program() -> Any:
    """The whole command line as one click command; no command's module is imported."""
    app = typer.Typer(
        cls=Program, name="clinprompt", add_completion=False, no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip
    app.callback()(_root)
    group = typer.main.get_command(app)
    shared = as_command(_shared).params
    for name, (target, panel, line) in COMMANDS.items():
        group.add_command(LazyCommand(name, target=target, help=line, panel=panel, shared=shared))
    return group


def run(arguments: Sequence[str] | None = None) -> None:
    """The entry point ``clinprompt``: exit code 0, 2 (the user's input), 130 (interrupted), 1 (our fault)."""
    for name, value in POSTURE.items():
        os.environ.setdefault(name, value)
    try:
        program()(args=arguments, prog_name="clinprompt")
    except Exception:
        # No local variables: they could hold text of a note.
        traceback.print_exc()
        console.line("This is a fault of clinprompt, not of your input. Please report the lines above.")
        sys.exit(1)


if __name__ == "__main__":
    run()
