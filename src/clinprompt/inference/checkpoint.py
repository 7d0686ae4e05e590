"""A prompt-token checkpoint without its weights: tokenizer, context and which tokens are which prompt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clinprompt.backbones.guards import opening
from clinprompt.backbones.loading import answer_ends
from clinprompt.backbones.tokenizing import TokenizerBackbone, context_length
from clinprompt.errors import InputError
from clinprompt.prompts.card import BackboneIdentity, PromptCard
from clinprompt.prompts.exports.token_map import TokenMap, TokenPrompt, read_token_map
from clinprompt.prompts.prompt_file import SoftPrompt

_FIX = "give the folder that `clinprompt export --to prompt-tokens` made; its weights need not be there"
_SAME = ("task", "placement", "length", "backbone", "template_hash", "reference")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The words of a checkpoint and its prompts; the network is in some engine."""

    folder: Path
    backbone: TokenizerBackbone
    prompts: TokenMap

    @property
    def identity(self) -> BackboneIdentity:
        """The backbone that the checkpoint was made from, for which its prompts were trained."""
        return self.prompts.backbone

    def held(self, name: str) -> SoftPrompt:
        """The prompt of this name; its vectors have a shape and no numbers, which the engine alone holds.

        Raises :class:`InputError` when the checkpoint has none.
        """
        found = self._prompt(name)
        size = (found.card.length, found.card.backbone.hidden)
        return SoftPrompt(torch.empty(size, device="meta"), found.card)

    def check_same(self, card: PromptCard, *, where: str) -> TokenPrompt:
        """The checkpoint's prompt of this name and version; :class:`InputError` when it is another prompt."""
        found = self._prompt(card.full_name)
        differing = [name for name in _SAME if getattr(found.card, name) != getattr(card, name)]
        if differing:
            raise InputError(
                f"the checkpoint's prompt {card.full_name} is another one: its {', '.join(differing)} differs",
                where=where,
                fix="export the checkpoint anew from this prompt and start the engine with that",
            )
        return found

    def _prompt(self, name: str) -> TokenPrompt:
        try:
            return self.prompts.prompt(name)
        except InputError as error:
            raise InputError(
                error.what, where=str(self.folder), allowed=error.allowed,
                fix="export the checkpoint anew with it (`clinprompt export --to prompt-tokens`)",
            ) from None  # fmt: skip


def open_checkpoint(folder: Path) -> Checkpoint:
    """Open what a checkpoint's folder holds beside the weights, which need not be there.

    Raises :class:`InputError` for a folder without prompts' tokens, configuration or tokenizer, and for a tokenizer
    that is not the one the tokens were added to.
    """
    from transformers import AutoConfig, AutoTokenizer

    found = read_token_map(folder)
    with opening(folder, fix=_FIX):
        config = AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config()
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if tokenizer.eos_token_id is None:
        raise InputError("the tokenizer has no end-of-sequence token", where=str(folder), fix=_FIX)
    _check_tokens(found, tokenizer, folder)
    backbone = TokenizerBackbone(
        tokenizer,
        name=found.backbone.name,
        fingerprint=found.backbone.fingerprint,
        tokenizer_fingerprint=found.backbone.tokenizer,
        template="plain",
        max_tokens=context_length(config),
        extra_ends=answer_ends(folder),
    )
    return Checkpoint(folder, backbone, found)


def _check_tokens(found: TokenMap, tokenizer: Any, folder: Path) -> None:
    for prompt in found.prompts:
        if prompt.card.backbone != found.backbone:
            raise InputError(f"the prompt {prompt.card.full_name} belongs to another backbone than the checkpoint",
                             where=str(folder), fix=_FIX)  # fmt: skip
        if tokenizer.convert_tokens_to_ids(list(prompt.tokens)) != list(prompt.ids):
            raise InputError(
                f"the tokenizer does not know the tokens of {prompt.card.full_name}",
                where=str(folder),
                fix="take the tokenizer files of the same export as prompts.json",
            )
