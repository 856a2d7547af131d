"""The hybrid clock rises whatever the wall clock does, and does not follow a liar into the future."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.base.errors import INVALID, ProtocolError
from quorate.base.hlc import COUNTER_BITS, HybridClock, check_drift, hlc_of, millis_of
from quorate.base.limits import CLOCK_DRIFT_MAX_MS, MS_NS

NOON_NS = 1_750_000_000_000 * MS_NS
WALL = st.integers(NOON_NS - 10**12, NOON_NS + 10**12)
STEPS = st.lists(st.tuples(st.booleans(), WALL, st.integers(-(10**6), CLOCK_DRIFT_MAX_MS)), max_size=60)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(STEPS)
def test_every_tick_is_after_everything_ticked_or_observed(steps: list[tuple[bool, int, int]]) -> None:
    clock = HybridClock()
    highest = 0
    for remote, now, ahead_ms in steps:  # the wall clock jumps as it likes
        if remote:
            value = hlc_of(now + ahead_ms * MS_NS) | 7
            clock.observe(value, now)
            highest = max(highest, value)
        else:
            ticked = clock.tick(now)
            assert ticked > highest
            assert millis_of(ticked) >= now // MS_NS
            highest = ticked
        assert clock.last == highest


@settings(derandomize=True, deadline=None, max_examples=200)
@given(WALL, st.integers(1, 10**9))
def test_a_clock_too_far_ahead_is_refused_and_never_adopted(now: int, beyond: int) -> None:
    clock = HybridClock(hlc_of(now))
    with pytest.raises(ProtocolError) as refused:
        clock.observe(hlc_of(now + (CLOCK_DRIFT_MAX_MS + beyond) * MS_NS), now)
    assert refused.value.code == INVALID
    assert clock.last == hlc_of(now)


def test_the_last_millisecond_allowed_is_taken() -> None:
    check_drift(hlc_of(NOON_NS + CLOCK_DRIFT_MAX_MS * MS_NS) | 0xFFFF, NOON_NS)
    with pytest.raises(ProtocolError, match=f"{CLOCK_DRIFT_MAX_MS + 1} ms ahead"):
        check_drift(hlc_of(NOON_NS + (CLOCK_DRIFT_MAX_MS + 1) * MS_NS), NOON_NS)


def test_an_old_clock_is_welcome_and_moves_nothing() -> None:
    clock = HybridClock(hlc_of(NOON_NS))
    clock.observe(3, NOON_NS)
    assert clock.last == hlc_of(NOON_NS)


def test_the_layout_is_milliseconds_above_a_counter() -> None:
    assert hlc_of(NOON_NS) == 1_750_000_000_000 << 16
    assert hlc_of(NOON_NS + MS_NS - 1) == hlc_of(NOON_NS)
    assert millis_of(hlc_of(NOON_NS) + 5) == 1_750_000_000_000


def test_a_counter_that_overflows_goes_on_into_the_next_millisecond() -> None:
    clock = HybridClock(hlc_of(NOON_NS) | ((1 << COUNTER_BITS) - 1))
    assert clock.tick(NOON_NS) == hlc_of(NOON_NS + MS_NS)


def test_a_restarted_clock_goes_on_from_what_it_saved() -> None:
    first = HybridClock()
    saved = first.tick(NOON_NS)
    assert HybridClock(saved).tick(NOON_NS - 10**9) == saved + 1
