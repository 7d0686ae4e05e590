"""Constrained writing: which tokens may come next in an answer, by a grammar for the backbone's tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from threading import Lock
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.schema.formulated import Piece
from clinprompt.tasks.form import Form

_PROBE = ' none; drug: a\\;b |\\n "é" 中 😀\u00a0\t(80 mg) <eos>'
_WORD = "none"
_LIMITS = {
    "initial_lexer_fuel": 20_000_000,
    "step_lexer_fuel": 2_000_000,
    "precompute_large_lexemes": False,  # grammars are made for one answer: not worth it
    "verbose_errors": False,
}
"""More room than llguidance gives by itself, for notes of up to about 100,000 characters, and messages without text."""

_KEPT = 1_000_000
"""Characters of grammars that are kept compiled: the beams and the prompts of a note share them."""


class Constraint(Protocol):
    """The state of one answer: which tokens may come next.

    ``complete`` is the largest number of tokens so far that form an answer by themselves; ``ended``: nothing but an end
    token may follow; ``held``: whether the constraint still holds (an answer too intricate for it goes on freely).
    """

    complete: int
    ended: bool
    held: bool

    def allows(self, token: int) -> bool:
        """Whether this token may come next."""
        ...

    def fill(self, bits: Tensor) -> None:
        """Write one bit per token into int32 ``[ceil(V / 32)]``, set for those that may come next."""
        ...

    def advance(self, token: int) -> None:
        """Go on with a token that is allowed."""
        ...

    def fork(self) -> Constraint:
        """A second state that goes its own way from here."""
        ...


class GrammarConstraint:
    """A constraint from a form's grammars; a form that lets what may come depend on the text is asked for the next."""

    def __init__(self, grammars: Grammars, form: Form, joint: str, matcher: Any) -> None:
        self.grammars, self.form, self.joint, self.matcher = grammars, form, joint, matcher
        self.written: list[int] = []
        self.complete, self.ended, self.held = 0, False, True

    def allows(self, token: int) -> bool:
        """Whether this token may come next."""
        if self.ended:
            return token in self.grammars.ends
        return not self.held or self.matcher.validate_tokens([token]) == 1

    def fill(self, bits: Tensor) -> None:
        """Write one bit per token."""
        bits.fill_(-1)
        if self.ended:
            self.grammars.only_ends(bits)
        elif self.held:
            self.matcher.unsafe_compute_mask_ptr(bits.data_ptr(), bits.numel() * bits.element_size())
            bits &= self.grammars.writable
            if not self.matcher.is_error() and not bool(bits.any()):
                self.grammars.only_beginnings(bits, self.matcher.compute_ff_bytes())
            if self.matcher.is_error() or not bool(bits.any()):
                self.held = False
                bits.fill_(-1)

    def advance(self, token: int) -> None:
        """Go on with a token that is allowed."""
        self.written.append(token)
        if not self.held or token in self.grammars.ends:
            return
        if not self.matcher.consume_token(token):
            self.held = False
        elif self.matcher.is_stopped():
            self._go_on()
        elif self.matcher.is_accepting():
            self.complete = len(self.written)

    def fork(self) -> GrammarConstraint:
        """A second state that goes its own way from here."""
        other = copy(self)
        other.written, other.matcher = list(self.written), self.matcher.deep_copy()
        return other

    def _go_on(self) -> None:
        """With the next grammar, or at the end of the answer."""
        following = self.form.after(self.grammars.text(self.written).removeprefix(self.joint))
        if following is None:
            self.complete, self.ended = len(self.written), True
            return
        matcher = self.grammars.compile(following)
        self.held = matcher is not None
        self.matcher = matcher or self.matcher


class Grammars:
    """Compiles grammars for the tokenizer of one backbone, for any number of threads at once.

    Raises :class:`Unconstrainable` for a tokenizer whose tokens cannot be mapped to bytes.
    """

    def __init__(self, backbone: CausalBackbone) -> None:
        from llguidance import LLParserLimits
        from llguidance.hf import from_tokenizer

        self.ends = backbone.stops
        self.compiled: dict[str, Any] = {}
        self.lock = Lock()
        self.limits = LLParserLimits(**_LIMITS)
        try:
            self.tokenizer = from_tokenizer(
                backbone.tokenizer, n_vocab=backbone.vocabulary, eos_token=sorted(self.ends)
            )
        except Exception as error:  # the library raises what it likes for tokenizers it does not know
            raise Unconstrainable(f"the tokenizer is of a kind without constraints ({type(error).__name__})") from error
        # Where the note's words leave one way to go on, the library names the token of that text, also when it is the
        # text of a special token, which does not stand for these characters: such tokens are never written.
        special = self.tokenizer.is_special_token
        plain = [token for token in range(backbone.vocabulary) if token in self.ends or not special(token)]
        self.writable = _bits(plain, backbone.vocabulary)
        self.spelled: dict[bytes, list[int]] = {}
        for token in plain:
            self.spelled.setdefault(self.tokenizer.decode_bytes([token]), []).append(token)
        probe = backbone.tokens(Piece(_PROBE))
        # Decoders of some families drop the first blank.
        if self.text(probe).lstrip(" ") != backbone.text(probe).lstrip(" "):
            raise Unconstrainable("the bytes of the tokenizer's tokens are not those of its texts")

    def joint(self, backbone: CausalBackbone, joint: str) -> str:
        """The joint as the tokenizer writes it in front of an answer: some add a blank of their own."""
        return self.text(backbone.tokens(Piece(joint + _WORD))).removesuffix(_WORD)

    def constraint(self, form: Form, joint: str) -> GrammarConstraint | None:
        """The constraint of an answer behind ``joint``; ``None`` when its grammar is too large to be compiled."""
        matcher = self.compile(form.grammar(joint))
        return None if matcher is None else GrammarConstraint(self, form, joint, matcher)

    def compile(self, grammar: str) -> Any | None:
        """A matcher for a grammar; ``None`` when it is beyond the limits."""
        from llguidance import LLMatcher

        with self.lock:
            found = self.compiled.get(grammar)
        if found is None:  # outside the lock: one long note must not keep the others' answers waiting
            # Without a log: its messages could quote the note.
            found = LLMatcher(self.tokenizer, LLMatcher.grammar_from_lark(grammar), log_level=0, limits=self.limits)
            if found.is_error():
                return None
        with self.lock:
            # Taken out and put back: what was asked for last goes last.
            self.compiled.pop(grammar, None)
            self.compiled[grammar] = found
            while len(self.compiled) > 1 and sum(map(len, self.compiled)) > _KEPT:
                del self.compiled[next(iter(self.compiled))]
            return found.deep_copy()

    def only_ends(self, bits: Tensor) -> None:
        """Set the bits of the end tokens and clear all others."""
        bits.copy_(_bits(self.ends, 32 * len(bits)))

    def only_beginnings(self, bits: Tensor, forced: bytes) -> None:
        """Set the bits of the tokens that the forced bytes begin with and clear all others."""
        beginnings = (forced[:length] for length in range(1, len(forced) + 1))
        bits.copy_(_bits([token for text in beginnings for token in self.spelled.get(text, ())], 32 * len(bits)))

    def text(self, tokens: Sequence[int]) -> str:
        """The text of tokens by their bytes."""
        return self.tokenizer.decode_bytes(list(tokens)).decode("utf-8", errors="replace")


def _bits(tokens: Iterable[int], vocabulary: int) -> Tensor:
    """One bit per token, int32 ``[ceil(V / 32)]``, set for these."""
    flags = np.zeros(-(-vocabulary // 32) * 32, dtype=np.uint8)
    flags[list(tokens)] = 1
    return torch.from_numpy(np.packbits(flags, bitorder="little").view(np.int32))


class Unconstrainable(Exception):
    """Answers of this backbone cannot be constrained; says why."""


_KNOWN: WeakKeyDictionary[CausalBackbone, Grammars | Unconstrainable] = WeakKeyDictionary()


def grammars_of(backbone: CausalBackbone) -> Grammars | Unconstrainable:
    """The grammars of a backbone, made once; the reason where there are none."""
    if backbone not in _KNOWN:
        try:
            _KNOWN[backbone] = Grammars(backbone)
        except Unconstrainable as reason:
            _KNOWN[backbone] = Unconstrainable(str(reason))  # without the traceback, which holds the backbone
    return _KNOWN[backbone]


def likeliest(logits: Tensor, constraints: Sequence[Constraint | None]) -> list[int]:
    """The likeliest allowed token of each row of ``[B, V]``.

    The likeliest of all is tried first: where it is allowed, which is nearly always so with a trained prompt, no other
    token needs to be looked at.
    """
    best = logits.argmax(dim=-1).tolist()
    wrong = [b for b, one in enumerate(constraints) if one is not None and not one.allows(best[b])]
    if wrong:
        allowed = allowed_tokens([constraints[b] for b in wrong], logits.shape[-1], device=logits.device)
        chosen = logits[wrong].masked_fill(~allowed, -torch.inf).argmax(dim=-1).tolist()
        for b, token in zip(wrong, chosen, strict=True):
            best[b] = token
    return best


def allowed_tokens(
    constraints: Sequence[Constraint | None], vocabulary: int, *, device: torch.device | str = "cpu"
) -> Tensor:
    """Which tokens may come next: bool ``[B, V]``, all of them for rows without a constraint."""
    bits = torch.full((len(constraints), -(-vocabulary // 32)), -1, dtype=torch.int32)
    for row, one in zip(bits, constraints, strict=True):
        if one is not None:
            one.fill(row)
    places = torch.arange(32, dtype=torch.int32, device=device)
    return ((bits.to(device)[:, :, None] >> places) & 1).bool().flatten(1)[:, :vocabulary]
