"""What happens by itself as time passes: leases that expire, and votes that no further node can decide.

Knows when to look, not what to do then. A heap may hold entries that are no longer true; each is checked
before it counts, so nothing needs to be removed when a lease ends early.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

Tag = TypeVar("Tag", bound=tuple[bytes, int] | tuple[bytes, int, int])
SPARE = 1024


class Timers(Generic[Tag]):
    """Moments with a tag each, earliest first. `holds` tells whether a tag still matters."""

    def __init__(self, holds: Callable[[Tag], bool]) -> None:
        self._holds = holds
        self._heap: list[tuple[int, Tag]] = []
        self._prune_at = SPARE

    def add(self, when_ns: int, tag: Tag) -> None:
        """Look at `tag` at `when_ns`."""
        heappush(self._heap, (when_ns, tag))
        if len(self._heap) > self._prune_at:
            self._heap = [entry for entry in self._heap if self._holds(entry[1])]
            heapify(self._heap)
            self._prune_at = 2 * len(self._heap) + SPARE

    def next(self) -> int | None:
        """When the next tag that still matters is due."""
        while self._heap and not self._holds(self._heap[0][1]):
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now: int, limit: int) -> list[tuple[int, Tag]]:
        """At most `limit` entries that are due and still matter, each tag once; they are gone from here."""
        due: dict[Tag, int] = {}
        while self._heap and self._heap[0][0] <= now and len(due) < limit:
            when_ns, tag = heappop(self._heap)
            if self._holds(tag):
                due.setdefault(tag, when_ns)
        return [(when_ns, tag) for tag, when_ns in due.items()]
