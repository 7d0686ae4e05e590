"""Notes answered by a running clinprompt server: several requests on their way, patient with a busy one."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import BaseModel, ConfigDict

from clinprompt.data.sections import load_rules
from clinprompt.errors import InputError
from clinprompt.inference.engines.address import check_address
from clinprompt.schema.document import Document, Relation
from clinprompt.schema.example import SPAN_KINDS, Answer, Example, TaskKind
from clinprompt.schema.prediction import DecodeReport, Prediction
from clinprompt.stages.batch.asked import Asked, RunError
from clinprompt.stages.batch.note_answer import NoteAnswer, span_of
from clinprompt.stages.batch.notes import Item
from clinprompt.stages.configs import PredictSettings
from clinprompt.stages.engine_settings import ServerSettings
from clinprompt.stages.gathered import gathered, marked, with_sections, written_answers

KEY = "CLINPROMPT_KEY"
"""Environment variable that holds the server's key where no file is given."""

_BUSY = (408, 425, 429, 502, 503, 504)
_NOTES = (400, 413, 422, 500)
"""Statuses that say: later, and: not this note; all others end the run."""
_PAUSE, _LONGEST = 0.5, 30.0
"""Seconds before the second try, doubled each time up to the longest."""


class Told(BaseModel):
    """What a server says of a prompt's task."""

    model_config = ConfigDict(extra="ignore")

    name: str
    kind: TaskKind
    codec: str
    labels: list[str]
    relations: list[str]
    about: list[str]
    slots: list[str]


class ServerAnswers:
    """The tasks that a server has under these names, each held to the version that it has when the run begins."""

    unconstrained, remarks = "", ()

    def __init__(self, settings: PredictSettings) -> None:
        import httpx

        assert settings.batch.server is not None
        self.settings, self.server = settings, settings.batch.server
        self.rules = load_rules(settings.long_notes.sections)
        # No proxies of the environment: notes go to the server that was named and nowhere else.
        self.client = httpx.Client(
            base_url=check_address(self.server.url, allow_remote=self.server.allow_remote, option="--server",
                                   key="--server-key"), headers=_headers(self.server), timeout=self.server.timeout,
            trust_env=False, limits=httpx.Limits(max_connections=self.server.at_once),
        )  # fmt: skip
        self.heard = time.monotonic()
        try:
            told = [self._told(str(path)) for path in settings.prompts]
        except BaseException:
            self.close()
            raise
        self.tasks = [task for task, _ in told]
        self.names = [
            f"{str(path).partition('@')[0]}@{number}" for path, (_, number) in zip(settings.prompts, told, strict=True)
        ]
        self.kinds = {task.name: task.kind for task in self.tasks}

    @property
    def asked(self) -> Asked:
        """What is asked, by the names and versions of the server's bank; :class:`InputError` for a task named twice."""
        if len(self.kinds) < len(self.tasks):
            raise InputError("two prompts answer the same task", fix="predict with one prompt per task at a time")
        made_by = []
        for task, reference in zip(self.tasks, self.names, strict=True):
            name, _, version = reference.partition("@")
            made_by.append({"task": task.name, "prompt": name, "version": int(version)})
        labels = [label for task in self.tasks if task.kind in SPAN_KINDS for label in task.labels]
        return Asked(
            made_by=tuple(made_by),
            labels=(*labels, *(task.name for task in self.tasks if task.codec == "quote")),
            relations=tuple(label for task in self.tasks for label in task.relations),
            only_answers=not all(task.kind in SPAN_KINDS or task.codec == "quote" or task.about for task in self.tasks),
        )

    def answers(self, items: Sequence[Item], *, watch: Callable[[float], None]) -> list[NoteAnswer | InputError]:
        """An answer per note, or why the server would not take it; raises for a server that is gone or says no."""

        def answer(item: Item) -> NoteAnswer | InputError:
            try:
                made: NoteAnswer | InputError = self._answer(item)
            except RunError:
                raise
            except InputError as fault:
                made = fault
            return made

        with ThreadPoolExecutor(self.server.at_once) as pool:
            futures = [pool.submit(answer, item) for item in items]
            try:
                made = []
                for future in futures:
                    made.append(future.result())
                    watch(1 / len(items))
                return made
            finally:
                pool.shutdown(cancel_futures=True)

    def close(self) -> None:
        """End all connections."""
        self.client.close()

    def _answer(self, item: Item) -> NoteAnswer:
        text = item.text if isinstance(item, Document) else item.note
        if not text.strip() and isinstance(item, Document):
            return NoteAnswer(len(text))
        asked: dict[str, Any] = {"note": text, "tasks": self.names}
        slots = {} if isinstance(item, Document) else _slots(item)
        if slots:
            asked["questions"] = {
                name: {slot: slots[slot] for slot in task.slots if slot in slots}
                for name, task in zip(self.names, self.tasks, strict=True)
            }
        told = _of_one_note(self._asked("POST", "/v1/extract", asked))
        if [one["prompt"] for one in told] != self.names:
            raise RunError("the server answers with other versions than it began with", where=self.server.url,
                           fix="serve the versions that the run began with, or give another --out")  # fmt: skip
        # What tasks about mentions find stands as attributes at the mentions of the others.
        told = [one | {"task": task.name} for one, task in zip(told, self.tasks, strict=True) if not task.about]
        said = [_prediction(one, item.id, text) for one in told]
        mark = self.settings.mark_ambiguous
        given = {one["task"]: marked(made) if mark else made.answer for one, made in zip(told, said, strict=True)}
        document = gathered(item, given, self.kinds)
        if self.settings.mark_sections:
            document = with_sections(document, self.rules)
        answers, unplaced = written_answers(given, self.kinds), written_answers(given, self.kinds, placed=False)
        return NoteAnswer(
            characters=len(text),
            spans=document.spans,
            relations=document.relations,
            answers=answers,
            placed=tuple(name for name in answers if name not in unplaced),
            ledger=tuple(
                {
                    "note": item.id,
                    "task": one["task"],
                    "characters": len(text),
                    "windows": one["windows"],
                    "answers_cut": made.report.truncated,
                }
                for one, made in zip(told, said, strict=True)
            ),
            decoding=sum((made.report for made in said), DecodeReport()),
            grounding=Counter(made.provenance.get("grounding", "by the server") for made in said),
            provenance=_shared(said[0].provenance) if said else {},
        )

    def _told(self, name: str) -> tuple[Told, int]:
        """A prompt's task and the version that its name means now."""
        response = self._asked("GET", f"/v1/models/{name}")
        try:
            model = response.json()
            return Told.model_validate(model["task"]), int(model["version"])
        except (KeyError, TypeError, ValueError):
            raise RunError("what answers there is no clinprompt server", where=self.server.url) from None

    def _asked(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The response, of status 200, however busy the server is before; raises for all it will never say yes to."""
        import httpx

        pause, began = _PAUSE, time.monotonic()
        while True:
            later: float | None = None
            try:
                response = self.client.request(method, path, json=body)
            except httpx.ReadTimeout:
                raise InputError(f"the server did not answer within {self.server.timeout:g} s") from None
            except httpx.TransportError as fault:
                if body is None and isinstance(fault, httpx.ConnectError):  # before the first note
                    raise RunError(
                        "there is no server at this address",
                        where=self.server.url,
                        fix="start it with `clinprompt serve`, or give its address as --server",
                    ) from None
                why = type(fault).__name__
            else:
                if response.status_code == 200:
                    self.heard = time.monotonic()
                    return response
                why = f"{response.status_code} {_code(response)}".strip()
                if body is not None and response.status_code in _NOTES:
                    raise InputError(f"the server would not take the note: {why}")
                if response.status_code not in _BUSY:
                    raise RunError(f"the server says {why}", where=self.server.url, fix=_fix(response.status_code))
                if response.status_code == 429:
                    self.heard = time.monotonic()  # a quota lets us on in time; what is unavailable may stay so
                later = _seconds(response.headers.get("Retry-After"))
            if time.monotonic() - max(began, self.heard) > self.server.patience:
                raise RunError(f"the server does not answer ({why})", where=self.server.url,
                               fix="run the same command again when it does; what is done stays done")  # fmt: skip
            time.sleep(min(pause, _LONGEST) if later is None else later)
            pause *= 2


def _prediction(told: Mapping[str, Any], name: str, text: str) -> Prediction:
    """One task's answer; a span that is not in the note at its place is refused here too."""
    spans = tuple(map(span_of, told["spans"]))
    for span, one in zip(spans, told["spans"], strict=True):
        if "text" in one and one["text"] != span.surface(text):
            raise InputError("the server gives a span that is not in the note at its place", where=f"span {span.id}")
    links = tuple(Relation(one["label"], one["head"], one["tail"], one.get("id", "")) for one in told["relations"])
    answer = told.get("answer") or {}
    return Prediction(
        name,
        Answer(spans, links, answer.get("label"), answer.get("text")),
        DecodeReport(**told["report"]),
        ambiguous=tuple(one["id"] for one in told["spans"] if one.get("ambiguous")),
        provenance=told["provenance"],
    )


def _slots(item: Example) -> dict[str, Any]:
    """What an example asks with besides its note; options one by one."""
    slots: dict[str, Any] = {slot: text for slot, text in item.inputs.items() if slot != "note"}
    return slots | ({"options": [text for _, text in item.choices]} if item.choices else {})


def _shared(provenance: Mapping[str, str]) -> dict[str, str]:
    """What is the same for all answers, not for those of one prompt only."""
    return {key: told for key, told in provenance.items() if key not in ("sha256", "method")} | {"engine": "server"}


def _of_one_note(response: Any) -> list[dict[str, Any]]:
    try:
        [result] = response.json()["results"]
        return list(result["tasks"])
    except (ValueError, KeyError, TypeError):
        raise RunError("what answers there is no clinprompt server", where=str(response.url)) from None


def _headers(server: ServerSettings) -> dict[str, str]:
    if server.key is None:
        key = os.environ.get(KEY, "")
    else:
        try:
            key = server.key.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise InputError(f"the key cannot be read: {error.strerror}", where=str(server.key)) from None
    return {"Authorization": f"Bearer {key}"} if key else {}


def _code(response: Any) -> str:
    """The code of an error; not its message, which another program wrote."""
    try:
        code = response.json()["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return ""
    return str(code or "")[:60]


def _fix(status: int) -> str:
    if status in (401, 403):
        return f"give a key that may ask for these tasks, in --server-key or in the variable {KEY}"
    return "ask for prompts that the server has (GET /v1/models)" if status == 404 else ""


def _seconds(text: str | None) -> float | None:
    """Retry-After as seconds; dates are left to our own pauses."""
    return min(float(text), 600.0) if text and text.isdigit() else None
