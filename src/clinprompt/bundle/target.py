"""The machine that a bundle is for: a platform, as wheels name it, and a version of Python."""

from __future__ import annotations

import os
import platform as machine
import re
import sys
from dataclasses import dataclass

from clinprompt.errors import InputError

PLATFORMS = "manylinux_2_31_x86_64, manylinux_2_31_aarch64, macosx_14_0_arm64 …"

_PLATFORM = re.compile(r"(manylinux|macosx)_(\d{1,3})_(\d{1,3})_(x86_64|aarch64|arm64)")
_PYTHON = re.compile(r"3\.(\d{1,3})")
_OLDEST_PYTHON = 11
_OLD_NAMES = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}
"""Names of the first standards for wheels of Linux, by the minor version of glibc 2 (PEP 600)."""


@dataclass(frozen=True, slots=True)
class Target:
    """A platform such as ``manylinux_2_31_x86_64`` (glibc 2.31 or newer) and a Python such as ``3.11``.

    Raises :class:`InputError` for others than CPython on Linux or macOS.
    """

    platform: str
    python: str

    def __post_init__(self) -> None:
        if not _PLATFORM.fullmatch(self.platform):
            raise InputError(f"there are no bundles for the platform {self.platform!r}", allowed=PLATFORMS)
        found = _PYTHON.fullmatch(self.python)
        if not found or int(found[1]) < _OLDEST_PYTHON:
            raise InputError(f"there are no bundles for Python {self.python!r}", allowed="3.11, 3.12 …")

    @property
    def release(self) -> tuple[int, int]:
        """The version of Python as numbers."""
        major, minor = self.python.split(".")
        return int(major), int(minor)

    @property
    def _parts(self) -> tuple[str, int, int, str]:
        system, major, minor, processor = _PLATFORM.fullmatch(self.platform).groups()  # type: ignore[union-attr]
        return system, int(major), int(minor), processor

    @property
    def platforms(self) -> list[str]:
        """The platforms whose wheels run there, the most special first.

        >>> Target("manylinux_2_6_x86_64", "3.11").platforms
        ['manylinux_2_6_x86_64', 'manylinux_2_5_x86_64', 'manylinux1_x86_64', 'linux_x86_64']
        """
        system, major, minor, processor = self._parts
        if system == "macosx":
            kinds = (processor, "universal2")
            older = [(one, 0) for one in range(major, 10, -1)] + [(10, one) for one in range(16, 8, -1)]
            found = [(major, minor), *((one, least) for one, least in older if (one, least) < (major, minor))]
            return [f"macosx_{first}_{second}_{kind}" for first, second in found for kind in kinds]
        names = []
        for one in range(minor, 4, -1):
            names.append(f"manylinux_{major}_{one}_{processor}")
            if one in _OLD_NAMES:
                names.append(f"{_OLD_NAMES[one]}_{processor}")
        return [*names, f"linux_{processor}"]

    @property
    def markers(self) -> dict[str, str]:
        """What the target says to the conditions of requirements (``sys_platform == "linux"``; PEP 508)."""
        system, _, _, processor = self._parts
        mac = system == "macosx"
        return {
            "implementation_name": "cpython", "implementation_version": f"{self.python}.0", "os_name": "posix",
            "platform_machine": processor, "platform_python_implementation": "CPython", "platform_release": "",
            "platform_system": "Darwin" if mac else "Linux", "platform_version": "", "python_version": self.python,
            "python_full_version": f"{self.python}.0", "sys_platform": "darwin" if mac else "linux",
        }  # fmt: skip

    def check_here(self, *, where: str) -> None:
        """Raise :class:`InputError` unless this Python on this machine is such a target."""
        system, major, minor, processor = self._parts
        here = f"{machine.system()} {machine.machine()}, {machine.python_implementation()} {machine.python_version()}"
        faults = []
        if machine.python_implementation() != "CPython" or sys.version_info[:2] != self.release:
            faults.append(f"it is for Python {self.python}")
        if self.markers["platform_system"] != machine.system() or machine.machine() != processor:
            faults.append(f"it is for {self.markers['platform_system']} on {processor}")
        elif system == "manylinux" and _glibc() < (major, minor):
            have = ".".join(map(str, _glibc())) if _glibc() > (0, 0) else "none"
            faults.append(f"it needs glibc {major}.{minor} or newer, and this machine has {have}")
        elif system == "macosx" and _macos() < (major, minor):
            faults.append(f"it needs macOS {major}.{minor} or newer")
        if faults:
            raise InputError(
                f"the bundle does not run here ({here}): {'; '.join(faults)}",
                where=where,
                fix=f"start the installation with python{self.python} on such a machine, or make a bundle for this "
                "one: `clinprompt bundle create --platform … --python …`",
            )


def default_target() -> Target:
    """This Python, on a plain machine with this processor and system."""
    processor = machine.machine()
    system = "macosx_14_0" if sys.platform == "darwin" else "manylinux_2_31"
    return Target(f"{system}_{processor}", f"{sys.version_info.major}.{sys.version_info.minor}")


def _glibc() -> tuple[int, int]:
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError, AttributeError):
        name = ""
    found = re.match(r"glibc (\d+)\.(\d+)", name)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _macos() -> tuple[int, int]:
    numbers = [int(part) for part in machine.mac_ver()[0].split(".") if part.isdigit()]
    major, minor = [*numbers, 0, 0][:2]
    return major, minor
