"""The folder of a run that is under way: its plan, a part per finished shard, and who may work in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clinprompt.data.atomic import whole_file
from clinprompt.data.lock import Lock
from clinprompt.errors import InputError
from clinprompt.stages.atomic import plain, write_json
from clinprompt.stages.batch.part import Part, part_of
from clinprompt.stages.batch.share import Share

_PLAN, _JOINING, _FINISHED = "plan.json", "joining", "finished"
_OUTPUT, _REPLACED = "output", "replaced before"


class PartsFolder:
    """``.NAME.part`` beside the output ``NAME``; each file in it is whole or not there, so any kill leaves it usable.

    It is kept until the output is there and no note has failed.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.path = out, out.with_name(f".{out.name}.part")

    @property
    def joining(self) -> bool:
        """Whether the output was being written, so that what stands there is ours."""
        return (self.path / _JOINING).is_file()

    @property
    def finished(self) -> bool:
        """Whether the output is there and notes failed."""
        return (self.path / _FINISHED).is_file()

    @property
    def plan(self) -> dict[str, Any]:
        """What :meth:`begin` wrote down; empty before."""
        try:
            found: dict[str, Any] = json.loads((self.path / _PLAN).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found

    @contextmanager
    def held(self, share: Share | None) -> Iterator[None]:
        """Keep other processes out: all of them, or for a ``share`` those of the same share and of the whole."""
        lock = self._lock(share)
        lock.take()
        try:
            for other in self._others(share):
                _check_free(other)
            yield
        finally:
            lock.release()

    @contextmanager
    def joined_by_us(self, share: Share | None) -> Iterator[bool]:
        """Whether this process shall write the output: of several shares that end together only one."""
        lock = self._lock(None)
        if share is not None:
            try:
                lock.take()
            except InputError:
                yield False
                return
        try:
            yield share is None or (self.path.is_dir() and not self.finished)
        finally:
            lock.release()

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Write down what the run is, or raise :class:`InputError` when it was begun otherwise."""
        plan, begun = plain(plan), self.plan
        if begun:
            if changes := _changes(begun, plan):
                raise InputError(
                    f"this run was begun otherwise: {'; '.join(changes)}",
                    where=str(self.path),
                    fix="repeat the first command, choose another --out, or remove that folder to start anew",
                )
            return
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(self.path / _PLAN, plan)

    def part(self, number: int) -> Part | None:
        """The part of a shard; ``None`` when it is not there or is damaged."""
        try:
            return part_of(self._file(number).read_bytes())
        except FileNotFoundError:
            return None

    def numbers(self) -> list[int]:
        """The shards that have a part."""
        return sorted(int(file.stem) for file in self.path.glob("*.jsonl"))

    def commit(self, number: int, content: bytes) -> None:
        """Keep the part of a shard."""
        with whole_file(self._file(number)) as file:
            file.write_bytes(content)

    def begin_joining(self) -> Path:
        """Where the output is to be made; from now on what stands in its place is ours."""
        (self.path / _JOINING).touch()
        (self.path / _FINISHED).unlink(missing_ok=True)
        made = self.path / _OUTPUT / self.out.name  # by its own name, whose ending may say the form
        shutil.rmtree(made.parent, ignore_errors=True)  # half an output that a kill left
        made.parent.mkdir()
        return made

    def put(self, made: Path) -> None:
        """Move what was made to its place; an output that was there with notes missing gives way."""
        place = self.out.with_name(made.name)
        if made.is_dir() and place.is_dir():
            place.replace(made.with_name(_REPLACED))
        made.replace(place)

    def end(self, *, failed: bool) -> None:
        """The output is there: remove the folder, or keep it for another try when notes have failed."""
        if failed:
            (self.path / _FINISHED).touch()
            (self.path / _JOINING).unlink(missing_ok=True)
            shutil.rmtree(self.path / _OUTPUT, ignore_errors=True)
        else:
            self.remove()

    def remove(self) -> None:
        """Remove the folder: it goes out of sight in one step, so that half of it is never taken for a run."""
        self.sweep()
        if self.path.is_dir():
            self.path.replace(self._old)
            self.sweep()

    def sweep(self) -> None:
        """Remove what is left of a folder whose removal was cut short."""
        shutil.rmtree(self._old, ignore_errors=True)

    @property
    def _old(self) -> Path:
        return self.out.with_name(f".{self.out.name}.old")

    def _file(self, number: int) -> Path:
        return self.path / f"{number:06d}.jsonl"

    def _lock(self, share: Share | None) -> Lock:
        kind = "lock" if share is None else f"{share.number}-of-{share.total}.lock"
        what = "this output" if share is None else f"share {share} of this output"
        return Lock(self.out.with_name(f".{self.out.name}.{kind}"), what=what)

    def _others(self, share: Share | None) -> Iterator[Lock]:
        """The locks that must be free: all shares' for the whole; for a share the whole's and other divisions'."""
        if share is not None:
            yield self._lock(None)
        for file in self.out.parent.glob(f".{self.out.name}.*-of-*.lock"):
            number, total = file.name.removesuffix(".lock").rpartition(".")[2].split("-of-")
            if share is None or total != str(share.total):
                yield Lock(file, what=f"share {number}/{total} of this output")


def _check_free(lock: Lock) -> None:
    if lock.path.exists():
        lock.take()
        lock.release()


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is different, in words; values of settings, never of notes."""
    found = []
    for name in dict.fromkeys((*before, *now)):
        was, is_ = before.get(name), now.get(name)
        if was == is_:
            continue
        if name == "prompts":
            found.append("the prompts are others")
        elif isinstance(was, dict) and isinstance(is_, dict):
            found += [f"{name}.{change}" for change in _changes(was, is_)]
        else:
            found.append(f"{name} was {was} and is {is_}")
    return found
