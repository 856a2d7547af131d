"""Clients of the simulated swarm: what they ask for, and every acknowledgement that they were given.

Knows the coordinator as a client does: by asking, following and reading. A call whose answer did not
come is repeated under the same key; what was asked and what was answered is kept for the checkers.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from quorate.base.codec import unpack
from quorate.base.dice import Dice
from quorate.base.errors import CANCELLED, DATABASE, RATE_LIMITED, QuorateError
from quorate.base.ids import hash_id, uuid7
from quorate.base.limits import MS_NS
from quorate.model import Noted, Receipt, TaskSpec
from quorate.services.coordinator import Cancel, SubmitJob, Wish, Write, WriteWork, Written
from quorate.sim.executors import EXECUTOR
from quorate.sim.faults import CALM_MS, START_MS
from quorate.sim.loop import EPOCH_NS, VirtualLoop
from quorate.sim.trace import Trace

PASSING = (DATABASE, CANCELLED, RATE_LIMITED)  # codes after which a client tries again
RETRY_S = 0.15
REPLICAS = 3
QUORUM = 2
RETRIES = 8

Ask = Callable[[str, Any, str], Awaitable[bytes]]


class Unanswered(Exception):
    """The call's outcome is unknown: the coordinator went away, or did not answer in time."""


@dataclass(slots=True)
class Call:
    """One request of a client under one idempotency key (or none), and what came of it."""

    what: str
    idem: str
    command: Any
    tries: int = 0
    receipts: tuple[Receipt, ...] | None = None
    payload: bytes | None = None
    refused: int = 0
    over: bool = False  # answered; or not, where it may not be repeated
    certain: SubmitJob | None = None  # the job, where the first try was answered: later ones have other ids


class Client:
    """`ask` carries one request to whatever coordinator runs; it raises `Unanswered` or `QuorateError`."""

    def __init__(self, loop: VirtualLoop, dice: Dice, trace: Trace, name: str, ask: Ask) -> None:
        self._loop = loop
        self._dice = dice
        self._trace = trace
        self.name = name
        self._ask = ask
        self.calls: list[Call] = []
        self.contradictions: list[str] = []
        self._serial = 0

    async def run(self) -> None:
        """A few jobs, notes, changes of the work tree and cancellations, spread over the time of faults."""
        span_s = (CALM_MS - START_MS) / 1000
        steps = self._dice.randint(3, 7)
        for _ in range(steps):
            await asyncio.sleep(self._dice.uniform(0, 1.4 * span_s / steps))
            await self._dice.choices((self._job, self._note, self._work), (4, 2, 2))[0]()
        if not any(call.what == "job" for call in self.calls):
            await self._job()

    def unfinished(self) -> list[str]:
        """Calls without an answer."""
        return [f"{self.name} {call.what} {call.idem}" for call in self.calls if not call.over]

    async def _job(self) -> None:
        name = f"{self.name}-job{self._next()}"
        shape = _Shape(self._dice, name)
        call = await self._insist("job", "task:create", shape.command, f"key {name}")
        job = call.certain
        if job is not None and self._dice.chance(0.3):
            await asyncio.sleep(self._dice.uniform(0, 1.5))
            task = b"" if self._dice.chance(0.4) else self._dice.choice(job.tasks).id
            await self._insist("cancel", "task:cancel", lambda: Cancel(job.job, task, "no longer wanted"), "")

    async def _note(self) -> None:
        text = b'"%s note %d"' % (self.name.encode(), self._next())
        idem = f"key {text.decode()}" if self._dice.chance(0.7) else ""
        await self._insist("note", "event:emit", lambda: Write("note", b"", Noted("sim", text)), idem)

    async def _work(self) -> None:
        subject = uuid7(self._now(), self._dice.randbytes(10))
        title = f"{self.name} node {self._next()}"
        wishes = [Wish("create", subject, ("project", title, b""))]
        wishes += [Wish("add", subject, ("tags", self._dice.choice("abc"))) for _ in range(self._dice.randint(0, 3))]
        wishes += [Wish("count", subject, ("points", self._dice.randint(-3, 3)))]
        await self._insist("work", "task:update", lambda: WriteWork(tuple(wishes)), f"key {title}")

    async def _insist(self, what: str, right: str, make: Callable[[], Any], idem: str) -> Call:
        """Ask until there is an answer; without a key only once. Now and then ask again what was answered."""
        call = Call(what, idem, make())
        self.calls.append(call)
        while True:
            call.tries += 1
            try:
                payload = await self._ask(right, call.command, idem)
            except Unanswered:
                self._trace.add(self.name, f"no answer: {what} {idem}")
            except QuorateError as error:
                if error.code not in PASSING:
                    call.refused = error.code
                    self._trace.add(self.name, f"refused {error.code}: {what} {idem}: {error.message}")
                    break
            else:
                self._acknowledged(call, payload)
                call.over = True
                if not idem or not self._dice.chance(0.2):
                    break
            if not idem:
                break
            await asyncio.sleep(RETRY_S * (0.5 + self._dice.random()))
            call.command = make()
        call.over = True
        return call

    def _acknowledged(self, call: Call, payload: bytes) -> None:
        receipts = unpack(payload, Written).receipts
        shown = ", ".join(f"{r.position}" for r in receipts[:4])
        self._trace.add(self.name, f"acknowledged: {call.what} {call.idem} at {shown}")
        if call.payload is not None and call.payload != payload:
            self.contradictions.append(f"{call.what} {call.idem}: answered twice, differently")
        if call.tries == 1 and isinstance(call.command, SubmitJob):
            call.certain = call.command
        call.receipts, call.payload = receipts, payload

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    def _now(self) -> int:
        return EPOCH_NS + self._loop.now_ns


class _Shape:
    """A job as its client means it: ids are new with each try, all else stays."""

    def __init__(self, dice: Dice, name: str) -> None:
        self._dice = dice.fork(name)
        self.name = name
        self.total = dice.randint(1, 9)
        self.inputs = [bytes([dice.choice((0, 3, 40, 255))]) + b"%d" % dice.randrange(5) for _ in range(self.total)]
        self.deps = [sorted(dice.sample(range(i), dice.randint(0, min(i, 3)))) for i in range(self.total)]
        self.timeout_ms = dice.choice((1_000, 2_000, 4_000))

    def command(self) -> SubmitJob:
        ids = [uuid7(EPOCH_NS // MS_NS, self._dice.randbytes(10)) for _ in range(self.total)]
        tasks = tuple(
            TaskSpec(
                ids[i],
                EXECUTOR,
                hash_id(self.inputs[i]),
                tuple(ids[d] for d in self.deps[i]),
                replicas=REPLICAS,
                quorum=QUORUM,
                timeout_ms=self.timeout_ms,
                retries=RETRIES,
            )
            for i in range(self.total)
        )
        inputs = tuple((hash_id(data), data) for data in dict.fromkeys(self.inputs))
        job = uuid7(EPOCH_NS // MS_NS, self._dice.randbytes(10))
        return SubmitJob(job, self.name, tasks, tuple(f"t{i}" for i in range(self.total)), inputs)
