"""The OpenAPI and what schemathesis makes of it: no request, however odd, is a fault of the server."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode

from clinprompt.serving.app import paths, routed
from clinprompt.serving.server import ROUTES


@pytest.fixture(scope="module")
def schema(server):
    return schemathesis.openapi.from_url(f"{server[1]}/openapi.json")


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


def test_no_request_is_a_fault_of_the_server(schema):
    run(schema, examples=4)


@pytest.mark.slow
def test_no_request_of_many_is_a_fault_of_the_server(schema):
    run(schema, examples=150)
