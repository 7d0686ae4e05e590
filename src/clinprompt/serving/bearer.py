"""Who may do what: the caller of a request, and the tasks and changes that its key opens."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from clinprompt.serving.keys import ANYONE, NOBODY, Caller, KeyRing
from clinprompt.serving.refused import Refused
from clinprompt.serving.traffic import WORK

_SCHEME = HTTPBearer(auto_error=False, description="A key of `clinprompt keys add`, where the server has keys.")


class Door:
    """Looks at the key of every request for work before its body is read."""

    def __init__(self, keys: KeyRing) -> None:
        self.keys = keys

    def __call__(self, scope: Any) -> None:
        """Leave the caller in the scope; :class:`Refused` without a key that fits."""
        if not scope["path"].startswith(WORK):
            return
        shown = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
        caller = self.keys.check(shown[0].decode("latin-1") if len(shown) == 1 else None)
        scope["state"]["caller"] = caller
        scope["state"]["visit"].who = caller.name


def watcher_of(request: Request, keys: KeyRing) -> Caller:
    """Who asks how the server is; nobody is refused for the key, as a probe shall say how the server is.

    Where there are no keys it is everybody, but for those who call the server by a name that is not its own: that may
    be a page elsewhere, in a browser here (DNS rebinding).
    """
    if keys.path is None:
        return NOBODY if getattr(request.state, "unknown_host", False) else ANYONE
    shown = request.headers.getlist("authorization")
    try:
        return keys.check(shown[0]) if len(shown) == 1 else NOBODY
    except Refused:
        return NOBODY


def caller_of(request: Request, _: Annotated[Any, Depends(_SCHEME)] = None) -> Caller:
    """The caller of a request."""
    return getattr(request.state, "caller", ANYONE)


def admin_of(request: Request, _: Annotated[Any, Depends(_SCHEME)] = None) -> Caller:
    """The caller of a request that changes the bank; :class:`Refused` for one who may not."""
    caller = caller_of(request)
    if not caller.admin:
        raise Refused(403, "not_admin", "this needs the key of an administrator (`clinprompt keys add --admin`)")
    return caller


AnyCaller = Annotated[Caller, Depends(caller_of)]
Admin = Annotated[Caller, Depends(admin_of)]
