"""A bank: a folder of prompts in immutable versions, for one backbone or several, changed atomically."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from clinprompt.data.atomic import is_unfinished
from clinprompt.data.lock import Lock
from clinprompt.errors import InputError, raise_all
from clinprompt.prompts.banked import Banked, parsed_reference
from clinprompt.prompts.card import BackboneIdentity, PromptCard
from clinprompt.prompts.fit import check_backbone, check_replaces, check_template, check_tensors
from clinprompt.prompts.manifest import (
    FILE,
    NAME,
    BankManifest,
    ManifestState,
    PromptVersion,
    manifest_content,
    manifest_state,
    read_manifest,
    write_manifest,
)
from clinprompt.prompts.prompt_file import SoftPrompt, parsed, read_content, save_tensors, soft_prompt
from clinprompt.prompts.signature import signed
from clinprompt.prompts.verify import Difference, differences
from clinprompt.registry import unknown_name

LOCK = ".lock"
SUFFIX = ".safetensors"
WAIT = 30.0
"""Seconds that a writer waits for another one."""


class PromptBank:
    """The prompts in a folder, by ``name@version`` or by ``name``, which means the promoted version.

    Every read is of the bank as it is then: the manifest is read again when it has changed. A change is one renaming
    of the manifest, so a reader sees all of it or nothing; writers wait for each other. With ``key`` the signature is
    checked at every read, and changes are signed.
    """

    def __init__(self, folder: Path, *, key: bytes | None = None) -> None:
        self.folder, self.key = Path(folder), key
        self._read: tuple[ManifestState | None, bytes, BankManifest] | None = None

    @property
    def manifest(self) -> BankManifest:
        """What the bank says it holds now."""
        state = manifest_state(self.folder)
        if self._read is None or state is None or state != self._read[0]:
            content = manifest_content(self.folder)
            manifest = self._read[2] if self._read is not None and self._read[1] == content else None
            manifest = manifest or read_manifest(content, key=self.key, where=str(self.folder / FILE))
            self._read = (state, content, manifest)
        return self._read[2]

    def listed(self) -> list[Banked]:
        """Every version of every prompt with its card, by name and version; no prompt file is opened."""
        return [
            self._banked(name, number, entry.promoted[-1], version)
            for name, entry in sorted(self.manifest.prompts.items())
            for number, version in sorted(entry.versions.items())
        ]

    def find(self, reference: str) -> Banked:
        """The version that ``name@version`` or ``name`` means; :class:`InputError` with near names when there is
        none.
        """
        name, number = parsed_reference(reference, where=str(self.folder))
        prompts = self.manifest.prompts
        entry = prompts.get(name)
        if entry is None or not entry.versions:
            raise unknown_name(
                "prompt of the bank", name, sorted(known for known in prompts if prompts[known].versions)
            )
        promoted = entry.promoted[-1]
        number = number or promoted
        if number not in entry.versions:
            raise InputError(
                f"the bank has no version {number} of {name}",
                where=str(self.folder),
                allowed=", ".join(f"{name}@{held}" for held in sorted(entry.versions)),
            )
        return self._banked(name, number, promoted, entry.versions[number])

    def content(self, reference: str) -> tuple[Banked, bytes]:
        """A prompt and the bytes of its file, which have the hash that the manifest names."""
        while True:
            found = self.find(reference)
            try:
                return found, found.content()
            except InputError:
                if self.find(reference) == found:  # else removed by a writer since the manifest was read
                    raise

    def open(
        self,
        reference: str,
        *,
        backbone: BackboneIdentity | None = None,
        template: tuple[str, str] | None = None,
        placement: str | None = None,
    ) -> SoftPrompt:
        """A prompt, checked against the manifest and against whatever of its use is given.

        ``template`` is a name and a hash. Reference logits need the backbone itself: they are checked by
        :func:`clinprompt.inference.reference.check_reference`.
        Raises :class:`InputError` for an unknown name, a changed file, and any mismatch.
        """
        found, content = self.content(reference)
        where = str(found.path)
        if backbone is not None:
            check_backbone(found.card, backbone, where=where)
        if template is not None:
            check_template(found.card, *template, where=where)
        if placement is not None and placement != found.card.placement:
            raise InputError(f"the prompt's place is {found.card.placement}", where=where, allowed=placement)
        if found.card.task is None:
            raise InputError("this is a metaprompt, which answers no task by itself", where=where)
        tensors, card = parsed(content, where=where)
        if card != found.card:
            raise InputError("the card in the file is not the one in the manifest", where=where)
        return soft_prompt(tensors, card)

    def add(self, files: Sequence[Path], *, name: str = "") -> list[Banked]:
        """Add prompt files, each as a new version of ``name`` or of its card's name; all of them or none.

        The first version of a name is promoted, later ones wait for :meth:`promote`. Raises :class:`InputError` for
        what is no prompt, and for a version that could not stand in for the others of its name.
        """
        return self._add([(file, name) for file in files], promote=False)

    def replace(self, name: str, file: Path) -> Banked:
        """Add a new version of a name that is there and promote it, in one change."""
        if self.find(name).reference == name:
            raise InputError(f"{name!r} names a version, and versions never change", allowed="a name")
        return self._add([(file, name)], promote=True)[0]

    def promote(self, reference: str) -> Banked:
        """Let the bare name mean this version; :class:`InputError` when its file is not the one that was added."""
        return self._switched(reference, lambda manifest, found: manifest.promoted(found.name, found.version))

    def rollback(self, name: str) -> Banked:
        """Let the bare name mean the version that was promoted before; raises as :meth:`promote`."""
        if "@" in name:
            raise InputError(f"{name!r} names a version", allowed="a name", fix="use `clinprompt bank promote` for it")
        return self._switched(name, lambda manifest, found: manifest.rolled_back(found.name))

    def remove(self, reference: str) -> list[Banked]:
        """Remove a version, or all of a name, and their files; numbers are not given again."""
        with self._writing():
            found = self.find(reference)
            name, number = parsed_reference(reference, where=str(self.folder))
            gone = [one for one in self.listed() if one.name == name and number in (None, one.version)]
            self._write(self.manifest.without(found.name, number))
            for one in gone:
                one.path.unlink(missing_ok=True)
        return gone

    def sign(self, key: bytes) -> None:
        """Sign the bank anew, whatever it was signed with; from here on this object uses the key.

        Raises :class:`InputError` for a bank whose files are not those of its manifest, and for one that was changed
        after it was signed with this key; another key takes the manifest as it stands.
        """
        with self._writing(resign=True):
            raise_all([InputError(str(one), where=str(self.folder)) for one in self._differences()])
            manifest = self.manifest
            if manifest.signature is not None and manifest.signature.key == signed(b"", key).key:
                # A forged manifest must not become a true one by being signed again.
                read_manifest((self.folder / FILE).read_bytes(), key=key, where=str(self.folder / FILE))
            self.key = key
            self._write(manifest)

    def verify(self) -> list[Difference]:
        """Files that are not as the manifest says: changed, missing, unreadable or extra; all are read.

        Where this process may write, writers wait until it is done, so that no file of theirs is taken for an extra.
        """
        _ = self.manifest  # what is no bank stays untouched
        writable = os.access(self.folder, os.W_OK)
        with self._lock().waited_for(WAIT) if writable else nullcontext():
            return self._differences()

    def _add(self, given: Sequence[tuple[Path, str]], *, promote: bool) -> list[Banked]:
        written: list[Path] = []
        with self._writing(new=True):
            manifest = self.manifest if (self.folder / FILE).exists() else BankManifest()
            try:
                for file, name in given:
                    manifest, path = self._added(manifest, file, name, promote=promote)
                    written.append(path)
                self._write(manifest)
            except BaseException:
                self._read = None  # the manifest may be the new one already
                named = {one.path for one in self.listed()} if (self.folder / FILE).exists() else set()
                for path in set(written) - named:
                    path.unlink(missing_ok=True)
                raise
        paths = set(written)
        return [one for one in self.listed() if one.path in paths]

    def _added(self, manifest: BankManifest, file: Path, name: str, *, promote: bool) -> tuple[BankManifest, Path]:
        """The manifest with the prompt of a file, and that prompt's new file, which nothing names yet."""
        content = read_content(file)
        tensors, card = parsed(content, where=str(file))
        check_tensors(card, tensors, where=str(file))
        name = name or card.name
        last = self._last(manifest, name, card, str(file))
        card = card.model_copy(update={"name": name, "version": last + 1})
        path = self._path(name, card.version)
        save_tensors(path, tensors, card)
        kept = path.read_bytes()
        version = PromptVersion(
            sha256=hashlib.sha256(kept).hexdigest(), bytes=len(kept), source=hashlib.sha256(content).hexdigest(),
            added=datetime.now(UTC).isoformat(timespec="seconds"), card=card,
        )  # fmt: skip
        return manifest.added(name, version, promote=promote), path

    def _last(self, manifest: BankManifest, name: str, card: PromptCard, where: str) -> int:
        """The highest version number given to a name; raises when the prompt may not be its next version."""
        if not re.fullmatch(NAME, name):
            raise InputError(
                f"a prompt of a bank cannot be called {name!r}",
                where=where,
                allowed="letters, digits, and after the first of them . _ -, 64 at most",
                fix="give another name with --name",
            )
        entry = manifest.prompts.get(name)
        alike = [known for known in manifest.prompts if known != name and known.lower() == name.lower()]
        if entry is None and alike:
            raise InputError(f"the bank has {alike[0]!r}, which differs from {name!r} in case only", where=where)
        if entry is not None and entry.versions:
            check_replaces(card, entry.versions[entry.promoted[-1]].card, where=where)
        return entry.last if entry else 0

    def _switched(self, reference: str, change: Callable[[BankManifest, Banked], BankManifest]) -> Banked:
        with self._writing():
            found = self.find(reference)
            changed = change(self.manifest, found)
            self.content(f"{found.name}@{changed.prompts[found.name].promoted[-1]}")  # what is damaged is not promoted
            self._write(changed)
            return self.find(found.name)

    def _banked(self, name: str, number: int, promoted: int, version: PromptVersion) -> Banked:
        held = version.sha256, version.bytes, version.source, version.card
        return Banked(name, number, number == promoted, self._path(name, number), *held)

    def _path(self, name: str, number: int) -> Path:
        return self.folder / f"{name}@{number}{SUFFIX}"

    def _differences(self) -> list[Difference]:
        return differences(self.folder, {one.path.name: one.sha256 for one in self.listed()}, apart={FILE, LOCK})

    def _lock(self) -> Lock:
        return Lock(self.folder / LOCK, what="this bank")

    @contextmanager
    def _writing(self, *, new: bool = False, resign: bool = False) -> Iterator[None]:
        """Alone in the bank for the length of a ``with``."""
        if (self.folder / FILE).exists() or not new:
            _ = self.manifest  # what is no bank stays untouched
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock().waited_for(WAIT):
                self._refuse_others()  # here, where no other writer has files in the making
                if self.key is None and not resign and (self.folder / FILE).exists() and self.manifest.signature:
                    raise InputError("the bank is signed", where=str(self.folder), fix="give its key with --key")
                for left in self.folder.iterdir():  # by a writer that was killed
                    if is_unfinished(left.name):
                        left.unlink(missing_ok=True)
                yield
        except OSError as error:
            raise InputError(f"the bank cannot be changed: {error.strerror}", where=str(self.folder)) from error

    def _refuse_others(self) -> None:
        there = {path.name for path in self.folder.iterdir() if path.name != LOCK and not is_unfinished(path.name)}
        if there and FILE not in there:
            what = f"the folder holds other files and no {FILE}"
            raise InputError(what, where=str(self.folder), fix="give an empty or new folder")

    def _write(self, manifest: BankManifest) -> None:
        self._read = None
        revised = manifest.model_copy(update={"revision": manifest.revision + 1})
        write_manifest(self.folder, revised, key=self.key)
