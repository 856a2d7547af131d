"""Counters: a sum of increments, each counted once. What was let go of history stays in `settled`.

Laws: C1 the total is `settled` plus the retained increments. C2 order does not matter (addition).
"""


class Counter:
    """One counter. `settled` is the part that can no longer be taken back in memory."""

    __slots__ = ("settled", "total", "trimmed")

    def __init__(self, settled: int = 0, trimmed: bool = False) -> None:
        self.settled = settled
        self.trimmed = trimmed
        self.total = settled

    def count(self, by: int) -> None:
        """One more increment."""
        self.total += by

    def settle(self, by: int) -> None:
        """An increment that is in the total is let go of."""
        self.settled += by
        self.trimmed = True
