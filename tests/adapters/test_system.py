"""The clock never falls and never stands still for long; the entropy is the system's."""

import time

from hypothesis import given
from hypothesis import strategies as st

from quorate.adapters.system import SystemClock, SystemEntropy
from quorate.ports import Clock, Entropy


class Sources:
    """A wall clock that is set, and a monotonic one that goes on."""

    def __init__(self) -> None:
        self.wall = 1_000_000
        self.tick = 50

    def passes(self, elapsed: int, set_by: int = 0) -> None:
        self.tick += elapsed
        self.wall += elapsed + set_by

    def clock(self) -> SystemClock:
        return SystemClock(lambda: self.wall, lambda: self.tick)


def test_it_is_the_wall_clock() -> None:
    clock: Clock = SystemClock()
    before = time.time_ns()
    assert before <= clock.now() <= time.time_ns() + 1_000


def test_set_forward_it_follows() -> None:
    sources = Sources()
    clock = sources.clock()
    sources.passes(10, set_by=5000)
    assert clock.now() == sources.wall


def test_set_back_it_goes_on_at_half_speed_until_the_wall_has_caught_up() -> None:
    sources = Sources()
    clock = sources.clock()
    start = clock.now()
    sources.passes(0, set_by=-1000)
    assert clock.now() == start
    sources.passes(1000)
    assert clock.now() == start + 500
    sources.passes(1000)
    assert clock.now() == start + 1000 == sources.wall
    sources.passes(1000)
    assert clock.now() == start + 2000 == sources.wall


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(-2000, 2000)), max_size=50))
def test_it_never_falls_and_never_stands_still(steps: list[tuple[int, int]]) -> None:
    sources = Sources()
    clock = sources.clock()
    last = clock.now()
    for elapsed, set_by in steps:
        sources.passes(elapsed, set_by)
        now = clock.now()
        assert now >= last + elapsed // 2
        assert now >= sources.wall
        last = now


def test_entropy_has_the_size_asked_for_and_does_not_repeat() -> None:
    entropy: Entropy = SystemEntropy()
    assert [len(entropy.bytes(size)) for size in (0, 1, 10, 64)] == [0, 1, 10, 64]
    assert len({entropy.bytes(16) for _ in range(100)}) == 100
