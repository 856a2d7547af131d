"""The coordinator's driver: feeds the machine, commits each group, then lets its effects out.

Groups are pipelined one deep: while one is being synced the next is decided. A failed commit is a
crash and a reload of the state from disk, never a retry; the process stays up and says 2000 meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from quorate.base.codec import unpack
from quorate.base.errors import CANCELLED, DATABASE, IPC, RATE_LIMITED, QuorateError
from quorate.base.ids import hash_id
from quorate.base.limits import (
    BLOB_PART_BYTES,
    CALLS_IN_FLIGHT_MAX,
    GROUP_EVENTS_MAX,
    IDEMPOTENCY_RECENT,
    LINK_INBOX_MESSAGES,
    SECOND_NS,
    TILE_LEAVES,
)
from quorate.base.signing import Signer, Verify
from quorate.model import Append, Close, Effect, Envelope, Keep, MessageType, Principal, Project, Reply, Save, Send
from quorate.model import SignedHead as Head
from quorate.ports import Blobs, Clock, Entropy, Group, RowFilter, Store, Wire
from quorate.services.coordinator import messages
from quorate.services.coordinator.feed import Feed
from quorate.services.coordinator.machine import HEAD_KEY, Machine
from quorate.services.coordinator.observer import Observer
from quorate.services.coordinator.realm import PackKind, Validators
from quorate.services.coordinator.replay import replay
from quorate.services.coordinator.settings import CoordinatorSettings
from quorate.services.coordinator.uploads import Uploads
from quorate.services.inbox import Inbox
from quorate.services.links import Arrived, LinkClosed, LinkOpened

RELOAD_PAUSE_S = 0.2
RELOAD_PAUSE_CAP_S = 5.0


class Coordinator:
    """One coordinator. `start`, then `run` until `stop`."""

    def __init__(
        self,
        *,
        settings: CoordinatorSettings,
        signer: Signer,
        verify: Verify,
        open_store: Callable[[], Awaitable[Store]],
        open_blobs: Callable[[Store], Blobs],
        wire: Wire,
        clock: Clock,
        entropy: Entropy,
        admin_token: str,
        validators: Validators,
        observer: Observer,
        kinds: tuple[PackKind, ...] = (),
        panels: tuple[tuple[str, str, str], ...] = (),
    ) -> None:
        self.settings = settings
        self._signer, self._verify = signer, verify
        self._open_store, self._open_blobs = open_store, open_blobs
        self._wire, self.clock, self.entropy = wire, clock, entropy
        self._admin_token = admin_token
        self._validators, self._kinds = validators, kinds
        self.observer = observer
        self.panels = panels
        self._inbox: Inbox[messages.Event] = Inbox(LINK_INBOX_MESSAGES)
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._last_call = 0
        self._links: set[bytes] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._flight: asyncio.Task[None] | None = None
        self._stopping = False
        self._ready = False
        self.machine: Machine
        self.store: Store
        self.blobs: Blobs
        self.feed: Feed

    @property
    def ready(self) -> bool:
        """Loaded, and not waiting for the disk."""
        return self._ready

    async def start(self) -> None:
        """Open the store, fence off older writers, load the snapshot and fold what came after it."""
        self.store = await self._open_store()
        epoch = await self.store.open_epoch()
        self.blobs = self._open_blobs(self.store)
        salt_key = hash_id(self._signer.sign(b"quorate salt 1\x00"))
        machine = Machine(self.settings, self._signer, self._verify, salt_key, self._validators, self._kinds)
        size = await self.store.size()
        if size:
            await replay(machine, self.store, size)
        else:
            machine.found(self.entropy.bytes(16), hash_id(self._admin_token.encode()), self.clock.now())
            group, rows = machine.realm.close()
            await self.store.commit(Group(group, rows=rows), epoch, 0)
        head = await self.store.load(HEAD_KEY)
        machine.start(epoch, unpack(head, Head) if head else None, self.clock.now())
        for key, row in reversed(self.store.rows("idem", RowFilter(limit=IDEMPOTENCY_RECENT))):
            machine.commands.recall(key, row.record)
        self.machine, self._epoch, self._committed = machine, epoch, machine.realm.position
        self.feed = Feed(machine.realm.id, self.store, self._committed)
        self._uploads = Uploads(self.blobs, self._inbox.push, self._spawn)
        self._ready = True

    async def run(self) -> None:
        """Serve until `stop`; reload after a failure of the disk or of an invariant."""
        self._spawn(self._receive())
        while not self._stopping:
            try:
                while not self._stopping:
                    await self._turn()
            except Exception as error:  # whatever it was, the state in memory is not to be trusted any more
                self.observer.reloading(error)
                await self._reload(error)
        await self._last_turn()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.store.close()

    async def stop(self) -> None:
        """Let `run` finish its last group, save a snapshot and return."""
        self._stopping = True
        self._inbox.wake()

    def derived(self, label: bytes) -> bytes:
        """32 secret bytes, always the same for a label; only the holder of the authority's key can tell them."""
        return hash_id(self._signer.sign(b"quorate secret 1\x00" + hash_id(label)))

    async def ask(
        self, principal: Principal, right: str, command: messages.Command, idem: str = "", request: bytes = b""
    ) -> bytes:
        """Have the machine carry out a command: the packed reply, once it is on disk. Raises `QuorateError`."""
        if not self._ready or self._stopping:
            raise QuorateError(DATABASE if not self._stopping else CANCELLED, "the coordinator is not ready")
        if len(self._calls) >= CALLS_IN_FLIGHT_MAX:
            raise QuorateError(RATE_LIMITED, f"{CALLS_IN_FLIGHT_MAX} calls are in flight")
        self._last_call += 1
        call = self._last_call
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._calls[call] = future
        self._inbox.push(messages.Asked(call, principal, right, command, idem, request))
        try:
            return await future
        finally:
            self._calls.pop(call, None)

    async def _turn(self) -> None:
        deadline, now = self.machine.deadline(), self.clock.now()
        wait = None if deadline is None else max(0.0, (deadline - now) / SECOND_NS)
        events = await self._inbox.take(GROUP_EVENTS_MAX, wait)
        if self._flight is not None and self._flight.done():
            await self._land()
        now = self.clock.now()
        effects: list[Effect] = []
        for event in events:
            effects += self.machine.step(event, now)
            if self.machine.realm.full:
                effects = await self._close(effects, now)
        await self._close(effects, now)

    async def _close(self, effects: list[Effect], now: int) -> list[Effect]:
        effects += self.machine.step(messages.Closing(), now)
        if effects:  # a flight wakes this loop when it lands: an empty one would keep it awake for ever
            await self._fly(effects)
        return []

    async def _last_turn(self) -> None:
        if self._ready:
            await self._fly(list(self.machine.step(messages.Closing(snapshot=True), self.clock.now())))
            await self._land()
        self._fail_calls(QuorateError(CANCELLED, "the coordinator is stopping", "Send it again to the next one"))

    async def _fly(self, effects: list[Effect]) -> None:
        group = Group(
            tuple(draft for e in effects if isinstance(e, Append) for draft in e.drafts),
            tuple(e for e in effects if isinstance(e, Save)),
            tuple(e for e in effects if isinstance(e, Keep)),
            tuple(e for e in effects if isinstance(e, Project)),
        )
        await self._land()
        self._flight = asyncio.create_task(self._carry_out(group, effects))
        self._flight.add_done_callback(lambda _: self._inbox.wake())

    async def _land(self) -> None:
        flight, self._flight = self._flight, None
        if flight is not None:
            await flight

    async def _carry_out(self, group: Group, effects: list[Effect]) -> None:
        if group.events or group.saves or group.keeps or group.rows:
            before = self.clock.now()
            first = self._committed + 1
            self._committed = await self.store.commit(group, self._epoch, self._committed)
            self.observer.committed(len(group.events), self.clock.now() - before)
            if group.events:
                self.observer.published(self.feed.publish(first, group.events))
        for effect in effects:
            await self._release(effect)

    async def _release(self, effect: Any) -> None:
        match effect:
            case Send():
                await self._wire.send(effect.to, Envelope(0, 0, 0, 0, effect.msg_type, 0, b"", 0, effect.payload))
            case Reply():
                future = self._calls.get(effect.call)
                if future is not None and not future.done():
                    if effect.code:
                        message, hint = unpack(effect.payload, tuple[str, str])
                        future.set_exception(QuorateError(effect.code, message, hint))
                    else:
                        future.set_result(effect.payload)
            case Close():
                self._links.discard(effect.link)
                await self._wire.close(effect.link, effect.reason)
            case messages.ReadBlob():
                self._spawn(self._read_blob(effect))
            case messages.StorePart():
                self._uploads.part(effect)
            case messages.ReadTile():
                self._spawn(self._read_tile(effect.tile))

    async def _receive(self) -> None:
        async for link, message in self._wire.receive():
            if message.msg_type == MessageType.LINK_OPENED:
                self._links.add(link)
                await self._inbox.put(LinkOpened(link, message.payload))
            elif message.msg_type == MessageType.LINK_CLOSED:
                self._links.discard(link)
                self._uploads.forget(link)
                await self._inbox.put(LinkClosed(link))
            else:
                await self._inbox.put(Arrived(link, message.payload))

    async def _read_blob(self, wanted: messages.ReadBlob) -> None:
        try:
            total = await self.blobs.size(wanted.id)
            data = b"" if total is None else await self.blobs.part(wanted.id, wanted.offset, BLOB_PART_BYTES)
        except QuorateError as error:
            self.observer.failed("blob", error)
            total, data = None, b""
        part = messages.BlobRead(wanted.link, wanted.id, wanted.offset, -1 if total is None else total, data)
        await self._inbox.put(part)

    async def _read_tile(self, tile: int) -> None:
        leaves = await self.tile_leaves(tile)
        await self._inbox.put(messages.TileRead(tile, leaves))

    async def tile_leaves(self, tile: int) -> tuple[bytes, ...]:
        """The event ids of one full tile of the log's tree."""
        return tuple([hash_id(s.head) async for _, s in self.store.read(tile * TILE_LEAVES, TILE_LEAVES)])

    async def _reload(self, error: BaseException) -> None:
        self._ready = False
        self.feed.end()
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.gather(self._flight, return_exceptions=True)
            self._flight = None
        message = error.message if isinstance(error, QuorateError) else f"internal error: {error}"
        code = error.code if isinstance(error, QuorateError) else DATABASE
        self._fail_calls(QuorateError(code, message))
        for link in sorted(self._links):
            await self._wire.close(link, "the coordinator reloads")
        self._links.clear()
        pause = RELOAD_PAUSE_S
        while not self._stopping:
            await self.store.close()  # the broken one, and each that a failed start left open
            try:
                await self.start()
                return
            except QuorateError as failure:
                self.observer.failed("reload", failure)
                await asyncio.sleep(pause)
                pause = min(pause * 2, RELOAD_PAUSE_CAP_S)

    def _fail_calls(self, error: QuorateError) -> None:
        for future in self._calls.values():
            if not future.done():
                future.set_exception(error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.observer.failed("background", QuorateError(IPC, f"{type(error).__name__}: {error}"))
