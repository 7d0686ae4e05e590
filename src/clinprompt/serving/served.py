"""The prompts that are served: opened, checked on the backbone, and exchanged while requests run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from clinprompt.errors import InputError
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
    since 1970), ``faults`` why a version is not served.
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
    before goes on and :attr:`Snapshot.faults` says why, until its file has been restored. Other versions are opened
    when they are first asked for.
    ``call`` runs a function where the backbone may be used.
    """

    def __init__(self, bank: PromptBank, opened: Opened, *, call: Call = lambda run: run()) -> None:
        self.bank, self.opened, self.call = bank, opened, call
        self.snapshot = Snapshot()
        self._changing = threading.Lock()
        self._known: dict[tuple[str, str], Served] = {}
        self._failed: dict[Path, tuple[int, ...]] = {}

    def refresh(self) -> Snapshot:
        """Look at the bank again; what is served now. Raises :class:`InputError` when the bank cannot be read."""
        with self._changing:
            manifest = self.bank.manifest
            if manifest.revision == self.snapshot.revision and not self._restored:
                return self.snapshot
            listed = tuple(self.bank.listed())
            promoted, faults, failed = {}, {}, {}
            for banked in listed:
                if not banked.promoted:
                    continue
                state = _state(banked.path)
                try:
                    promoted[banked.name] = self._open(banked)
                except InputError as fault:
                    faults[banked.reference], failed[banked.path] = str(fault), state
                    if banked.name in self.snapshot.promoted:
                        promoted[banked.name] = self.snapshot.promoted[banked.name]
            added = {
                f"{name}@{number}": int(datetime.fromisoformat(version.added).timestamp())
                for name, entry in manifest.prompts.items()
                for number, version in entry.versions.items()
            }
            self.snapshot, self._failed = Snapshot(manifest.revision, promoted, listed, added, faults), failed
            held = {(one.reference, one.sha256) for one in listed}
            self._known = {key: served for key, served in self._known.items() if key in held}
            return self.snapshot

    @property
    def _restored(self) -> bool:
        """Whether a file that could not be opened is another one now; the bank itself need not have changed."""
        return any(_state(path) != state for path, state in self._failed.items())

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

    def _open(self, banked: Banked) -> Served:
        key = (banked.reference, banked.sha256)
        if key not in self._known:
            self._known[key] = self._checked(banked)
        return self._known[key]

    def _checked(self, banked: Banked) -> Served:
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
        self.call(lambda: opened.check(prompt, where=where))
        return Served(banked, prompt, task, opened)


def _state(path: Path) -> tuple[int, ...]:
    """What changes when a file does; empty for none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
