"""A task's question about a text that came over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clinprompt.data.choices import lettered, rendered
from clinprompt.schema.example import Answer, Example
from clinprompt.serving.refused import Refused
from clinprompt.serving.served import Served


def example_of(
    served: Served, name: str, note: str, inputs: Mapping[str, str | Sequence[str]], *, param: str
) -> Example:
    """The note with the other inputs of its task.

    Raises :class:`Refused` for inputs that the task's template cannot show and for those that are missing.
    """
    template, task = served.opened.template, served.task
    unknown = sorted(set(inputs) - template.slots)
    if unknown:
        raise Refused(400, "unknown_input", f"{served.name} has no input {unknown[0]}.", param=param)
    choices: tuple[tuple[str, str], ...] = ()
    texts = {"note": note}
    for slot, value in inputs.items():
        if isinstance(value, str):
            texts[slot] = value
        elif slot == "options":
            choices = lettered(value)
            texts[slot] = rendered(choices)
        else:
            raise Refused(400, "invalid_input", f"The input {slot} of {served.name} is one text.", param=param)
    if task.codec == "choices" and not choices:
        raise Refused(400, "missing_input", f"{served.name} chooses among options: give them as a list.", param=param)
    if task.about and "question" not in texts:
        raise Refused(
            400,
            "missing_input",
            f"{served.name} asks about one mention: name it in the input question, or ask /v1/extract for "
            f"{served.name} together with a task that finds mentions.",
            param=param,
        )
    return Example(name, texts, Answer(), group=name, document=name, choices=choices)
