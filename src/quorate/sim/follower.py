"""Follows the event stream across crashes, as a subscriber does, and keeps what it was shown.

Invariant of what it follows: each position once, in order; nothing shown is ever taken back.
"""

import asyncio
from typing import Any

from quorate.base.codec import unpack
from quorate.base.errors import DATABASE, QuorateError
from quorate.base.ids import hash_id
from quorate.model import Event, Id, JobCancelled, JobSubmitted, Sealed, TaskSettled
from quorate.sim.process import SimProcess
from quorate.sim.trace import Trace

AGAIN_S = 0.1


class Follower:
    """`seen[i]` is the id of the event that was shown at position i + 1."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.seen: list[Id] = []
        self.gaps: list[str] = []
        self.tasks = 0
        self._open: dict[bytes, set[bytes]] = {}  # job -> tasks that have not ended

    def attach(self, driver: Any, process: SimProcess | None) -> None:
        """Follow a new incarnation of the coordinator from where the last one was left."""
        if process is not None:
            process.spawn(self._follow(driver), "follow")

    def outstanding(self) -> int:
        """Tasks shown as submitted and not as ended."""
        return sum(len(tasks) for tasks in self._open.values())

    async def _follow(self, driver: Any) -> None:
        while True:
            try:
                async for batch in driver.feed.follow(len(self.seen)):
                    for published in batch:
                        self._take(published.position, published.sealed)
            except QuorateError as error:
                if error.code != DATABASE:
                    raise
                self._trace.add("follower", "is told to come again")
                await asyncio.sleep(AGAIN_S)

    def _take(self, position: int, sealed: Sealed) -> None:
        if position != len(self.seen) + 1:
            self.gaps.append(f"position {position} was shown after {len(self.seen)}")
            return
        event = unpack(sealed.head, Event)
        self.seen.append(hash_id(sealed.head))
        self._trace.add("follower", f"{position} {event.kind}")
        if event.kind == "job.submitted":
            submitted = unpack(sealed.body or b"", JobSubmitted)
            self.tasks += len(submitted.tasks)
            self._open.setdefault(submitted.job, set()).update(task.id for task in submitted.tasks)
        elif event.kind == "task.settled":
            settled = unpack(sealed.body or b"", TaskSettled)
            self._open.get(settled.job, set()).discard(settled.task)
        elif event.kind == "job.cancelled":
            cancelled = unpack(sealed.body or b"", JobCancelled)
            gone = {cancelled.task} if cancelled.task else set(self._open.get(cancelled.job, set()))
            self._open.get(cancelled.job, set()).difference_update(gone)
