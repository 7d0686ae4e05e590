"""What the live engine does when rows are given up, come too many, or fail, and when it ends."""

import threading
import time
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch

from clinprompt.backbones.protocol import Generation, Placement
from clinprompt.inference.engines.live import LiveEngine
from clinprompt.inference.engines.unanswered import Cancelled, Closed, Died, Expired, Full
from tests.contracts.test_live_engine import SOON, alone, mixed, told
from tests.made_backbones import tiny_backbone


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    made = tiny_backbone(tmp_path_factory.mktemp("tiny"), seed=3, context=256)
    with patch.object(made, "text", lambda ids: "".join(f"<{token}>" for token in ids)):
        yield made


class Gate:
    """Stands in for a function of the backbone: lets the engine's thread in and holds it there until opened."""

    def __init__(self, function):
        self.function, self.entered, self.open = function, threading.Event(), threading.Event()

    def __call__(self, *given):
        self.entered.set()
        assert self.open.wait(SOON)
        return self.function(*given)


def test_a_row_is_cancelled_while_it_waits_while_it_begins_and_while_it_is_written(backbone):
    first, second, third = mixed(3, seed=5)
    endless = Generation(10**6)
    gate = Gate(backbone.begin)
    heard = threading.Event()
    with (
        patch.object(backbone, "stops", frozenset()),
        patch.object(backbone, "begin", gate),
        patch.object(backbone, "max_tokens", 10**9),
        LiveEngine(backbone, rows=1) as engine,
    ):
        starting = engine.submit(first, endless)
        assert gate.entered.wait(SOON)
        waiting, kept = engine.submit(second, endless), engine.submit(third, Generation(3))
        assert (engine.running, engine.waiting) == (1, 2)
        starting.cancel()
        waiting.cancel()
        gate.open.set()
        for ticket in (starting, waiting):
            with pytest.raises(Cancelled):
                ticket.result(SOON)
        assert kept.result(SOON).tokens == 3
        writing = engine.submit(first, endless, heard=lambda written: heard.set())
        assert heard.wait(SOON) and not writing.done
        writing.cancel()
        before = time.monotonic()
        with pytest.raises(Cancelled):
            writing.result(SOON)
        assert time.monotonic() - before < 1.0
        late = engine.submit(first, endless, deadline=time.monotonic() + 0.05)
        with pytest.raises(Expired):
            late.result(SOON)
        given_up = threading.Event()
        timer = threading.Timer(0.05, given_up.set)
        timer.start()
        with pytest.raises(Cancelled):
            engine.session(cancelled=given_up).answers([first, second, third], endless)
        for work in (
            lambda session: session.likelihoods([first], [["a"]]),
            lambda session: session.answers([first], endless),
        ):
            with pytest.raises(Expired):
                work(engine.session(deadline=time.monotonic()))
        assert engine.submit(third, Generation(3)).result(SOON).tokens == 3
        assert (engine.running, engine.waiting) == (0, 0)


def test_the_line_is_bounded_and_a_session_waits_for_room(backbone):
    requests = mixed(6, seed=6)
    gate = Gate(backbone.begin)
    with patch.object(backbone, "begin", gate), LiveEngine(backbone, rows=1, waiting=2) as engine:
        tickets = [engine.submit(requests[0], Generation(3))]
        assert gate.entered.wait(SOON)
        tickets += [engine.submit(request, Generation(3)) for request in requests[1:3]]
        with pytest.raises(Full):
            engine.submit(requests[3], Generation(3))
        with pytest.raises(Full):
            engine.session().answers(requests, Generation(3))
        gate.open.set()
        found = [told(ticket.result(SOON)) for ticket in tickets]
        found += [told(answer) for answer in engine.session().answers(requests[3:], Generation(3))]
    assert found == [told(alone(backbone, request, Generation(3))) for request in requests]


def test_closing_finishes_what_was_taken_and_takes_nothing_new(backbone):
    request = mixed(1)[0]
    gate, began = Gate(backbone.begin), []
    with patch.object(backbone, "begin", gate), LiveEngine(backbone) as engine:
        ticket, session = engine.submit(request, Generation(3)), engine.session()
        assert gate.entered.wait(SOON)
        closing = threading.Thread(target=lambda: engine.close(drain=SOON))
        closing.start()
        while not engine._closing:
            time.sleep(0.001)
        with pytest.raises(Closed):
            engine.submit(request, Generation(3))
        going = threading.Thread(target=lambda: began.extend(session.answers([request], Generation(3))))
        going.start()  # what began may go on
        while engine.waiting < 1:
            time.sleep(0.001)
        gate.open.set()
        for thread in (closing, going):
            thread.join(SOON)
        assert told(ticket.result(0)) == told(began[0]) and not engine.alive
        for refused in (lambda: session.answers([request], Generation(3)), lambda: engine.call(list)):
            with pytest.raises(Closed):
                refused()


def test_what_is_not_finished_in_time_is_cancelled(backbone):
    with patch.object(backbone, "stops", frozenset()):
        engine = LiveEngine(backbone, rows=1)
        tickets = [engine.submit(request, Generation(10**6)) for request in mixed(2)]
        engine.close(drain=0.1)
    for ticket in tickets:
        with pytest.raises(Cancelled):
            ticket.result(0)


def test_what_fails_fails_alone(backbone):
    """A prompt of the wrong width, a constraint that breaks, a listener that breaks, a step that breaks."""
    good, *_ = requests = mixed(4, seed=8)
    expected = [told(alone(backbone, request, Generation(6))) for request in requests]
    narrow = replace(good, vectors=torch.zeros(3, 7), placement=Placement.suffix)

    class Broken:
        complete, ended, held = 0, False, True

        def allows(self, token):
            raise ArithmeticError("a broken constraint")

        fill = advance = allows

    def unmade():
        raise LookupError("no constraint")

    def deaf(written):
        if written.tokens == 2:
            raise BufferError("a broken listener")

    with LiveEngine(backbone) as engine:
        tickets = [engine.submit(request, Generation(6)) for request in requests]
        bad = [
            (engine.submit(narrow, Generation(6)), RuntimeError),
            (engine.submit(replace(good, constraint=Broken), Generation(6)), ArithmeticError),
            (engine.submit(good, Generation(6), heard=deaf), BufferError),
        ]
        with pytest.raises(LookupError):
            engine.submit(replace(good, constraint=unmade), Generation(6))
        for ticket, kind in bad:
            with pytest.raises(kind):
                ticket.result(SOON)
        assert [told(ticket.result(SOON)) for ticket in tickets] == expected
        step, fatal = backbone.step, replace(good, row=replace(good.row, context=(9,) * 97), vectors=None)

        def breaking(decoding, tokens):
            if any(line.trunk.shape[3] == 98 for line in decoding.lines):
                decoding.advance = fail  # by now states are written, which must not harm the rows that go on
            return step(decoding, tokens)

        def fail():
            raise FloatingPointError("a broken step")

        with patch.object(backbone, "step", breaking):
            tickets = [engine.submit(request, Generation(6)) for request in (*requests, fatal)]
            assert [told(ticket.result(SOON)) for ticket in tickets[:-1]] == expected
            with pytest.raises(FloatingPointError):
                tickets[-1].result(SOON)
        assert engine.alive


def test_an_engine_that_dies_says_so_to_everybody(backbone):
    request = mixed(1)[0]
    submitted = threading.Event()

    def broken(decoding, tokens):
        assert submitted.wait(SOON)  # who comes later is refused at once, below
        raise torch.AcceleratorError("the device is gone")

    with patch.object(backbone, "step", broken), LiveEngine(backbone) as engine:
        tickets = [engine.submit(request, Generation(5)) for _ in range(3)]
        submitted.set()
        for ticket in tickets:
            with pytest.raises(Died) as found:
                ticket.result(SOON)
            assert isinstance(found.value.__cause__, torch.AcceleratorError)
        engine._thread.join(SOON)
        assert not engine.alive
        with pytest.raises(Died):
            engine.submit(request, Generation(5))


def test_work_is_called_between_steps_in_the_one_thread(backbone):
    with LiveEngine(backbone) as engine:
        names = [engine.call(lambda: threading.current_thread().name) for _ in range(2)]
        assert names == ["live engine"] * 2
        assert engine.call(lambda: engine.call(lambda: 5)) == 5
        with pytest.raises(ZeroDivisionError):
            engine.call(lambda: 1 // 0)
        assert engine.alive


def test_one_row_does_not_wait_behind_a_hundred_of_another(backbone):
    request = mixed(1)[0]
    gate = Gate(backbone.begin)
    ended = []
    with patch.object(backbone, "begin", gate), LiveEngine(backbone, rows=1) as engine:
        note = lambda name: lambda written: ended.append(name) if written.done else None  # noqa: E731
        first = engine.submit(request, Generation(2))
        assert gate.entered.wait(SOON)
        many = threading.Thread(
            target=lambda: engine.session().answers([request] * 20, Generation(4), watch=lambda n: ended.append("many"))
        )
        many.start()
        while engine.waiting < 1:
            time.sleep(0.01)
        one = engine.submit(request, Generation(4), heard=note("one"))
        gate.open.set()
        many.join(SOON)
        assert first.done and one.done
    assert ended.index("one") <= 3
