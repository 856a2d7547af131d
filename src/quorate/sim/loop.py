"""An asyncio event loop whose time is virtual: when nothing is ready it jumps to the next timer.

Knows no real clock, selector, socket, thread or executor. Whatever order the loop chooses comes
from its dice, so a run is a function of its seed.
Invariants: L1 time never falls, and moves only while nothing is ready. L2 a run that cannot go on,
or goes on for too long, ends with `Hang`, which names what waits. L3 sets of tasks and futures
iterate in an order that depends on the run alone (their hash is a serial number, not an address).
"""

import asyncio
import heapq
from asyncio import base_events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from typing import Any, TypeVar, TypeVarTuple, Unpack

from quorate.base.dice import Dice
from quorate.base.limits import SECOND_NS

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH_NS = 1_750_000_000 * SECOND_NS
"""What a wall clock without skew shows at virtual time 0."""

ABANDON_ROUNDS = 50
STILL_STEPS_MAX = 20_000
"""Callbacks at one virtual instant; whoever needs more is in a loop that real time would not end either."""

OWNER: ContextVar["Owner | None"] = ContextVar("owner", default=None)
"""The simulated process whose code runs; tasks inherit it."""


class Owner:
    """Whatever owns tasks: told of each one that is started within its context."""

    def adopt(self, task: "asyncio.Task[Any]") -> None:
        raise NotImplementedError


class Hang(RuntimeError):
    """Nothing can go on, or too much did. The message names the pending tasks."""


class SimTask(asyncio.Task[T]):
    """A task with a serial number for a hash (L3)."""

    serial: int

    def __new__(cls, coro: Coroutine[Any, Any, T], *, loop: "VirtualLoop", **_: Any) -> "SimTask[T]":
        self = super().__new__(cls)
        self.serial = loop.next_serial()  # before __init__, which already puts the task into a set
        return self

    def __hash__(self) -> int:
        return self.serial


class SimFuture(asyncio.Future[T]):
    """A future with a serial number for a hash (L3)."""

    def __init__(self, loop: "VirtualLoop") -> None:
        super().__init__(loop=loop)
        self.serial = loop.next_serial()

    def __hash__(self) -> int:
        return self.serial


class VirtualLoop(base_events.BaseEventLoop):
    """`dice`: shuffle callbacks that are ready at the same time; None keeps asyncio's order."""

    _ready: "deque[asyncio.Handle]"
    _scheduled: "list[asyncio.TimerHandle]"

    def __init__(self, dice: Dice | None = None) -> None:
        super().__init__()
        self.set_debug(False)
        self.set_task_factory(_make_task)
        self.set_exception_handler(_keep_error)
        self.dice = dice
        self.steps = 0
        self.errors: list[str] = []
        self._now = 0.0
        self._serial = 0
        self._last_second = float("inf")
        self._last_step = 1 << 62
        self._still_since = 0

    def time(self) -> float:
        """Virtual seconds since the run began."""
        return self._now

    @property
    def now_ns(self) -> int:
        """Virtual nanoseconds since the run began."""
        return round(self._now * SECOND_NS)

    def next_serial(self) -> int:
        self._serial += 1
        return self._serial

    def create_future(self) -> "asyncio.Future[Any]":
        return SimFuture(self)

    def run(self, main: Coroutine[Any, Any, T], virtual_s: float, steps: int) -> T:
        """`run_until_complete` within so many more virtual seconds and callbacks. Raises `Hang` beyond."""
        self._last_second, self._last_step = self._now + virtual_s, self.steps + steps
        self._still_since = self.steps
        return self.run_until_complete(main)

    def pending(self) -> list[str]:
        """Names of the tasks that are not done, in the order in which they were started."""
        tasks = sorted(asyncio.all_tasks(self), key=hash)
        return [f"{task.get_name()} ({_where(task)})" for task in tasks]

    def abandon(self) -> None:
        """Cancel whatever is left, again and again for what clings to life, and close."""
        for _ in range(ABANDON_ROUNDS):
            left = [task for task in asyncio.all_tasks(self) if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            self._last_second, self._last_step = float("inf"), self.steps + 1_000_000
            self._still_since = self.steps
            self.run_until_complete(_one_turn())
        self.close()

    def _run_once(self) -> None:
        """One turn: move time if nothing is ready, collect due timers, run what is ready."""
        ready, timers = self._ready, self._scheduled
        while timers and timers[0].cancelled():
            heapq.heappop(timers)._scheduled = False  # type: ignore[attr-defined]
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            if not timers:
                raise Hang(f"nothing left to happen; pending: {self.pending()}")
            if timers[0].when() > self._now:
                self._now, self._still_since = timers[0].when(), self.steps
            if self._now > self._last_second:
                raise Hang(f"virtual time is up at {self._now:.3f} s; pending: {self.pending()}")
        while timers and timers[0].when() <= self._now:
            due = heapq.heappop(timers)
            due._scheduled = False  # type: ignore[attr-defined]
            ready.append(due)
        batch = list(ready)
        ready.clear()
        if self.dice is not None and len(batch) > 1:
            self.dice.shuffle(batch)
        for handle in batch:
            if not handle.cancelled():
                handle._run()
        self.steps += len(batch)
        if self.steps - self._still_since > STILL_STEPS_MAX:
            raise Hang(f"time stands still at {self._now:.3f} s, something is busy for ever; pending: {self.pending()}")
        if self.steps > self._last_step:
            raise Hang(f"{self.steps} steps without an end; pending: {self.pending()}")

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """There is one thread: the same as `call_soon`. asyncio's own clean-up calls it."""
        return self.call_soon(callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """asyncio counts cancelled timers here; this loop drops them when their time comes."""

    def run_in_executor(self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts) -> "asyncio.Future[T]":
        """There are no threads in a simulation. Always raises."""
        raise NotImplementedError(f"a thread was asked for inside the simulation: {func}")


async def _one_turn() -> None:
    await asyncio.sleep(0)


def _make_task(loop: Any, coro: Any, **options: Any) -> "asyncio.Task[Any]":
    task: asyncio.Task[Any] = SimTask(coro, loop=loop, **options)
    owner = OWNER.get()
    if owner is not None:
        owner.adopt(task)
    return task


def _keep_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What asyncio would have logged: a checker reads it at the end of the run."""
    assert isinstance(loop, VirtualLoop)
    loop.errors.append(f"{context.get('message', '')}: {context.get('exception', '')!r}")


def _where(task: "asyncio.Task[Any]") -> str:
    """The innermost function that a pending task waits in."""
    coro: Any = task.get_coro()
    name = getattr(coro, "__qualname__", "?")
    while (inner := getattr(coro, "cr_await", None)) is not None:
        coro = inner
        name = getattr(coro, "__qualname__", name)
    return str(name)
