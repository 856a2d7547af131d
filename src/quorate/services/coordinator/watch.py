"""What a coordinator measures of itself: rates and latencies over a bounded window."""

from collections import deque

from quorate.base.limits import MS_NS, SECOND_NS
from quorate.numerics import percentile

WINDOW_TASKS = 1_024
RATE_WINDOW_NS = 10 * SECOND_NS


class Watch:
    """Feeds on settlements; a value that was not measured is None."""

    def __init__(self) -> None:
        self.started_ns: int | None = None
        self._settled: deque[int] = deque(maxlen=65_536)
        self._latencies: deque[int] = deque(maxlen=WINDOW_TASKS)

    def settled(self, latency_ns: int, now: int) -> None:
        self._latencies.append(latency_ns)
        self._settled.append(now)

    def rate(self, now: int) -> float:
        """Tasks settled per second over the last ten seconds."""
        while self._settled and self._settled[0] < now - RATE_WINDOW_NS:
            self._settled.popleft()
        if not self._settled:
            return 0.0
        span = max(SECOND_NS, now - self._settled[0])
        return round(len(self._settled) * SECOND_NS / span, 2)

    def percentile_ms(self, percent: int) -> float | None:
        """Latency from submission to settlement, milliseconds."""
        measured = percentile(list(self._latencies), percent)
        return None if measured is None else round(measured / MS_NS, 2)

    def uptime_ms(self, now: int) -> int:
        if self.started_ns is None:
            self.started_ns = now
        return (now - self.started_ns) // MS_NS
