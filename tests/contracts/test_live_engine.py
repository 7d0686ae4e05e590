"""What the live engine must do: answer each row as the local engine alone, whatever joins, leaves or fails beside it.

Chances are compared within 1e-5: weights are float64, yet stock norms compute in float32.
"""

import threading
import time
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch

from clinprompt.backbones.protocol import BESIDE_WRITING, Generation, PromptVectors, Row
from clinprompt.errors import InputError
from clinprompt.inference.engines import beginnings, live
from clinprompt.inference.engines.live import LiveEngine
from clinprompt.inference.engines.local import LocalEngine, Request
from clinprompt.inference.predictor import Predictor, Question
from clinprompt.schema.example import Answer, Example
from clinprompt.tasks.catalog import load_task
from clinprompt.tasks.template import TEMPLATES
from tests.contracts.test_backbones import in_another_way
from tests.made_backbones import tiny_backbone
from tests.plain_rows import LAYERS

SOON = 20.0


@pytest.fixture(scope="module", params=["llama", "gpt-oss"])
def backbone(request, tmp_path_factory):
    made = tiny_backbone(tmp_path_factory.mktemp(request.param), family=request.param, seed=3, context=256)
    with patch.object(made, "text", lambda ids: "".join(f"<{token}>" for token in ids)):
        yield made


def mixed(count, *, seed=0):
    """Requests of mixed prompts, lengths and placements, some of them on the same note."""
    generator = torch.Generator().manual_seed(seed)
    number = lambda most: int(torch.randint(most, (), generator=generator))  # noqa: E731
    notes = [tuple(5 + number(80) for _ in range(2 + number(40))) for _ in range(4)]
    shapes = [(2,), (LAYERS, 3), (4,)]
    prompts = [torch.randn(*shape, 32, generator=generator) * 0.3 for shape in shapes]
    made = []
    for i in range(count):
        row = Row(f"row {i}", notes[number(4)], tuple(5 + number(80) for _ in range(1 + number(3))), (2,))
        prompt = number(4)
        placement = BESIDE_WRITING[number(3)]
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
    requests, wanted = mixed(16), generations(16)
    expected = [alone(backbone, *pair) for pair in zip(requests, wanted, strict=True)]
    several = [told(alone(backbone, request, Generation(5))) for request in requests]
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
                assert found.chances == pytest.approx(expected[i].chances, abs=1e-5)

        def ask():
            found = live.session().answers(requests[:8], Generation(5))
            assert [told(one) for one in found] == several[:8]

        in_threads(ask, *(lambda t=t: submit(range(t, 16, 4), t % 2) for t in range(4)), ask)
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
        assert one.chance == pytest.approx(-float(losses.losses[-1]), abs=1e-5)
        best = losses.logits[-1].log_softmax(-1).topk(3)
        assert [token for token, _ in one.best] == best.indices.tolist()
        assert [value for _, value in one.best] == pytest.approx(best.values.tolist(), abs=1e-5)


def _prompt(request):
    return PromptVectors(request.vectors[None], request.placement)


def test_notes_are_read_bit_by_bit_to_the_same_answers(backbone):
    """Three tokens a turn, so that rows wait for notes, share them, and begin beside rows that are written."""
    requests, wanted = mixed(16, seed=2), generations(16)
    expected = [told(alone(backbone, *pair)) for pair in zip(requests, wanted, strict=True)]
    longest, further = [], backbone.further
    spy = lambda tokens, past: longest.append(len(tokens)) or further(tokens, past)  # noqa: E731
    with (
        patch.multiple(live, PAUSE=0.0, LEAST=3),
        patch.object(beginnings, "LEAST", 3),
        patch.object(backbone, "further", spy),
        LiveEngine(backbone, rows=8) as engine,
    ):
        tickets = [engine.submit(*pair) for pair in zip(requests, wanted, strict=True)]
        assert [told(ticket.result(SOON)) for ticket in tickets] == expected
    assert len(longest) > 20 and max(longest) <= 3


def test_a_padded_network_joins_and_leaves_too(backbone):
    requests, wanted = mixed(12, seed=4), generations(12)
    expected = [told(alone(backbone, *pair)) for pair in zip(requests, wanted, strict=True)]
    padded = in_another_way(backbone, packed=False)
    with patch.object(padded, "text", backbone.text), LiveEngine(padded, rows=4) as engine:
        gone = engine.submit(requests[0], Generation(250))
        tickets = [engine.submit(*pair) for pair in zip(requests, wanted, strict=True)]
        gone.cancel()
        assert [told(ticket.result(SOON)) for ticket in tickets] == expected
        with pytest.raises(InputError, match="beams are not to be had"):
            engine.session().answers(requests, Generation(5, beams=2))


def test_a_session_is_an_engine_for_any_number_of_predictors(backbone):
    """Beams and likelihoods run between the steps of the others."""
    medications, judge = load_task("medications"), load_task("medication-statements")
    prompts = [torch.randn(4, 32, generator=torch.Generator().manual_seed(i)) * 0.4 for i in range(3)]

    def example(i):
        inputs = {"note": "takes aspirin"[: 5 + i], "hypothesis": "no drugs"}
        return Example(id=str(i), inputs=inputs, answer=Answer(), group=str(i))

    questions = [
        Question(example(i), (medications, judge)[i % 2], prompts[i % 3], BESIDE_WRITING[i % 3]) for i in range(4)
    ]
    ways = [{"choices": True}, {"generation": Generation(5)}, {"generation": Generation(3, beams=2)}]
    template = TEMPLATES["markers"]
    expected = [Predictor(backbone, template, **way).predict(questions) for way in ways]
    with LiveEngine(backbone, rows=4) as engine:

        def ask(way, found):
            watched = []
            predictor = Predictor(backbone, template, engine=engine.session(), **way)
            assert predictor.predict(questions, watch=watched.append) == found
            assert sum(watched) == len(questions)

        in_threads(
            *(lambda pair=pair: ask(*pair) for pair in zip(ways, expected, strict=True)),
            *(lambda pair=pair: ask(*pair) for pair in zip(ways, expected, strict=True)),
        )
