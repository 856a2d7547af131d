"""Percentiles of a bounded window of durations. Integers in, integers out, so that reports replay.

Knows numbers only: no clock, no names. Nearest-rank percentiles (NIST handbook 1.3.5.6, without
interpolation): the answer is always a value that was observed.
"""

from collections import deque
from collections.abc import Sequence

from quorate.base.errors import require


def percentile(ordered: Sequence[int], percent: int) -> int | None:
    """The nearest-rank percentile (0-100) of values in ascending order; None when there are none."""
    require(0 <= percent <= 100, f"a percentile of {percent}")
    if not ordered:
        return None
    rank = -(-percent * len(ordered) // 100)
    return ordered[max(rank, 1) - 1]


class Window:
    """The last `size` values. Adding is O(1); a percentile sorts the window, which is what a scrape costs."""

    __slots__ = ("_values", "count", "total")

    def __init__(self, size: int) -> None:
        require(size >= 1, f"a window of {size} values")
        self._values: deque[int] = deque(maxlen=size)
        self.count = 0
        self.total = 0

    def add(self, value: int) -> None:
        """Take note of a value; the oldest leaves when the window is full. `count` and `total` are of all ever."""
        self._values.append(value)
        self.count += 1
        self.total += value

    def __len__(self) -> int:
        return len(self._values)

    def percentiles(self, *percents: int) -> tuple[int | None, ...]:
        """The percentiles asked for, of one sorted copy of the window."""
        ordered = sorted(self._values)
        return tuple(percentile(ordered, percent) for percent in percents)
