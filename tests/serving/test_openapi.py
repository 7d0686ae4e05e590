"""The OpenAPI and what schemathesis makes of it: no request, however odd, is a fault of the server."""

import shutil

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode

from clinprompt.serving.app import paths, routed
from clinprompt.serving.server import ROUTES
from tests.made_servers import served


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


def run(schema, *, examples):
    """Ask every operation with made requests, right and wrong ones; each answer must be as the OpenAPI says."""
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in GenerationMode:

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(max_examples=examples, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
                      suppress_health_check=list(HealthCheck))  # fmt: skip
            def ask(case):
                answer = case.call(timeout=60)
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


@pytest.mark.slow
def test_no_request_of_many_is_a_fault_of_the_server(schema):
    run(schema, examples=60)
