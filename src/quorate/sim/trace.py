"""What happened, in order: time, actor, what. Bounded; its digest covers also what was dropped.

Invariant: T1 two runs of one seed give the same digest.
"""

from collections import deque

from blake3 import blake3

from quorate.sim.loop import VirtualLoop

TRACE_LINES_KEPT = 20_000


class Trace:
    """Lines of text. `digest` is over every line ever added."""

    def __init__(self, loop: VirtualLoop, keep: int = TRACE_LINES_KEPT) -> None:
        self._loop = loop
        self._lines: deque[str] = deque(maxlen=keep)
        self._hash = blake3()
        self.count = 0

    def add(self, actor: str, what: str) -> None:
        line = f"{self._loop.now_ns / 1e9:12.6f} {actor:<12} {what}"
        self._lines.append(line)
        self._hash.update(line.encode() + b"\n")
        self.count += 1

    def note(self, data: bytes) -> None:
        """Something too frequent for a line: it counts for the digest."""
        self._hash.update(data)

    def digest(self) -> str:
        return str(self._hash.hexdigest())

    def lines(self) -> list[str]:
        """The newest lines, oldest first."""
        return list(self._lines)
