"""The prompts that are served: opened, checked on the backbone, and exchanged while requests run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from clinprompt.errors import InputError
from clinprompt.inference.reference import TOGETHER
from clinprompt.prompts.bank import PromptBank
from clinprompt.prompts.banked import Banked, parsed_reference
from clinprompt.prompts.fit import check_template
from clinprompt.prompts.prompt_file import SoftPrompt
from clinprompt.registry import unknown_name
from clinprompt.stages.banked import check_alone
from clinprompt.stages.opened import Opened
from clinprompt.tasks.formulations.asks import can_be_read
from clinprompt.tasks.task import Task
from clinprompt.tasks.template import READING

Call = Callable[[Callable[[], None]], None]
"""Runs a function where the backbone may be used."""


@dataclass(frozen=True, slots=True)
class Served:
    """One version of a prompt, checked and ready; ``opened`` is the backbone with the prompt's own template."""

    banked: Banked
    prompt: SoftPrompt
    task: Task
    opened: Opened

    @property
    def name(self) -> str:
        """Name in the bank, which is the task's name over HTTP."""
        return self.banked.name

    @property
    def reference(self) -> str:
        """``name@version``."""
        return self.banked.reference


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was served at one moment; a request keeps the one it began with.

    ``promoted`` are the prompts that bare names mean, ``listed`` all versions, ``added`` when each was added (seconds
    since 1970), ``faults`` why a version is not served, or what became of its file since it was opened.
    """

    revision: int = -1
    promoted: Mapping[str, Served] = field(default_factory=dict)
    listed: tuple[Banked, ...] = ()
    added: Mapping[str, int] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)

    def versions(self, name: str) -> tuple[Banked, ...]:
        """The versions of a name."""
        return tuple(one for one in self.listed if one.name == name)


class ServedPrompts:
    """The prompts of a bank on an opened backbone.

    The promoted version of every name is opened and checked before it is served; where one fails, the version served
    before goes on and :attr:`Snapshot.faults` says why, until its file has been restored. So does one whose file is
    damaged later, from memory. Other versions are opened when they are first asked for.
    ``call`` runs a function where the backbone may be used.
    """

    def __init__(self, bank: PromptBank, opened: Opened, *, call: Call = lambda run: run()) -> None:
        self.bank, self.opened, self.call = bank, opened, call
        self.snapshot = Snapshot()
        self._changing = threading.Lock()
        self._known: dict[tuple[str, str], Served] = {}
        self._states: dict[Path, tuple[int, ...]] = {}

    def refresh(self) -> Snapshot:
        """Look at the bank again; what is served now. Raises :class:`InputError` when the bank cannot be read."""
        with self._changing:
            manifest = self.bank.manifest
            same = all(_state(path) == state for path, state in self._states.items())
            if manifest.revision == self.snapshot.revision and same:
                return self.snapshot
            listed = tuple(self.bank.listed())
            wanted = {one.reference: one for one in listed if one.promoted}
            states = {one.path: _state(one.path) for one in wanted.values()}  # before the files are read
            faults = {reference: str(fault) for reference, fault in self._faults(wanted, states).items()}
            found = {one.name: self._known.get(_key(one)) or self.snapshot.promoted.get(one.name)
                     for one in wanted.values()}  # fmt: skip
            promoted = {name: served for name, served in found.items() if served is not None}
            added = {
                f"{name}@{number}": int(datetime.fromisoformat(version.added).timestamp())
                for name, entry in manifest.prompts.items()
                for number, version in entry.versions.items()
            }
            self.snapshot, self._states = Snapshot(manifest.revision, promoted, listed, added, faults), states
            held = set(map(_key, listed))
            self._known = {key: served for key, served in self._known.items() if key in held}
            return self.snapshot

    def holds(self, banked: Banked) -> bool:
        """Whether a version was opened and checked, so that requests for it are answered."""
        return _key(banked) in self._known

    def find(self, reference: str, snapshot: Snapshot, *, opens: Callable[[str], bool] = lambda name: True) -> Served:
        """The prompt that a name or ``name@version`` means in a snapshot.

        Errors name other prompts only where ``opens`` is true of them. Raises :class:`InputError` for one that is not
        there or not fit to be served.
        """
        name, number = parsed_reference(reference)
        versions = {one.version: one for one in snapshot.versions(name)}
        if not versions:
            raise unknown_name("model", name, sorted({one.name for one in snapshot.listed if opens(one.name)}))
        if number is None:
            if name not in snapshot.promoted:
                faults = [snapshot.faults[one.reference] for one in versions.values() if one.promoted]
                raise InputError(f"{name} is not served: {''.join(faults)}")
            return snapshot.promoted[name]
        if number not in versions:
            raise InputError(
                f"there is no version {number} of {name}", allowed=", ".join(f"{name}@{held}" for held in versions)
            )
        return self._open(versions[number])

    def _faults(self, wanted: Mapping[str, Banked], states: Mapping[Path, tuple[int, ...]]) -> dict[str, InputError]:
        """Open the prompts that are not known, and look again at the files of those that have changed or failed."""
        faults, read = dict[str, InputError](), list[Served]()
        for reference, one in wanted.items():
            try:
                if not self.holds(one):
                    read.append(self._read(one))
                elif states[one.path] != self._states.get(one.path) or reference in self.snapshot.faults:
                    self.bank.content(reference)
            except InputError as fault:
                faults[reference] = fault
        for at in range(0, len(read), TOGETHER):  # requests have their turn between two of them
            faults |= self._check(read[at : at + TOGETHER])
        return faults

    def _open(self, banked: Banked) -> Served:
        known = self._known.get(_key(banked))
        if known is None:
            known = self._read(banked)
            for fault in self._check([known]).values():
                raise fault
        return known

    def _check(self, read: Sequence[Served]) -> dict[str, InputError]:
        """Why prompts that were read do not act as they did; the others are known from now on."""
        found = dict[str, InputError]()
        prompts = {one.reference: one.prompt for one in read}
        self.call(lambda: found.update(self.opened.faults(prompts)))
        self._known.update((_key(one.banked), one) for one in read if one.reference not in found)
        return found

    def _read(self, banked: Banked) -> Served:
        where = banked.reference
        check_alone(banked.card, where=where)
        opened = self.opened.templated(banked.card.template)
        check_template(banked.card, opened.template.name, opened.template.hash, where=where)
        prompt = self.bank.open(where, backbone=opened.identity)
        task = prompt.card.task
        assert task is not None  # the bank opens no metaprompt
        if opened.template.name in READING and not can_be_read(task):
            raise InputError("an encoder answers with places in the note, and this task asks for something else",
                             where=where)  # fmt: skip
        return Served(banked, prompt, task, opened)


def _key(banked: Banked) -> tuple[str, str]:
    return banked.reference, banked.sha256


def _state(path: Path) -> tuple[int, ...]:
    """What changes when a file does; empty for none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
