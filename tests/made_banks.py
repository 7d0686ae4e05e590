"""What tests of banks share: forging a manifest, and the words of a refusal."""

from __future__ import annotations

import json

import pytest

from clinprompt.errors import InputError
from clinprompt.prompts.manifest import FILE


def names(bank):
    """The versions of a bank and whether each is promoted."""
    return [(one.reference, one.promoted) for one in bank.listed()]


def refused(call, *arguments, **options) -> str:
    """The message with which a call is refused."""
    with pytest.raises(InputError) as caught:
        call(*arguments, **options)
    return str(caught.value)


def edited(bank, change):
    """Change a bank's manifest behind its back."""
    path = bank.folder / FILE
    whole = json.loads(path.read_bytes())
    change(whole)
    path.write_text(json.dumps(whole))
