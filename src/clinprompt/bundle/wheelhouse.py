"""The wheels of a bundle: all that clinprompt needs on the target, asked of pip and checked to be complete.

pip reads the conditions of requirements for the machine that it runs on, also when it downloads for another one.
So it is asked for single packages only, and who needs whom is worked out here, for the target.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name
from packaging.version import Version

from clinprompt.bundle.target import Target
from clinprompt.bundle.wheel_file import Wheel, read_wheel
from clinprompt.errors import InputError, raise_all

Say = Callable[[str], None]

BUILT = "315532800"
"""The time that build tools write into wheels: 1980-01-01, the first day that zip files know."""


class Wheelhouse:
    """A folder that is filled with the wheels for a target.

    ``pins`` are versions by package name; ``source`` is a folder of wheels to take them from in place of pip's index;
    packages ``without`` are neither fetched nor followed.
    """

    def __init__(
        self, folder: Path, target: Target, *, pins: Mapping[str, str], source: Path | None = None,
        without: Collection[str] = (), say: Say = lambda text: None,
    ) -> None:  # fmt: skip
        self.folder, self.target, self.source, self.say = folder, target, source, say
        self.pins = {canonicalize_name(name): version for name, version in pins.items()}
        self.without = {canonicalize_name(name) for name in without}

    def filled(self, own: Path, *, extras: Sequence[str] = ()) -> list[Wheel]:
        """Fetch all that the wheel ``own`` with these extras needs, and give all wheels by name.

        Raises :class:`InputError` for what is not to be had as a wheel for the target, and for versions that do not
        agree with each other.
        """
        wheels = {"clinprompt": read_wheel(own)}
        known = wheels["clinprompt"].extras
        for extra in extras:
            if extra not in known:
                raise InputError(f"clinprompt has no extra {extra!r}", where="--extra", allowed=", ".join(known))
        asked: dict[str, tuple[SpecifierSet, frozenset[str]]] = {}
        while missing := (asked := self._asked(wheels, extras)).keys() - wheels.keys():
            self.say(f"{len(wheels)} wheels, {len(missing)} more to get")
            self._fetch([self._exact(name, asked[name][0]) for name in sorted(missing)])
            found = self._found()
            if still := missing - found.keys():
                raise InputError(f"pip gave no wheel of {', '.join(sorted(still))}", where=self.target.platform)
            wheels |= {name: found[name] for name in missing}
        self._check(wheels, asked)
        return [wheels[name] for name in sorted(wheels)]

    @cached_property
    def tags(self) -> frozenset[Tag]:
        """What wheels may be called that run on the target."""
        platforms, release = self.target.platforms, self.target.release
        abis = [f"cp{release[0]}{release[1]}"]
        own = cpython_tags(release, abis=abis, platforms=platforms)
        return frozenset((*own, *compatible_tags(release, interpreter=abis[0], platforms=platforms)))

    def _asked(
        self, wheels: Mapping[str, Wheel], extras: Sequence[str]
    ) -> dict[str, tuple[SpecifierSet, frozenset[str]]]:
        """What the wheels ask for, by package: which versions, and which of its extras; round after round."""
        asked = {"clinprompt": (SpecifierSet(), frozenset(extras))}
        while True:
            before = dict(asked)
            for name in [one for one in asked if one in wheels]:
                for need in wheels[name].needs:
                    other = canonicalize_name(need.name)
                    if other not in self.without and self._applies(need, asked[name][1]):
                        versions, more = asked.get(other, (SpecifierSet(), frozenset()))
                        asked[other] = (versions & need.specifier, more | need.extras)
            if asked == before:
                return asked

    def _applies(self, need: Requirement, extras: Iterable[str]) -> bool:
        if need.marker is None:
            return True
        return any(need.marker.evaluate({**self.target.markers, "extra": extra}) for extra in ("", *extras))

    def _exact(self, name: str, versions: SpecifierSet) -> str:
        pin = self.pins.get(name)
        return f"{name}=={pin}" if pin and versions.contains(pin, prereleases=True) else f"{name}{versions}"

    def _fetch(self, needs: Sequence[str]) -> None:
        """Ask pip for all at once; when that fails, one by one, so that the message names the one that is missing."""
        if len(needs) > 1 and not _pip("download", *self._options, *needs):
            return
        for need in needs:
            fault = _pip("download", *self._options, need)
            if fault and self.source is None:
                # Some packages come as source only. What is pure Python is the same on every machine.
                self.say(f"no wheel of {need}: building one from its source")
                before = set(self.folder.iterdir())
                fault = _pip("wheel", "--no-deps", "--wheel-dir", str(self.folder), need) or fault * any(
                    not path.name.endswith("-none-any.whl") for path in set(self.folder.iterdir()) - before
                )
            if fault:
                raise InputError(
                    f"there is no wheel of {need} for {self.target.platform} and Python {self.target.python}: {fault}",
                    where=str(self.source or "pip's index"),
                    fix="name another platform or Python, or leave it out with --skip-wheels if the machine has it",
                )

    @cached_property
    def _options(self) -> list[str]:
        options = ["--no-deps", "--only-binary=:all:", "--dest", str(self.folder), "--implementation", "cp",
                   "--python-version", self.target.python]  # fmt: skip
        options += [part for platform in self.target.platforms for part in ("--platform", platform)]
        return options + (["--no-index", "--find-links", str(self.source)] if self.source else [])

    def _found(self) -> dict[str, Wheel]:
        return {wheel.name: wheel for wheel in map(read_wheel, sorted(self.folder.glob("*.whl")))}

    def _check(self, wheels: Mapping[str, Wheel], asked: Mapping[str, tuple[SpecifierSet, frozenset[str]]]) -> None:
        faults = []
        for name, wheel in wheels.items():
            if not asked[name][0].contains(Version(wheel.version), prereleases=True):
                faults.append(f"{name} {wheel.version} is not within {asked[name][0]}, which others need")
            if not wheel.tags & self.tags or not wheel.python.contains(f"{self.target.python}.0", prereleases=True):
                faults.append(f"{wheel.path.name} is not for {self.target.platform} and Python {self.target.python}")
        raise_all([InputError(one, where=str(self.folder), fix="give --constraints that agree") for one in faults])


def installed_pins() -> dict[str, str]:
    """The versions of all packages that are installed here, without what names a build (``2.13.0+cpu``)."""
    return {
        one.metadata["Name"]: Version(one.version).public for one in metadata.distributions() if one.metadata["Name"]
    }


def read_pins(path: Path) -> dict[str, str]:
    """The versions in a constraints file of lines ``name==version``; :class:`InputError` for other lines."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the constraints cannot be read ({type(error).__name__})", where=str(path)) from error
    pins = {}
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        name, equal, version = (part.strip() for part in text.partition("=="))
        if text and not (name and equal and version):
            raise InputError("this is no pinned version", where=f"{path} line {number}", allowed="name==version")
        if text:
            pins[name] = version
    return pins


def _pip(*arguments: str) -> str:
    """Run pip and say in its words what went wrong, nothing when nothing did."""
    command = [sys.executable, "-m", "pip", arguments[0], "--quiet", "--no-input", "--disable-pip-version-check"]
    # A wheel that is built here is the same file tomorrow.
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": BUILT}
    ended = subprocess.run(
        [*command, *arguments[1:]], env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    if not ended.returncode:
        return ""
    said = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")] or ended.stderr.splitlines()
    return " ".join(said[-1:])[:300].removeprefix("ERROR: ") or "pip failed"
