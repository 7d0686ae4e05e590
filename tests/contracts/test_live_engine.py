"""What the live engine must do: answer each row as the local engine alone, whatever joins, leaves or fails beside it."""

import threading
import time
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch

from clinprompt.backbones.protocol import Generation, Placement, Row
from clinprompt.errors import InputError
from clinprompt.inference.engines.live import LiveEngine
from clinprompt.inference.engines.local import LocalEngine, Request
from clinprompt.inference.engines.unanswered import Cancelled, Closed, Died, Expired, Full
from tests.contracts.test_backbones import in_another_way
from tests.made_backbones import tiny_backbone

SOON = 20.0


@pytest.fixture(scope="module", params=["llama", "gpt-oss"])
def backbone(request, tmp_path_factory):
    made = tiny_backbone(tmp_path_factory.mktemp(request.param), family=request.param, seed=3, context=256)
    with patch.object(made, "text", lambda ids: "".join(f"<{token}>" for token in ids)):
        yield made


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return tiny_backbone(tmp_path_factory.mktemp("llama"), seed=3, context=256)


def mixed(count, *, seed=0):
    """Requests of mixed prompts, lengths and placements, some of them on the same note."""
    generator = torch.Generator().manual_seed(seed)
    number = lambda most: int(torch.randint(most, (), generator=generator))  # noqa: E731
    notes = [tuple(5 + number(80) for _ in range(2 + number(40))) for _ in range(4)]
    prompts = [torch.randn(2 + i, 32, generator=generator) * 0.3 for i in range(3)]
    made = []
    for i in range(count):
        row = Row(f"row {i}", notes[number(4)], tuple(5 + number(80) for _ in range(1 + number(3))), (2,))
        prompt = number(4)
        placement = list(Placement)[number(3)]
        made.append(Request(row, prompts[prompt] if prompt < 3 else None, placement))
    return made


def generations(count):
    """Lengths, draws and seeds that differ from row to row."""
    heat = (0.0, 0.0, 0.8, 1.5)
    return [Generation(2 + i % 9, temperature=heat[i % 4], top_p=0.9 if i % 3 else 1.0, seed=i) for i in range(count)]


def alone(backbone, request, generation):
    return LocalEngine(backbone).answers([request], generation)[0]


def told(answer):
    return answer.text, answer.tokens, answer.truncated, answer.ids


def in_threads(*works):
    """Run these at the same time; raises what one of them raises."""
    errors = []

    def guarded(work):
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


@pytest.mark.parametrize("rows", [2, 16])
def test_answers_are_those_of_each_row_alone_whatever_joins_and_leaves(backbone, rows):
    requests, wanted = mixed(24), generations(24)
    expected = [alone(backbone, *pair) for pair in zip(requests, wanted, strict=True)]
    with LiveEngine(backbone, rows=rows, tokens=256) as live:

        def submit(mine, cancel):
            tickets = {}
            for i in mine:
                gone = live.submit(requests[i], replace(wanted[i], tokens=200)) if cancel else None
                tickets[i] = live.submit(requests[i], wanted[i])
                if gone:
                    time.sleep(0.003)
                    gone.cancel()
            for i, ticket in tickets.items():
                found = ticket.result(SOON)
                assert told(found) == told(expected[i])
                assert found.chances == pytest.approx(expected[i].chances, abs=1e-9)

        def ask():
            found = live.session().answers(requests[:8], Generation(5))
            assert [told(one) for one in found] == [told(alone(backbone, r, Generation(5))) for r in requests[:8]]

        in_threads(ask, *(lambda t=t: submit(range(t, 24, 4), t % 2) for t in range(4)), ask)
        assert live.session().answers(requests, Generation(5)) == LocalEngine(backbone).answers(requests, Generation(5))
        assert live.running == live.waiting == 0


def test_chances_are_those_of_the_network(backbone):
    request = mixed(1)[0]
    answer = alone(backbone, request, Generation(4, temperature=1.0, seed=3))
    with LiveEngine(backbone) as live:
        heard = []
        ticket = live.submit(request, Generation(4, temperature=1.0, seed=3), chances=3, heard=heard.append)
        assert told(ticket.result(SOON)) == told(answer)
    assert [one.token for one in heard][: answer.tokens] == list(answer.ids)
    for n, one in enumerate(heard):
        row = replace(request.row, answer=(*answer.ids[:n], one.token))
        losses = LocalEngine(backbone).backbone.forward([row], None if request.vectors is None else _prompt(request))
        assert one.chance == pytest.approx(-float(losses.losses[-1]), abs=1e-9)
        best = losses.logits[-1].log_softmax(-1).topk(3)
        assert [token for token, _ in one.best] == best.indices.tolist()
        assert [value for _, value in one.best] == pytest.approx(best.values.tolist(), abs=1e-9)


def _prompt(request):
    from clinprompt.backbones.protocol import PromptVectors

    return PromptVectors(request.vectors[None], request.placement)
