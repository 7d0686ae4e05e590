"""Those who watch the server: they may call it by address, and without a key they learn that something is wrong only."""

from __future__ import annotations

import httpx
import pytest

from clinprompt.serving.health import PROBES
from clinprompt.serving.keys import add_key
from tests.made_servers import served

ADDRESS = {"host": "10.0.0.5:8081"}


@pytest.mark.parametrize("path", PROBES)
def test_probes_are_answered_by_address_and_without_a_body(client, path):
    for host in ("10.0.0.5:8081", "[fd00::5]:8081", "pod.example", "localhost"):
        found = {method: client.request(method, path, headers={"host": host}) for method in ("GET", "HEAD")}
        assert {one.status_code for one in found.values()} == {200}
        assert found["GET"].content and not found["HEAD"].content
        assert found["HEAD"].headers["content-type"] == found["GET"].headers["content-type"]
    assert client.post(path, headers=ADDRESS).status_code == 421
    assert client.get(path, headers={**ADDRESS, "origin": "http://evil.example"}).status_code == 403


@pytest.mark.parametrize("path", ["/", "/openapi.json", "/v1/models", "/healthz/", "/metrics/../v1/models", "//readyz"])
def test_everything_else_is_asked_for_under_a_name_of_the_server(client, path):
    assert client.get(path, headers=ADDRESS).status_code == 421


@pytest.fixture
def broken(own):
    """A bank of which one prompt cannot be served."""
    own.find("sum").path.write_bytes(b"")
    return own.folder


def told(address, path="/readyz", key=None, **headers):
    shown = {} if key is None else {"authorization": f"Bearer {key}"}
    return httpx.get(f"{address}{path}", headers={**shown, **headers}, trust_env=False)


def test_without_a_key_nobody_learns_what_is_wrong(broken, opened, tmp_path):
    path = tmp_path / "keys.json"
    admin, ward, other = (
        add_key(path, name, tasks=tasks, admin=name == "ann")
        for name, tasks in (("ann", ("*",)), ("ward", ("sum",)), ("other", ("meds",)))
    )
    with served(broken, opened, keys=path, watch=60) as (server, address):
        (broken / "bank.json").write_text("{")
        server.look()
        for key in (None, "cp-wrong", other):
            for headers in ({}, ADDRESS):
                answer = told(address, key=key, **headers)
                assert answer.status_code == 200 and "sum" not in answer.text and str(broken) not in answer.text
                assert answer.json() == {
                    "ready": True, "stopping": False, "prompts": 6, "fault_count": 2, "faults": {}, "trouble": "",
                }  # fmt: skip
        assert (
            list(told(address, key=ward).json()["faults"]) == ["sum@1"]
            and not told(address, key=ward).json()["trouble"]
        )
        for headers in ({}, ADDRESS):
            seen = told(address, key=admin, **headers).json()
            assert list(seen["faults"]) == ["sum@1"] and "bank.json" in seen["trouble"]
        assert "bank" not in told(address, "/healthz").text
        path.write_text("damaged")
        assert told(address, key=admin).status_code == 200 and not told(address, key=admin).json()["faults"]


def test_without_keys_a_page_under_another_name_learns_nothing(broken, opened):
    with served(broken, opened) as (_, address):
        assert list(told(address).json()["faults"]) == ["sum@1"]
        seen = told(address, host="evil.example").json()
        assert seen["fault_count"] == 1 and not seen["faults"]
