"""The one error a user meets: what is wrong, where, what is allowed, what to do next."""

from __future__ import annotations


class InputError(Exception):
    """Something the user gave cannot be used; the command line prints it as one paragraph and exits with 2.

    The four parts follow one grammar. None of them may carry note text: name files, line numbers,
    identifiers and offsets instead.

    >>> str(InputError("the label 'Drg' is not in the schema", where="notes/7.ann line 3",
    ...                allowed="drug, dose", fix="correct the label"))
    "the label 'Drg' is not in the schema (notes/7.ann line 3). Allowed: drug, dose. Correct the label."
    """

    def __init__(self, what: str, *, where: str = "", allowed: str = "", fix: str = "") -> None:
        self.what, self.where, self.allowed, self.fix = what, where, allowed, fix
        super().__init__(what)

    def __str__(self) -> str:
        parts = [f"{self.what} ({self.where})" if self.where else self.what]
        if self.allowed:
            parts.append(f"Allowed: {self.allowed}")
        if self.fix:
            parts.append(self.fix[0].upper() + self.fix[1:])
        return " ".join(part if part.endswith(("?", "…")) else part.rstrip(".") + "." for part in parts)


class InputErrors(InputError):
    """Several faults of the user's input, shown together so that one look mends them all."""

    def __init__(self, faults: list[InputError], *, shown: int = 12) -> None:
        self.faults, self.shown = faults, shown
        super().__init__(f"{len(faults)} faults")

    def __str__(self) -> str:
        lines = [f"{len(self.faults)} faults were found:"]
        lines += [f"  - {fault}" for fault in self.faults[: self.shown]]
        if len(self.faults) > self.shown:
            lines.append(f"  … and {len(self.faults) - self.shown} more.")
        return "\n".join(lines)


def raise_all(faults: list[InputError]) -> None:
    """Raise nothing for no fault, the fault itself for one, :class:`InputErrors` for several."""
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise InputErrors(faults)
