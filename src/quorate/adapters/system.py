"""The machine's clock and dice.

Knows the operating system's sources; nothing of who asks. Invariants: C1 `now` never falls. C2 `now`
never stands still for long: a wall clock set back slows it to half speed until the wall has caught up,
so that timeouts still fire and no two readings change places.
"""

import os
import time
from collections.abc import Callable
from threading import Lock


class SystemClock:
    """The wall clock, made monotonic. Safe in threads."""

    def __init__(
        self, wall: Callable[[], int] = time.time_ns, monotonic: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._lock = Lock()
        self._last = wall()
        self._last_tick = monotonic()

    def now(self) -> int:
        """Nanoseconds since the epoch, never less than before."""
        with self._lock:
            tick = self._monotonic()
            at_least = self._last + (tick - self._last_tick) // 2
            self._last = max(self._wall(), at_least)
            self._last_tick = tick
            return self._last


class SystemEntropy:
    """The operating system's random source."""

    def bytes(self, size: int) -> bytes:
        """`size` unpredictable bytes."""
        return os.urandom(size)
