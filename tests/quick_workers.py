"""Workers without a backbone, which die and refuse when they are told to, for processes that start in no time."""

from __future__ import annotations

import os
import signal

from clinprompt.errors import InputError


class Quick:
    """A worker without a backbone; what a shard does stands in its number."""

    def __init__(self, marks):
        self.marks = marks

    def part(self, number):
        with (self.marks / f"{number}").open("a") as stream:
            stream.write("x")
        tries = len((self.marks / f"{number}").read_text())
        if (number == 3 and tries == 1) or (number == 5 and self.marks.name == "deadly"):
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 7 and self.marks.name == "refusing":
            raise InputError("no", where="there", fix="try")
        if number == 7 and self.marks.name == "broken":
            raise ValueError("a word of a note")
        return b"%d" % number


class QuickJob:
    """What makes such workers in another process."""

    def __init__(self, marks):
        self.marks = marks

    def placed(self, place, processes):
        return self

    def worker(self):
        return Quick(self.marks)
