"""The OpenAPI and what schemathesis makes of it: no request, however odd, is a fault of the server."""

import shutil

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode

from clinprompt.serving.app import paths, routed
from clinprompt.serving.keys import add_key
from clinprompt.serving.server import ROUTES
from clinprompt.stages.prepared import TASK
from tests.made_prompts import write_random_prompt
from tests.made_servers import served
from tests.serving.test_adaptations import standing_in


@pytest.fixture(scope="module")
def server(opened, bank, tmp_path_factory):
    """A server of its own: what is asked here changes the bank."""
    with served(shutil.copytree(bank, tmp_path_factory.mktemp("fuzzed") / "bank"), opened) as running:
        yield running


@pytest.fixture(scope="module")
def schema(server):
    told = httpx.get(f"{server[1]}/openapi.json", trust_env=False).json()
    asked = told["components"]["schemas"]["ExtractRequest"]
    asked["properties"]["note"], asked["required"] = {"type": "string"}, ["note", "tasks"]
    for name in ("notes", "questions"):  # what must not stand beside a note, or needs the names of the tasks
        del asked["properties"][name]
    made = schemathesis.openapi.from_dict(knowing(told))
    made.config.update(base_url=server[1])
    return made


@pytest.fixture(scope="module")
def whole(opened, bank, tmp_path_factory):
    """The address of a server with inbox, corrections, data to replay and keys, headers of an administrator, and the
    name of an adaptation; a quick process stands for `clinprompt renew`."""
    folder = tmp_path_factory.mktemp("whole")
    key = add_key(folder / "keys.json", "ann", admin=True)
    inbox, replay = folder / "inbox", folder / "replay" / "medications"
    (inbox / "folder").mkdir(parents=True)
    replay.mkdir(parents=True)
    for seed, name in enumerate(("one.safetensors", "two.safetensors"), 40):
        write_random_prompt(inbox / name, opened, task="medications", placement="suffix", seed=seed)
    (inbox / "broken.safetensors").write_bytes(b"\xff" * 100)
    (replay / TASK).write_text("{}")
    own = shutil.copytree(bank, folder / "bank")
    changes = {"inbox": inbox, "corrections": folder / "kept", "replay": replay.parent, "keys": folder / "keys.json"}
    headers = {"Authorization": f"Bearer {key}"}
    with pytest.MonkeyPatch.context() as patched, served(own, opened, audit=folder / "log", **changes) as running:
        standing_in(patched, said={"prompt": "meds@2", "compared": None}, seconds=0)
        begun = httpx.post(
            f"{running[1]}/v1/adaptations", json={"task": "meds", "replay": True}, headers=headers, timeout=30
        )
        yield running[1], headers, begun.json()["id"]


@pytest.fixture(scope="module")
def changing(whole):
    """The routes that keep and change something, and `/v1/extract` for several notes with questions."""
    address, _, adaptation = whole
    told = knowing(httpx.get(f"{address}/openapi.json", trust_env=False).json())
    known = {name: one["properties"] for name, one in told["components"]["schemas"].items() if "properties" in one}
    asked = told["components"]["schemas"]["ExtractRequest"]
    [inputs] = asked["properties"]["questions"]["patternProperties"].values()
    asked["required"] = ["notes", "tasks"]
    del asked["properties"]["note"]  # one of them only
    asked["properties"]["notes"] = {"type": "array", "items": {"$ref": "#/components/schemas/Note"}, "minItems": 1}
    asked["properties"]["tasks"] = {"enum": [["flag"], ["flag", "sum@1"], ["conditions", "assertion"], ["nope", "sum"]]}
    questions = {"type": "object", "properties": dict.fromkeys(("flag", "sum"), inputs), "additionalProperties": False}
    asked["properties"]["questions"] = questions
    paths = ["one.safetensors", "two.safetensors", "broken.safetensors", "folder", "../bank/bank.json"]
    known["PromptAdded"] |= {"path": {"enum": paths}, "name": {"enum": ["", "meds", "new"]}}
    known["CorrectionRequest"]["note"] = {"type": "string", "minLength": 9}
    known["RightSpan"] |= {"id": {"enum": ["a", "b"]}, "label": {"enum": ["drug", "dose", "condition", "other"]}}
    known["RightRelation"] |= {"label": {"enum": ["dose", "other"]}, "head": {"enum": ["a", "b"]}}
    known["FoundLabel"]["label"] = {"enum": ["A", "B", "absent"]}
    [name] = [one for one in told["paths"]["/v1/adaptations/{id}"]["get"]["parameters"] if one["name"] == "id"]
    name["schema"] = {"type": "string", "enum": [adaptation, "nope"]}
    made = schemathesis.openapi.from_dict(told).include(path_regex="prompts|corrections|adaptations|extract")
    made.config.update(base_url=address)
    return made


def knowing(part):
    """The schema with names of prompts that there are, where it has their pattern: chance would find none."""
    if isinstance(part, list):
        return [knowing(one) for one in part]
    if not isinstance(part, dict):
        return part
    if "@" in str(part.get("pattern", "")):
        return {"type": "string", "enum": ["meds", "sum", "meds@1", "doses", "first", "nope"]}
    return {key: knowing(value) for key, value in part.items()}


def test_every_route_says_what_it_answers(server):
    app = routed(server[0])
    told = app.openapi()
    assert set(told["paths"]) <= set(ROUTES) and set(paths(app)) <= set(ROUTES)
    for path, operations in told["paths"].items():
        for method, operation in operations.items():
            good = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
            assert good["content"] and all(content["schema"] for content in good["content"].values()), (
                f"{method} {path}"
            )
            if path.startswith("/v1"):
                assert {"400", "401", "413", "429", "503"} <= set(operation["responses"])
                errors = {answer["content"]["application/json"]["schema"]["$ref"]
                          for status, answer in operation["responses"].items() if status >= "4"}  # fmt: skip
                assert errors == {"#/components/schemas/ErrorBody"}
    assert "HTTPValidationError" not in str(told)


def run(schema, *, examples, headers=None):
    """Ask every operation with made requests, right and wrong ones; each answer must be as the OpenAPI says.

    What takes prompts away comes last.
    """
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in sorted(operations, key=lambda one: one.method == "delete"):
        for mode in GenerationMode:

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(max_examples=examples, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
                      suppress_health_check=list(HealthCheck))  # fmt: skip
            def ask(case):
                answer = case.call(timeout=60, headers=headers)
                assert answer.status_code < 500, (case.method, case.path, case.body, answer.text)
                if str(answer.status_code) in case.operation.definition.raw["responses"]:
                    case.operation.validate_response(answer)
                else:
                    assert answer.status_code in (400, 404, 405, 408, 415, 421), answer.status_code

            try:
                ask()
            except schemathesis.errors.InvalidSchema:
                raise
            except Exception as error:
                if "Unsatisfiable" not in type(error).__name__:
                    raise


def test_no_request_is_a_fault_of_the_server(schema, server):
    run(schema, examples=3)
    figures = httpx.get(f"{server[1]}/metrics", trust_env=False).text
    for route in ("/v1/models/{model}", "/v1/completions", "/v1/extract"):
        assert f'clinprompt_requests_total{{route="{route}",status="200"}}' in figures, "no request got through"


def test_no_request_that_changes_something_is_a_fault_of_the_server(changing, whole):
    run(changing, examples=4, headers=whole[1])
    figures = httpx.get(f"{whole[0]}/metrics", trust_env=False).text
    for route, status in (("extract", 200), ("corrections", 201), ("prompts", 201), ("adaptations/{id}", 200)):
        assert f'clinprompt_requests_total{{route="/v1/{route}",status="{status}"}}' in figures, "none got through"


@pytest.mark.slow
def test_no_request_of_many_is_a_fault_of_the_server(schema):
    run(schema, examples=60)


@pytest.mark.slow
def test_no_request_of_many_that_changes_something_is_a_fault_of_the_server(changing, whole):
    run(changing, examples=60, headers=whole[1])
