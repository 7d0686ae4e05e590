"""The directory of one stage run: what went in, what came out, and whether it is finished."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, get_args

from pydantic import BaseModel

from clinprompt.data.lock import Lock
from clinprompt.errors import InputError
from clinprompt.stages.atomic import plain, write_json, write_text, write_yaml
from clinprompt.stages.environment import describe_environment
from clinprompt.stages.identity import folder_content, input_content, record, run_id
from clinprompt.training.parallel import World, world

State = Literal["fresh", "interrupted", "done"]
"""``fresh``: nothing was there; ``interrupted``: begun and not finished; ``done``: finished, to be reused."""

_STATES: tuple[State, ...] = get_args(State)


class RunFolder:
    """One run of one stage; made by :func:`open_run`, used in a ``with`` block, ended by :meth:`finish`.

    Leaving the block without :meth:`finish` (an error, an interrupt) keeps everything for the next attempt. Of
    several processes only the first writes: elsewhere ``writes`` is false, what is logged goes nowhere, and
    :meth:`finish` waits for the first process to be done.
    """

    def __init__(self, path: Path, *, state: State, lock: Lock | None, processes: World) -> None:
        self.path, self.state, self._lock, self.processes = path, state, lock, processes
        self.writes = processes.leads
        self._began = time.monotonic()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not self.done:
            self.log(f"stopped by {kind.__name__}")  # never the message: it could carry text of a note
        self.close()

    @property
    def id(self) -> str:
        """The short hash over config, inputs, stage and version."""
        return self.path.name

    @property
    def done(self) -> bool:
        """Whether the run is finished and its outputs may be used."""
        return self.state == "done"

    @property
    def outputs(self) -> Path:
        """Where the stage writes what later stages read."""
        return self.path / "outputs"

    @property
    def checkpoints(self) -> Path:
        """Where the stage keeps what it needs to resume; removed when the run is finished."""
        return self.path / "checkpoints"

    def metric(self, **values: Any) -> None:
        """Append one line of named values to ``metrics.jsonl``."""
        line = json.dumps(plain(values), ensure_ascii=False)
        self._append("metrics.jsonl", line)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``; half a line left by a kill is not among them."""
        file = self.path / "metrics.jsonl"
        whole = file.read_text(encoding="utf-8").rpartition("\n")[0] if file.exists() else ""
        return [json.loads(line) for line in whole.splitlines() if line]

    def keep_metrics(self, keep: Callable[[dict[str, Any]], bool]) -> None:
        """Drop the metric lines that ``keep`` refuses: on resuming, those after the last checkpoint."""
        if not self.writes:
            return
        rows = [row for row in self.metrics() if keep(row)]
        write_text(self.path / "metrics.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    def log(self, text: str) -> None:
        """Append one line with the time to ``log.txt``; never give it text of a note."""
        self._append("log.txt", f"{_now()} {text}")

    def finish(self, summary: Mapping[str, Any] | None = None) -> None:
        """Declare the run finished: ``done.json`` is written last, after all else is on disk."""
        if self.writes:
            shutil.rmtree(self.checkpoints, ignore_errors=True)
            self.log("finished")
            write_json(
                self.path / "done.json",
                {
                    "finished": _now(),
                    "seconds": round(time.monotonic() - self._began, 3),
                    "outputs": record(folder_content(self.outputs)),
                    "summary": dict(summary or {}),
                },
            )
            shutil.rmtree(_aside(self.path), ignore_errors=True)
        self.processes.gather(0)
        self.state = "done"
        self.close()

    def summary(self) -> dict[str, Any]:
        """What :meth:`finish` was given, read from ``done.json`` of a finished run."""
        return dict(json.loads((self.path / "done.json").read_text(encoding="utf-8"))["summary"])

    def close(self) -> None:
        """Let other processes work on the run again."""
        if self._lock is not None:
            self._lock.release()

    def _append(self, name: str, line: str) -> None:
        if not self.writes:
            return
        with (self.path / name).open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


def open_run(
    root: Path,
    *,
    stage: str,
    version: int,
    config: BaseModel,
    inputs: Mapping[str, Path],
    fingerprints: Mapping[str, str] | None = None,
    device: str = "cpu",
    force: bool = False,
    together: bool = False,
) -> RunFolder:
    """The folder ``root/<stage>/<id>`` of this run, locked for this process unless it is done.

    ``inputs`` are files and folders that count by their content; ``fingerprints`` names inputs whose content
    is already known by a string (a backbone). The same config and contents give the same folder. ``version``
    is the stage's own and grows when its results change. ``force`` starts anew: the old folder stands aside
    until the new one is finished. Of several processes the first works alone and the others come back with the
    finished run, unless they work ``together``. Raises :class:`InputError` for a missing or unfinished input and a
    run in use.
    """
    processes = world()
    found = {name: input_content(path, name=name) for name, path in inputs.items()}
    contents = {name: content.sha256 for name, content in found.items()} | dict(fingerprints or {})
    identity = run_id(stage=stage, version=version, config=config, inputs=inputs, contents=contents)
    path = root / stage / identity
    if not processes.leads:
        return _follow(path, processes, together=together)
    if _finished(path) and not force:
        return _announced(RunFolder(path, state="done", lock=None, processes=processes))

    lock = Lock(path.parent / f".{identity}.lock")
    lock.take()
    with _released_on_error(lock):
        if force:
            _set_aside(path)
        elif _finished(path):  # another process finished it while we came here
            lock.release()
            return _announced(RunFolder(path, state="done", lock=None, processes=processes))
        state: State = "interrupted" if (path / "inputs.json").exists() else "fresh"
        run = RunFolder(path, state=state, lock=lock, processes=processes)
        run.outputs.mkdir(parents=True, exist_ok=True)
        _describe(run, stage=stage, version=version, config=config, device=device)
        entries: dict[str, Any] = {
            name: {"path": _relative(inputs[name], root), **record(found[name])} for name in inputs
        }
        entries |= {name: {"kind": "fingerprint", "sha256": text} for name, text in (fingerprints or {}).items()}
        write_json(path / "inputs.json", {"stage": stage, "version": version, "inputs": entries})
        run.log(f"{'resumed' if run.state == 'interrupted' else 'begun'} in process {os.getpid()}")
        return _announced(run)


def _announced(run: RunFolder) -> RunFolder:
    """Tell the other processes how the run stands; they wait for it in :func:`_follow`."""
    run.processes.gather(_STATES.index(run.state))
    return run


def _follow(path: Path, processes: World, *, together: bool) -> RunFolder:
    state = _STATES[processes.gather(0)[0]]
    if state != "done" and not together:
        processes.gather(0)  # the first process's `finish`
        state = "done"
    if not path.is_dir():
        raise InputError(
            f"process {processes.rank} does not see what process 0 writes",
            where=str(path),
            fix="give --runs a folder on a file system that all machines share",
        )
    return RunFolder(path, state=state, lock=None, processes=processes)


def _describe(run: RunFolder, *, stage: str, version: int, config: BaseModel, device: str) -> None:
    write_yaml(run.path / "config.yaml", config.model_dump(mode="json"))
    file = run.path / "environment.json"
    sessions = json.loads(file.read_text(encoding="utf-8"))["sessions"] if file.exists() else []
    sessions.append({"began": _now(), **describe_environment(device=device)})
    write_json(file, {"stage": stage, "version": version, "sessions": sessions})
    if run.state == "interrupted":
        run.keep_metrics(lambda row: True)  # cuts off half a line that a kill may have left


def _set_aside(path: Path) -> None:
    """Move a finished run out of the way; an unfinished one is dropped and what stands aside stays there."""
    if _finished(path):
        shutil.rmtree(_aside(path), ignore_errors=True)
        path.rename(_aside(path))
    elif path.exists():
        shutil.rmtree(path)


def _aside(path: Path) -> Path:
    return path.parent / f".{path.name}.previous"


def _finished(path: Path) -> bool:
    return (path / "done.json").exists()


def _relative(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path.resolve(), root.resolve())).as_posix()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def _released_on_error(lock: Lock) -> Iterator[None]:
    try:
        yield
    except BaseException:
        lock.release()
        raise
