"""Prompts come and go while requests run: none fails, none gets the answer of two versions."""

import threading

import httpx
import pytest

from clinprompt.errors import InputError
from clinprompt.prompts.bank import PromptBank
from clinprompt.serving.keys import add_key
from clinprompt.serving.served import ServedPrompts
from tests.made_prompts import write_random_prompt
from tests.made_servers import served, wait_until

NOTE = "Took aspirin 81 mg daily for chest pain."


def version(opened, folder, seed, *, task="impression", placement="suffix"):
    return write_random_prompt(folder / f"v{seed}.safetensors", opened, task=task, placement=placement, seed=seed)


def ask(address, model, **more):
    body = {"model": model, "prompt": NOTE, "max_tokens": 12} | more
    return httpx.post(f"{address}/v1/completions", json=body, timeout=30, trust_env=False)


def test_versions_change_under_load_without_a_failed_or_mixed_answer(own, opened, tmp_path):
    own.add([version(opened, tmp_path, 50)], name="sum")
    with served(own.folder, opened, watch=0.02) as (server, address):
        texts = {f"sum@{n}": ask(address, f"sum@{n}").json()["choices"][0]["text"] for n in (1, 2)}
        assert texts["sum@1"] != texts["sum@2"]
        found, stop = [], threading.Event()

        def load():
            with httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
                while not stop.is_set():
                    body = {"model": "sum", "prompt": NOTE, "max_tokens": 12}
                    found.append(client.post("/v1/completions", json=body))

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for n in (2, 1, 2, 1, 2):
            own.promote(f"sum@{n}")  # by another process, as it were
            wait_until(lambda n=n: server.prompts.snapshot.promoted["sum"].banked.version == n)
            seen = len(found)
            wait_until(lambda seen=seen: len(found) > seen + 8)
        stop.set()
        for thread in threads:
            thread.join()
    assert {one.status_code for one in found} == {200}
    said = [(one.json()["model"], one.json()["choices"][0]["text"]) for one in found]
    assert {model for model, _ in said} == set(texts)
    assert all(text == texts[model] for model, text in said)


def test_a_broken_version_is_told_and_the_old_one_goes_on(own, opened, tmp_path):
    with served(own.folder, opened) as (server, address):
        good = ask(address, "sum").json()["choices"][0]["text"]
        own.replace("sum", version(opened, tmp_path, 60))
        path = own.find("sum@2").path
        path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
        server.look()
        assert (after := ask(address, "sum").json())["model"] == "sum@1"
        assert after["choices"][0]["text"] == good
        assert ask(address, "sum@2").status_code == 404
        ready = httpx.get(f"{address}/readyz")
        assert ready.status_code == 200 and "not the one" in ready.json()["faults"]["sum@2"]
        listed = {one["id"]: one for one in httpx.get(f"{address}/v1/prompts").json()["data"]}
        assert not listed["sum@2"]["served"] and listed["sum@1"]["served"] and "sum@2" in listed["sum@2"]["fault"]
        (own.folder / "bank.json").write_text("{")
        server.look()
        assert ask(address, "sum").status_code == 200
        assert httpx.get(f"{address}/readyz").json()["trouble"]


def damage(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:-4] + b"\0\0\0\1")
    return whole


def test_a_file_that_is_damaged_in_use_is_told_while_its_prompt_goes_on(own, opened):
    with served(own.folder, opened) as (server, address):
        good = ask(address, "sum").json()["choices"]
        path = own.find("sum").path
        whole = damage(path)
        for _ in range(2):  # also when nothing has changed since
            server.look()
            ready = httpx.get(f"{address}/readyz")
            assert ready.status_code == 200 and "not the one" in ready.json()["faults"]["sum@1"]
        [listed] = [one for one in httpx.get(f"{address}/v1/prompts").json()["data"] if one["name"] == "sum"]
        assert listed["served"] and "not the one" in listed["fault"] and ask(address, "sum").json()["choices"] == good
        damage(own.find("meds").path)  # another one does not make the first forgotten
        server.look()
        assert set(server.prompts.snapshot.faults) == {"sum@1", "meds@1"}
        path.write_bytes(whole)
        server.look()
        assert set(server.prompts.snapshot.faults) == {"meds@1"}


def test_a_damaged_version_is_not_promoted_and_one_that_was_never_opened_is_not_called_served(own, opened, tmp_path):
    own.add([version(opened, tmp_path, 80), version(opened, tmp_path, 81)], name="sum")
    with served(own.folder, opened) as (server, address):

        def told():
            data = httpx.get(f"{address}/v1/prompts").json()["data"]
            return {one["id"]: one["served"] for one in data if one["name"] == "sum"}

        assert told() == {"sum@1": True, "sum@2": False, "sum@3": False}
        assert ask(address, "sum@3").status_code == 200
        assert told() == {"sum@1": True, "sum@2": False, "sum@3": True}
        whole = damage(own.find("sum@2").path)
        refused = httpx.post(f"{address}/v1/prompts/sum@2/promote")
        assert refused.status_code == 409 and "not the one" in refused.json()["error"]["message"]
        assert ask(address, "sum").json()["model"] == own.find("sum").reference == "sum@1"
        own.find("sum@2").path.write_bytes(whole)
        assert httpx.post(f"{address}/v1/prompts/sum@2/promote").status_code == 200
        damage(own.find("sum@1").path)
        assert httpx.post(f"{address}/v1/prompts/sum/rollback").status_code == 409
        assert server.prompts.snapshot.promoted["sum"].reference == "sum@2"


def test_a_prompt_of_another_backbone_is_not_served(own, opened, tmp_path):
    prompts = ServedPrompts(own, opened)
    prompts.refresh()
    manifest = own.folder / "bank.json"
    text = manifest.read_text()
    assert opened.identity.fingerprint in text
    manifest.write_text(text.replace(opened.identity.fingerprint, "f" * 16).replace('"revision":7', '"revision":8'))
    other = ServedPrompts(PromptBank(own.folder), opened)
    snapshot = other.refresh()
    assert not snapshot.promoted and len(snapshot.faults) == 7
    assert all("do not carry over" in fault for fault in snapshot.faults.values())
    with pytest.raises(InputError, match="not served"):
        other.find("sum", snapshot)


def test_a_removed_prompt_goes_on_for_requests_that_run(own, opened):
    with served(own.folder, opened) as (server, address):
        snapshot = server.prompts.snapshot
        before = ask(address, "meds").json()["choices"]
        own.remove("meds")
        server.look()
        assert ask(address, "meds").status_code == 404
        assert server.prompts.find("meds", snapshot).reference == "meds@1"  # as a request finds it that began before
        assert before


def test_administrators_change_the_bank(own, opened, tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    version(opened, inbox, 70)
    version(opened, inbox, 71, placement="prefix")
    (tmp_path / "outside.safetensors").write_bytes((inbox / "v70.safetensors").read_bytes())
    (inbox / "link.safetensors").symlink_to(tmp_path / "outside.safetensors")
    (inbox / "text.safetensors").write_text("no prompt")
    keys = tmp_path / "keys.json"
    root, plain, one = (add_key(keys, *a[:1], admin=a[1], tasks=a[2]) for a in [
        ("root", True, ("*",)), ("plain", False, ("*",)), ("one", False, ("meds",))])  # fmt: skip
    with served(own.folder, opened, keys=keys, inbox=inbox) as (_, address):

        def call(method, route, key=root, **body):
            return httpx.request(
                method, f"{address}{route}", json=body or None, headers={"Authorization": f"Bearer {key}"}, timeout=30,
                trust_env=False,
            )  # fmt: skip

        assert call("GET", "/v1/prompts", plain).status_code == 403
        assert httpx.get(f"{address}/v1/models").status_code == 401
        assert [m["id"] for m in call("GET", "/v1/models", one).json()["data"]] == ["meds"]
        assert call("POST", "/v1/completions", one, model="sum", prompt="x").status_code == 403
        added = call("POST", "/v1/prompts", path="v70.safetensors", name="sum")
        assert added.status_code == 201 and added.json()["id"] == "sum@2" and not added.json()["promoted"]
        assert call("POST", "/v1/completions", model="sum", prompt="x", max_tokens=2).json()["model"] == "sum@1"
        assert call("POST", "/v1/prompts/sum@2/promote").json()["promoted"]
        assert call("POST", "/v1/completions", model="sum", prompt="x", max_tokens=2).json()["model"] == "sum@2"
        assert call("POST", "/v1/prompts/sum/rollback").json()["id"] == "sum@1"
        assert call("PUT", "/v1/prompts/sum@2/promote").json()["id"] == "sum@2"
        assert call("POST", "/v1/prompts", path="v70.safetensors", name="new", promote=True).status_code == 201
        assert call("DELETE", "/v1/prompts/sum@1").json()["removed"] == ["sum@1"]
        assert call("DELETE", "/v1/prompts/new").status_code == 200
        for path in ("../outside.safetensors", str(tmp_path / "outside.safetensors"), "link.safetensors", "no", "\0"):
            assert call("POST", "/v1/prompts", path=path).status_code == 404, path
        for path in ("text.safetensors", "v71.safetensors"):  # no prompt; another placement
            refused = call("POST", "/v1/prompts", path=path, name="sum")
            assert refused.status_code == 409 and refused.json()["error"]["code"] == "bank_refuses"
        assert call("DELETE", "/v1/prompts/sum@9").status_code == 404
        assert call("POST", "/v1/prompts", name="x", vectors=[[1.0]]).status_code == 400
        assert len(PromptBank(own.folder).listed()) == 7


def test_the_tasks_of_a_key_bind_administrators_and_changes_are_on_record(own, opened, tmp_path):
    inbox, keys, log = tmp_path / "inbox", tmp_path / "keys.json", tmp_path / "audit.jsonl"
    inbox.mkdir()
    version(opened, inbox, 72)
    key = add_key(keys, "ward", tasks=("sum", "gone"), admin=True)
    with served(own.folder, opened, keys=keys, audit=log, inbox=inbox) as (_, address):
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=address, headers=headers, timeout=30, trust_env=False) as client:
            unknown = client.get("/v1/models/gone")
            assert unknown.status_code == 404 and "sum" in unknown.text and "meds" not in unknown.text
            assert {one["id"] for one in client.get("/v1/prompts").json()["data"]} == {"sum@1"}
            body = {"path": "v72.safetensors"}
            for other in (body, body | {"name": "meds"}):
                assert client.post("/v1/prompts", json=other).status_code == 403
            assert client.delete("/v1/prompts/meds@1").status_code == 403
            assert client.post("/v1/prompts", json=body | {"name": "sum"}).json()["id"] == "sum@2"
            assert client.post("/v1/prompts/sum@2/promote").status_code == 200
            told = client.post(
                "/v1/extract", json={"notes": [], "tasks": ["sum"]}, headers={"Content-Type": "text/plain"}
            )
            assert told.status_code == 400 and "Content-Type" in told.json()["error"]["message"]
    lines = [line for line in log.read_text().splitlines() if "promote" in line]
    assert any('"sum@2"' in line for line in lines)
