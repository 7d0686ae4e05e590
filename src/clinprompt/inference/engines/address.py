"""Addresses of servers to which notes may be sent."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from clinprompt.errors import InputError


def is_local(url: str) -> bool:
    """Whether an address is on this machine.

    >>> is_local("http://127.0.0.1:8000/v1"), is_local("http://[::1]:8000"), is_local("http://gpu-1:8000/v1")
    (True, True, False)
    """
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_address(url: str, *, allow_remote: bool, option: str = "--engine-url", key: str = "--engine-key") -> str:
    """The address without a slash at its end.

    Raises :class:`InputError` for what is no address of a web server, for one with a password in it, and, unless
    ``allow_remote``, for one that is not on this machine. ``option`` and ``key`` are where address and key are given.
    """
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    if wrong or parts.query or parts.fragment:
        raise InputError("this is no address of a server", where=option, allowed="http://127.0.0.1:8000/v1")
    if parts.username or parts.password:
        raise InputError("an address with a password in it is seen by everybody on this machine", where=option,
                         fix=f"put the key into a file and give {key} FILE")  # fmt: skip
    if not allow_remote and not is_local(url):
        raise InputError(
            f"the address {parts.hostname} is not on this machine, and notes would leave it",
            where=option,
            allowed="127.0.0.1, ::1, localhost",
            fix="give --allow-remote if notes may be sent there",
        )
    return url.rstrip("/")
