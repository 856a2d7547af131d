"""A node's driver: feeds the machine, runs executors, carries messages."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from quorate.base.codec import unpack
from quorate.base.errors import EXECUTION, IPC, TIMEOUT, QuorateError
from quorate.base.limits import DRAIN_MS, LINK_INBOX_MESSAGES, MS_NS, SECOND_NS
from quorate.base.signing import Signer, Verify
from quorate.model import Abort, Close, Effect, Envelope, Id, MessageType, Reply, Save, Send
from quorate.model.link import Assignment
from quorate.ports import Clock, Executor, Wire
from quorate.services.inbox import Inbox
from quorate.services.links import Arrived, LinkClosed, LinkOpened
from quorate.services.node import messages
from quorate.services.node.box import NodeBox
from quorate.services.node.machine import WITNESS_KEY, Machine
from quorate.services.node.settings import NodeSettings

MOMENT_S = 0.05
DELIVER_MS = 2_000


class Records(Protocol):
    """The little that a node keeps on disk."""

    async def save(self, key: str, record: bytes) -> None: ...

    async def load(self, key: str) -> bytes | None: ...


class Node:
    """One node. `run` returns after `stop`, or raises when the coordinator refuses it for good."""

    def __init__(
        self,
        *,
        settings: NodeSettings,
        signer: Signer,
        verify: Verify,
        wire: Wire,
        clock: Clock,
        records: Records,
        executors: Mapping[str, Executor],
        capabilities: tuple[str, ...] = (),
    ) -> None:
        self._settings, self._signer, self._verify = settings, signer, verify
        self._wire, self._clock, self._records = wire, clock, records
        self._executors = dict(executors)
        offered = [f"executor:{name}" for name in self._executors]
        offered += [c for executor in self._executors.values() for c in executor.capabilities()]
        self.capabilities = tuple(sorted({*capabilities, *offered}))
        self._inbox: Inbox[messages.Event] = Inbox(LINK_INBOX_MESSAGES)
        self._fetches: dict[int, asyncio.Future[bytes]] = {}
        self._last_call = 0
        self._runs: dict[messages.LeaseKey, asyncio.Task[None]] = {}
        self._stopping = False
        self._given_up = False
        self._refused: QuorateError | None = None
        self.finished = 0
        self.machine: Machine

    async def run(self) -> None:
        """Serve until `stop` has drained. Raises `QuorateError` when refused for good."""
        remembered = await self._records.load(WITNESS_KEY)
        self.machine = Machine(self._settings, self._signer, self._verify, self.capabilities, remembered)
        receiving = asyncio.create_task(self._receive())
        try:
            while self._refused is None and not (self._stopping and self.machine.idle) and not self._given_up:
                await self._turn()
        finally:
            receiving.cancel()
            for run in self._runs.values():
                run.cancel()
            await asyncio.gather(receiving, *self._runs.values(), return_exceptions=True)
        if self._refused is not None:
            raise self._refused

    async def stop(self, reason: str = "the node stops", drain_ms: int = DRAIN_MS) -> None:
        """Take nothing new, finish what runs; hand back what is not done after `drain_ms`."""
        self._inbox.push(messages.Drained(reason))
        self._stopping = True
        await self._until(lambda: not self.machine.running, drain_ms)
        self._inbox.push(messages.Drained(reason, now_back=True))
        # A result that nobody takes (the coordinator is away, or refuses it) must not keep the process for ever.
        await self._until(lambda: self.machine.idle, DELIVER_MS)
        self._given_up = True
        self._inbox.wake()

    async def _until(self, done: Callable[[], bool], most_ms: int) -> None:
        until = self._clock.now() + most_ms * MS_NS
        while not done() and self._clock.now() < until:  # noqa: ASYNC110
            await asyncio.sleep(MOMENT_S)

    async def _turn(self) -> None:
        deadline, now = self.machine.deadline(), self._clock.now()
        wait = None if deadline is None else max(0.0, (deadline - now) / SECOND_NS)
        events = await self._inbox.take(LINK_INBOX_MESSAGES, wait)
        now = self._clock.now()
        effects: list[Effect] = []
        for event in events:
            effects += self.machine.step(event, now)
        effects += self.machine.step(messages.Closing(), now)
        for effect in effects:
            await self._carry_out(effect)

    async def _carry_out(self, effect: Any) -> None:
        match effect:
            case Send():
                await self._wire.send(effect.to, Envelope(0, 0, 0, 0, effect.msg_type, 0, b"", 0, effect.payload))
            case Save():
                await self._records.save(effect.key, effect.record)
            case messages.Start():
                lease = effect.assignment.lease
                self._runs[messages.key_of(lease)] = asyncio.create_task(self._execute(effect.assignment))
            case Abort():
                run = self._runs.pop(messages.key_of(effect.lease), None)
                if run is not None:
                    run.cancel()
            case Reply():
                self._answer_fetch(effect)
            case Close():
                await self._wire.close(effect.link, effect.reason)
            case messages.Refusal():
                self._refused = QuorateError(effect.code, effect.message)

    def _answer_fetch(self, reply: Reply) -> None:
        future = self._fetches.pop(reply.call, None)
        if future is None or future.done():
            return
        if reply.code:
            future.set_exception(QuorateError(reply.code, unpack(reply.payload, str)))
        else:
            future.set_result(reply.payload)

    async def _execute(self, assignment: Assignment) -> None:
        box = NodeBox(assignment, self.machine.realm, self._signer, self._fetch)
        spec, lease = assignment.spec, assignment.lease
        executor = self._executors.get(spec.executor)
        try:
            if executor is None:
                box.result(EXECUTION, b"", (), f"this node has no executor {spec.executor!r}")
            else:
                # By duration, not by the lease's wall clock: a node's own clock may be wrong.
                async with asyncio.timeout(spec.timeout_ms / 1000):
                    await executor.run(spec, lease, box)
        except TimeoutError:
            box.result(TIMEOUT, b"", (), f"not done within {spec.timeout_ms} ms")
        except QuorateError as error:
            box.result(error.code, b"", (), error.message)
        except Exception as error:  # an executor's own defect is the task's failure, not the node's end
            box.result(EXECUTION, b"", (), f"{type(error).__name__}: {error}")
        finally:
            box.close()
            self._runs.pop(messages.key_of(lease), None)
        if box.answer is None:
            box.result(EXECUTION, b"", (), f"executor {spec.executor!r} ended without a result")
        assert box.answer is not None
        self.finished += 1
        await self._inbox.put(messages.Finished(box.answer, box.data))

    async def _fetch(self, id: Id) -> bytes:
        self._last_call += 1
        call = self._last_call
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._fetches[call] = future
        try:
            await self._inbox.put(messages.Wanted(call, id))
            return await future
        finally:
            self._fetches.pop(call, None)

    async def _receive(self) -> None:
        async for link, message in self._wire.receive():
            if message.msg_type == MessageType.LINK_OPENED:
                await self._inbox.put(LinkOpened(link, message.payload))
            elif message.msg_type == MessageType.LINK_CLOSED:
                await self._inbox.put(LinkClosed(link))
            else:
                await self._inbox.put(Arrived(link, message.payload))
        self._refused = self._refused or QuorateError(IPC, "the wire ended")
        self._inbox.wake()
