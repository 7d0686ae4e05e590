from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.serving.keys import Caller
from clinprompt.serving.quotas import WINDOW, Quotas
from clinprompt.serving.refused import Refused

STEPS = st.lists(
    st.tuples(st.one_of(st.just(0.0), st.floats(0, 5), st.floats(0, 90)), st.integers(0, 60)), min_size=1, max_size=120
)


def passes(quotas, caller, now, characters, requests=1):
    try:
        quotas.take(caller, now=now, requests=requests, characters=characters)
    except Refused as refused:
        return refused
    return None


@given(steps=STEPS, requests=st.integers(1, 12), characters=st.integers(1, 100), begin=st.floats(0, 1e9))
def test_no_window_ever_holds_more_than_the_quota(steps, requests, characters, begin):
    quotas, caller = Quotas(), Caller("k", requests=requests, characters=characters)
    now, taken = begin, []
    for pause, amount in steps:
        now += pause
        if passes(quotas, caller, now, amount) is None:
            taken.append((now, amount))
    for begin, _ in taken:  # every window is contained in one that begins with a request that passed
        inside = [amount for time, amount in taken if 0 <= time - begin < WINDOW]
        assert len(inside) <= requests and sum(inside) <= characters


@given(steps=STEPS, requests=st.integers(1, 12), characters=st.integers(60, 100), begin=st.floats(0, 1e9))
def test_who_waits_as_long_as_told_is_let_in(steps, requests, characters, begin):
    quotas, caller = Quotas(), Caller("k", requests=requests, characters=characters)
    now = begin
    for pause, amount in steps:
        now += pause
        refused = passes(quotas, caller, now, amount)
        if refused is not None:
            assert refused.status == 429 and 1 <= refused.retry_after <= WINDOW + 1
            now += refused.retry_after
            assert passes(quotas, caller, now, amount) is None


@given(steps=STEPS, requests=st.integers(1, 12))
def test_nobody_waits_much_longer_than_needed(steps, requests):
    quotas, caller = Quotas(), Caller("k", requests=requests)
    now, taken = 0.0, []
    for pause, _ in steps:
        now += pause
        # Entries of one second are given back together: refused is only who would be within a slot of the quota.
        recent = [time for time in taken if now - time < WINDOW + WINDOW / 60]
        if passes(quotas, caller, now, 0) is None:
            taken.append(now)
        else:
            assert len(recent) >= requests


def test_a_full_quota_is_there_at_once_and_again_after_a_minute():
    quotas, caller = Quotas(), Caller("k", requests=3)
    assert [passes(quotas, caller, 100.0, 0) is None for _ in range(4)] == [True, True, True, False]
    assert passes(quotas, caller, 159.9, 0).retry_after == 1
    assert [passes(quotas, caller, 160.0, 0) is None for _ in range(4)] == [True, True, True, False]


def test_what_is_refused_is_not_counted_and_both_quotas_go_together():
    quotas, caller = Quotas(), Caller("k", requests=2, characters=10)
    assert passes(quotas, caller, 0, 8) is None
    for _ in range(5):
        refused = passes(quotas, caller, 0, 3)
        assert refused.status == 429 and "10 characters" in refused.message
    assert passes(quotas, caller, 0, 2) is None  # the five did not use up the requests
    assert "2 requests" in passes(quotas, caller, 0, 0).message
    assert passes(quotas, caller, 0, 0, requests=0) is None


def test_what_can_never_pass_is_told_so():
    quotas, caller = Quotas(), Caller("k", characters=10)
    refused = passes(quotas, caller, 0, 11)
    assert (refused.status, refused.retry_after, refused.code) == (413, None, "request_exceeds_quota")


def test_callers_have_quotas_of_their_own_and_no_quota_is_no_limit():
    quotas = Quotas()
    one, two, free = Caller("a", requests=1), Caller("b", requests=1), Caller("c")
    assert passes(quotas, one, 0, 0) is None and passes(quotas, two, 0, 0) is None
    assert passes(quotas, one, 0, 0).status == 429
    assert all(passes(quotas, free, 0, 10**9) is None for _ in range(1000))


def test_a_quota_that_is_changed_counts_at_once():
    quotas = Quotas()
    assert passes(quotas, Caller("k", requests=1), 0, 0) is None
    assert passes(quotas, Caller("k", requests=2), 0, 0) is None
    assert passes(quotas, Caller("k", requests=1), 59, 0).status == 429


@pytest.mark.parametrize("count", [20_000])
def test_memory_does_not_grow_with_the_load(count):
    quotas, caller = Quotas(), Caller("k", requests=10**9)
    for n in range(count):
        quotas.take(caller, now=n * WINDOW / count)
    [kept] = [bucket for bucket in quotas._buckets.values() if bucket.used]
    assert len(kept._taken) <= 61 and kept.used == count
