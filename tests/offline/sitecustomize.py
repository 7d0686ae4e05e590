"""Refuses every outward socket of a Python process, and of those that it starts; each try is written down.

Python imports a module of this name when it starts: put this folder into ``PYTHONPATH`` and name a file in
``REFUSED_SOCKETS``. An audit hook cannot be taken off again, and it also hears sockets of the C library.
"""

from __future__ import annotations

import os
import socket
import sys

ADDRESS_AT = {"socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1}
NAME_AT = {"socket.getaddrinfo": 0, "socket.gethostbyname": 0, "socket.gethostbyaddr": 0}
HERE = ("localhost", "::1", "", None)


def refuse(event: str, arguments: tuple) -> None:
    """The audit hook."""
    if event in ADDRESS_AT:
        address = arguments[ADDRESS_AT[event]]
        if getattr(arguments[0], "family", None) == socket.AF_UNIX or address is None:
            return
        host = address[0] if isinstance(address, tuple) else address
    elif event in NAME_AT:
        host = arguments[NAME_AT[event]]
    elif event == "socket.getnameinfo":
        host = arguments[0][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host in HERE or str(host).startswith("127."):
        return
    with open(os.environ["REFUSED_SOCKETS"], "a", encoding="utf-8") as log:
        log.write(f"{event} {host!r}\n")
    raise PermissionError(f"a socket was asked for, to {host!r}")


if "REFUSED_SOCKETS" in os.environ:
    sys.addaudithook(refuse)
