"""A study that a module's tests have run before, in folders of one test."""

from __future__ import annotations

import shutil
from pathlib import Path

from clinprompt.study.archive import Archive
from clinprompt.study.running import Worker


def run_before(folder: Path, own: Path) -> Worker:
    """A worker on copies in ``own`` of what lies in ``folder``: the folders ``runs`` and ``out``."""
    for name in ("runs", "out"):
        shutil.copytree(folder / name, own / name)
    return Worker(own / "runs", Archive(own / "out"))
