"""``python -m clinprompt``, which is also how torchrun starts it."""

from __future__ import annotations

from clinprompt.cli.main import run

if __name__ == "__main__":
    run()
