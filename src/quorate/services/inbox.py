"""Events waiting for the machine: bounded, taken in batches, in order of arrival."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

E = TypeVar("E")


class Inbox(Generic[E]):
    """A bounded queue. `put` waits while it is full (backpressure); `push` is for what must not wait."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[E] = deque()
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def __len__(self) -> int:
        return len(self._items)

    def push(self, item: E) -> None:
        """Add without waiting; only for what is bounded elsewhere."""
        self._items.append(item)
        self._filled.set()
        if len(self._items) >= self._limit:
            self._room.clear()

    async def put(self, item: E) -> None:
        while len(self._items) >= self._limit:
            await self._room.wait()
        self.push(item)

    async def take(self, most: int, timeout_s: float | None) -> list[E]:
        """What is there, at most `most`; waits for the first, and returns nothing after `timeout_s`."""
        if not self._items:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._filled.wait()
            except TimeoutError:
                return []
        taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
        if not self._items:
            self._filled.clear()
        if len(self._items) < self._limit:
            self._room.set()
        return taken

    def wake(self) -> None:
        """Make a waiting `take` return."""
        self._filled.set()
