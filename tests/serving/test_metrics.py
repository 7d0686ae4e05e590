from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from clinprompt.serving import metrics as module
from clinprompt.serving.metrics import Metrics


@pytest.fixture
def made():
    served = {"meds", "problems"}
    return Metrics(routes=("/v1/extract",), tasks=lambda: served, running=lambda: 3, waiting=lambda: 7), served


def values(metrics):
    families = text_string_to_metric_families(metrics.text().decode())
    return {(sample.name, *sorted(sample.labels.values())): sample.value for one in families for sample in one.samples}


def test_what_is_counted_is_told(made):
    metrics, _ = made
    metrics.request("/v1/extract", status=200, seconds=0.25, tasks=("meds", "meds@3", "problems"))
    metrics.request("/v1/extract", status=429, seconds=0.001)
    metrics.tokens("meds@2", read=120, written=7)
    metrics.first_token("/v1/extract", seconds=0.03)
    metrics.queued("/v1/extract", seconds=0.01)
    told = values(metrics)
    assert told["clinprompt_requests_total", "/v1/extract", "200"] == 1
    assert told["clinprompt_requests_total", "/v1/extract", "429"] == 1
    assert told["clinprompt_tasks_total", "/v1/extract", "200", "meds"] == 1
    assert told["clinprompt_prompt_tokens_total", "meds"] == 120
    assert told["clinprompt_generation_tokens_total", "meds"] == 7
    assert told["clinprompt_e2e_request_latency_seconds_count", "/v1/extract"] == 2
    assert told["clinprompt_e2e_request_latency_seconds_bucket", "/v1/extract", "0.2"] == 1
    assert told["clinprompt_time_to_first_token_seconds_sum", "/v1/extract"] == pytest.approx(0.03)
    assert told["clinprompt_request_queue_time_seconds_count", "/v1/extract"] == 1
    assert (told["clinprompt_num_requests_running",], told["clinprompt_num_requests_waiting",]) == (3, 7)
    assert told["clinprompt_prompts",] == 2


def test_clients_cannot_make_series(made, monkeypatch):
    metrics, served = made
    metrics.request("/elsewhere", status=404, seconds=0, tasks=("a patient's name",))
    count = len(values(metrics))
    for n in range(500):
        metrics.request(f"/elsewhere/{n}", status=404, seconds=0, tasks=(f"patient{n}", f"p@{n}"))
        metrics.tokens(f"patient{n}", read=1, written=0)
    text = metrics.text().decode()
    assert "patient" not in text and "elsewhere" not in text
    assert len(values(metrics)) <= count + 4  # tokens of `other`, counted and created
    monkeypatch.setattr(module, "MOST_TASKS", 5)
    served.update(f"task{n}" for n in range(50))
    for n in range(50):
        metrics.request("/v1/extract", status=200, seconds=0, tasks=(f"task{n}",))
    assert len(set(re.findall(r'task="(task\d+)"', metrics.text().decode()))) == 5


def test_two_servers_in_one_process_count_apart():
    def made():
        return Metrics(routes=("/",), tasks=set, running=lambda: 0, waiting=lambda: 0)

    one, two = made(), made()
    one.request("/", status=200, seconds=0)
    assert ("clinprompt_requests_total", "/", "200") in values(one)
    assert ("clinprompt_requests_total", "/", "200") not in values(two)
