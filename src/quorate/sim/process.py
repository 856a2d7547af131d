"""A process of the simulated world: an owner of tasks that can be killed, and its clock and dice.

Invariants: P1 after `kill` nothing that the process does reaches disk, wire or client: every port
asks `check` first. P2 what a killed process knew dies with it; only its disk stays.
"""

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any

from quorate.base.dice import Dice
from quorate.base.limits import MS_NS
from quorate.sim.loop import EPOCH_NS, OWNER, Owner, VirtualLoop

KILL_ROUNDS = 50


class SimProcess(Owner):
    """One incarnation of a coordinator or node."""

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.loop = loop
        self.name = name
        self.alive = True
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def adopt(self, task: "asyncio.Task[Any]") -> None:
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    def spawn(self, coro: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """Start a task that belongs to this process, and with it all that it will start."""
        context = copy_context()
        context.run(OWNER.set, self)
        return context.run(self.loop.create_task, coro, name=f"{self.name}/{name}")

    def check(self) -> None:
        """Raise `CancelledError` in code of a killed process (P1)."""
        if not self.alive:
            raise asyncio.CancelledError(f"{self.name} was killed")

    def kill(self) -> None:
        """End it at this instant. Its tasks unwind afterwards, cut off from the world."""
        self.alive = False
        for task in list(self._tasks):
            task.cancel()

    async def buried(self) -> None:
        """Return once no task of a killed process is left. Code that catches its cancellation is cancelled again."""
        for _ in range(KILL_ROUNDS):
            if not self._tasks:
                return
            for task in list(self._tasks):
                task.cancel()
            await asyncio.sleep(0)
        raise RuntimeError(f"tasks of {self.name} outlive it: {[task.get_name() for task in self._tasks]}")

    @property
    def tasks(self) -> int:
        """How many tasks it has: a checker bounds it."""
        return len(self._tasks)


class SimClock:
    """`ports.Clock` of one machine: virtual time with a skew, a drift (parts per million) and jumps."""

    def __init__(self, loop: VirtualLoop, skew_ms: int = 0, drift_ppm: int = 0) -> None:
        self._loop = loop
        self._skew_ns = skew_ms * MS_NS
        self._drift_ppm = drift_ppm

    def now(self) -> int:
        since = self._loop.now_ns
        return EPOCH_NS + since + since * self._drift_ppm // 1_000_000 + self._skew_ns

    def jump(self, by_ms: int) -> None:
        """Step the wall clock, as an administrator or a bad time server would."""
        self._skew_ns += by_ms * MS_NS


class SimEntropy:
    """`ports.Entropy` from dice: predictable on purpose."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice

    def bytes(self, size: int) -> bytes:
        return self._dice.randbytes(size)
