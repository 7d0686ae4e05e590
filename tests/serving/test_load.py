"""Answers under load are the answers alone, whatever tasks, routes and clients share the batch."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import httpx

NOTES = [f"Took drug{n} {n} mg daily for {'pain' if n % 2 else 'fever 😀'}.\r\nSeen on day {n}." for n in range(3)]
TASKS = ["meds", "doses", "sum", "first"]


def requests():
    """Requests of every route, some about the same notes."""
    for note, task in itertools.product(NOTES, TASKS):
        yield "/v1/completions", {"model": task, "prompt": note, "max_tokens": 8 + len(note) % 7}
    for note in NOTES:
        yield "/v1/chat/completions", {"model": "sum", "messages": [{"role": "user", "content": note}], "seed": 3,
                                       "temperature": 0.9, "max_tokens": 9}  # fmt: skip
        yield "/v1/extract", {"note": note, "tasks": TASKS}
    yield "/v1/extract", {"notes": [{"id": str(i), "text": text} for i, text in enumerate(NOTES)], "tasks": TASKS[:3]}


def said(answer):
    """What must not depend on the neighbours."""
    assert answer.status_code == 200, answer.text
    content = answer.json()
    if "results" in content:
        for task in [task for note in content["results"] for task in note["tasks"]]:
            task["score"] = None  # its last digit may
            for one in task["spans"] + task["relations"]:
                one["score"] = None
        return content
    return content["choices"], content["usage"]


def test_answers_under_load_are_those_alone(client, server):
    asked = list(requests())
    alone = [said(client.post(path, json=body)) for path, body in asked]
    order = sorted(range(len(asked)), key=lambda i: (i * 7919) % 23)
    with httpx.Client(base_url=server[1], timeout=60, trust_env=False) as several, ThreadPoolExecutor(16) as pool:
        together = dict(
            zip(order, pool.map(lambda i: said(several.post(asked[i][0], json=asked[i][1])), order), strict=True)
        )
    assert [together[i] for i in range(len(asked))] == alone
    assert server[0].engine.running == server[0].engine.waiting == 0
