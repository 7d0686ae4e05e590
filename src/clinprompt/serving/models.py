"""``/v1/models``: the prompts that are served, as OpenAI lists models."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from clinprompt.serving.bearer import AnyCaller
from clinprompt.serving.faults import refusals
from clinprompt.serving.findings import ModelName
from clinprompt.serving.served import Served, Snapshot
from clinprompt.serving.server import Server


class Ends(BaseModel):
    """The labels that may stand at the two ends of a relation."""

    head: list[str]
    tail: list[str]


class Values(BaseModel):
    """The values of an attribute, the labels that have it (none: all), and the value where nothing is said."""

    values: list[str]
    of: list[str]
    usual: str


class TaskTold(BaseModel):
    """What a prompt is asked: kind, labels, relations, attributes with their values, the mentions it asks about.

    ``ends`` says which labels a relation joins, ``values`` what a person may say of an attribute.
    """

    name: str
    kind: str
    codec: str
    labels: list[str]
    relations: list[str]
    attributes: dict[str, list[str]]
    about: list[str]
    ends: dict[str, Ends]
    values: dict[str, Values]
    slots: list[str]
    instruction: str


class Model(BaseModel):
    """A prompt: its name is the model's; ``version`` is what the name means now, ``versions`` are all there are."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["clinprompt"] = "clinprompt"
    version: int
    versions: list[int]
    task: TaskTold


class Models(BaseModel):
    """The prompts that the caller may use."""

    object: Literal["list"] = "list"
    data: list[Model]


def model_routes(server: Server) -> APIRouter:
    """The routes that tell what is served."""
    router = APIRouter(tags=["openai"])

    @router.get("/v1/models", responses=refusals(), summary="Prompts that are served")
    async def models(caller: AnyCaller) -> Models:
        """The prompts of the bank that the caller's key opens."""
        snapshot = server.prompts.snapshot
        return Models(
            data=[told(one, name, snapshot) for name, one in snapshot.promoted.items() if caller.allows(name)]
        )

    @router.get("/v1/models/{model:path}", responses=refusals(403, 404), summary="One prompt")
    async def model(model: ModelName, caller: AnyCaller) -> Model:
        """One prompt, by name or by name@version."""
        snapshot = server.prompts.snapshot
        server.may(caller, model)
        return told(await server.found(model, snapshot, caller), model, snapshot)

    return router


def told(served: Served, name: str, snapshot: Snapshot) -> Model:
    """A prompt as it is listed."""
    task = served.task
    return Model(
        id=name,
        created=snapshot.added.get(served.reference, 0),
        version=served.banked.version,
        versions=[one.version for one in snapshot.versions(served.name)],
        task=TaskTold(
            name=task.name,
            kind=task.kind.value,
            codec=task.codec,
            labels=list(task.labels),
            relations=list(task.relations),
            attributes={key: list(schema.values) for key, schema in task.attributes.items()},
            about=list(task.about.of) if task.about else [],
            ends={
                name: Ends(head=list(schema.head), tail=list(schema.tail)) for name, schema in task.relations.items()
            },
            values={
                name: Values(values=list(schema.values), of=list(schema.of), usual=schema.usual)
                for name, schema in task.attributes.items()
            },
            slots=sorted(served.opened.template.slots - {"note", "instruction"}),
            instruction=task.instruction,
        ),
    )
