"""Hybrid logical clock: milliseconds << 16 | counter, in one integer (Kulkarni et al., 2014).

Knows no clock: the wall clock comes in as nanoseconds. Invariants: H1 `tick` is strictly greater
than everything ticked or observed before. H2 a remote value too far ahead is refused, never adopted.
"""

from quorate.base.errors import INVALID, demand
from quorate.base.limits import CLOCK_DRIFT_MAX_MS

COUNTER_BITS = 16


def hlc_of(now_ns: int) -> int:
    """The smallest clock value at a wall clock in nanoseconds."""
    return (now_ns // 1_000_000) << COUNTER_BITS


def millis_of(hlc: int) -> int:
    """The wall-clock milliseconds inside a clock value."""
    return hlc >> COUNTER_BITS


def check_drift(hlc: int, now_ns: int) -> None:
    """Raise 1002 if `hlc` is further ahead of the wall clock than `CLOCK_DRIFT_MAX_MS`."""
    ahead = millis_of(hlc) - now_ns // 1_000_000
    demand(ahead <= CLOCK_DRIFT_MAX_MS, f"clock {ahead} ms ahead, at most {CLOCK_DRIFT_MAX_MS} allowed", INVALID)


class HybridClock:
    """One actor's clock."""

    __slots__ = ("last",)

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def tick(self, now_ns: int) -> int:
        """The next value: after everything seen, and not before the wall clock."""
        self.last = max(self.last + 1, hlc_of(now_ns))
        return self.last

    def observe(self, remote: int, now_ns: int) -> None:
        """Take note of a value from elsewhere. Raises 1002 if it is too far ahead."""
        check_drift(remote, now_ns)
        self.last = max(self.last, remote)
