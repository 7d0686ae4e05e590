"""A prompt-token checkpoint in another program, opened for a stage: its words are here, its network there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from clinprompt.backbones.protocol import Generation
from clinprompt.backbones.tokenizing import TokenizerBackbone
from clinprompt.data.files import file_hash
from clinprompt.errors import InputError
from clinprompt.inference.checkpoint import Checkpoint, open_checkpoint
from clinprompt.inference.engines.address import check_address, is_local
from clinprompt.inference.engines.engine import Engine
from clinprompt.inference.engines.openai import OpenAIEngine
from clinprompt.inference.engines.wire import Wire
from clinprompt.inference.predictor import Predictor
from clinprompt.prompts.card import BackboneIdentity
from clinprompt.prompts.exports.token_map import FILE
from clinprompt.prompts.fit import check_backbone
from clinprompt.prompts.prompt_file import SoftPrompt
from clinprompt.stages.configs import BackboneSettings, DecodingSettings
from clinprompt.stages.engine_settings import EngineSettings
from clinprompt.stages.opened import Opened, open_backbone, template_of
from clinprompt.tasks.task import Task


@dataclass(frozen=True, slots=True)
class OpenedEngine(Opened):
    """The tokenizer of a checkpoint with the engine that holds its network; prompts are those of the checkpoint."""

    backbone: TokenizerBackbone
    engine: OpenAIEngine

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint."""
        return self.engine.checkpoint

    @property
    def identity(self) -> BackboneIdentity:
        """The backbone that the checkpoint was made from."""
        return self.checkpoint.identity

    def predictor(
        self, decoding: DecodingSettings, *, tokens: int, engine: Engine | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Predictor:  # fmt: skip
        """A predictor whose answers the engine writes; choices are written too where it gives no log-probabilities.

        Raises :class:`InputError` for beams.
        """
        if decoding.kind == "beams":
            what = "an engine behind OpenAI's API has no beams"
            raise InputError(what, where="--decoding", allowed="greedy, choices")
        return Predictor(
            self.backbone,
            self.template,
            generation=Generation(tokens, stop=decoding.stop),
            choices=decoding.kind == "choices" and self.engine.scores,
            engine=engine or self.engine,
            check=check,
        )

    def unconstrained(self, decoding: DecodingSettings) -> str:
        """Why answers are only checked although the settings ask for more."""
        return "OpenAI's API has no words for the form of an answer" if decoding.grounded else ""

    def remarks(self, decoding: DecodingSettings) -> tuple[str, ...]:
        """What the engine cannot do, and where notes go."""
        asking, url = self.engine.asking, self.engine.wire.url
        found = []
        if decoding.kind == "choices" and not self.engine.scores:
            found.append("the engine gives no log-probabilities of given answers: choices were written greedily")
        if asking.form != "token ids":
            found.append("the engine takes no token ids: questions were sent as text, which it may cut into other "
                         "tokens than in training")  # fmt: skip
        if not is_local(url):
            plain = ", not encrypted" if url.startswith("http:") else ""
            found.append(f"notes were sent to {urlsplit(url).hostname}{plain}")
        return tuple(found)

    def held(self, name: str) -> SoftPrompt:
        """The checkpoint's prompt of this name, without its numbers."""
        return self.checkpoint.held(name)

    def faults(self, prompts: Mapping[str, SoftPrompt]) -> dict[str, InputError]:
        """Of prompts that the engine does not hold, or that do not act there as when they were made, the reason."""
        found = {}
        for where, prompt in prompts.items():
            try:
                check_backbone(prompt.card, self.identity, where=where)
                self.engine.check(self.checkpoint.check_same(prompt.card, where=where), where=where)
            except InputError as fault:
                found[where] = fault
        return found

    def suited(self, kind: str, tasks: Sequence[Task]) -> Opened:
        """Raises :class:`InputError`: the network is not here."""
        raise InputError("nothing can be trained in another engine", where="--engine", fix="give --backbone")


def open_engine(settings: EngineSettings, backbone: BackboneSettings) -> Opened:
    """What the settings name: the backbone in this process, or a server with a checkpoint.

    Raises :class:`InputError` for a server that is not there, or not started with this checkpoint, and for a backbone
    beside it.
    """
    if settings.kind == "local" or settings.checkpoint is None:
        return open_backbone(backbone)
    if given := sorted(backbone.model_fields_set):
        raise InputError(f"backbone.{given[0]} is for the local engine; the checkpoint says what its backbone is",
                         where="--engine openai", fix="leave it out")  # fmt: skip
    url = check_address(settings.url, allow_remote=settings.allow_remote)
    checkpoint = open_checkpoint(settings.checkpoint)
    wire = Wire(
        url, key=read_engine_key(settings), at_once=settings.at_once, timeout=settings.timeout, retries=settings.retries
    )
    engine = OpenAIEngine(wire, checkpoint, model=settings.model)
    words = checkpoint.backbone
    words.max_tokens = min(words.max_tokens, engine.context or words.max_tokens)
    words.computing = {
        "engine": "openai",
        "engine_model": engine.asking.model,
        "checkpoint": file_hash(checkpoint.folder / FILE),
        "questions": engine.asking.form,
    }
    template = checkpoint.prompts.prompts[0].card.template
    return OpenedEngine(words, template_of(words, template), engine)


def read_engine_key(settings: EngineSettings) -> str:
    """The key for the engine, from a file or the environment; empty where there is none.

    Raises :class:`InputError` for a file that holds no key.
    """
    if settings.key_file is None:
        key, where = os.environ.get(settings.key_variable, ""), settings.key_variable
    else:
        where = str(settings.key_file)
        try:
            key = settings.key_file.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise InputError(f"the key cannot be read ({type(error).__name__})", where=where) from None
        if not key:
            raise InputError("the file holds no key", where=where)
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InputError("a key is one word of letters, digits and signs", where=where)
    return key
