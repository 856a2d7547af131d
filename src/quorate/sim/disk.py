"""A virtual disk and, on it, `ports.Store` and `ports.Blobs`.

The disk is a byte log of checksummed groups. What was written but not synced is, after a crash, there,
gone, or torn, as the dice say. Tables are only ever made by applying groups that the log holds.
Invariants: D1 a group is on disk whole or not at all: recovery drops a torn tail. D2 whatever `commit`
returned for survives every crash. D3 after a failed sync the store refuses everything until it is
opened again. D4 one writer: an older epoch, or a wrong `expect`, is refused.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from quorate.base.codec import pack, unpack
from quorate.base.dice import Dice
from quorate.base.errors import CONFLICT, DATABASE, NOT_FOUND, TOO_LARGE, QuorateError, require
from quorate.base.ids import hash_id
from quorate.base.limits import BLOB_PART_BYTES
from quorate.model import Id, Row, Save, Sealed
from quorate.ports import Group, RowFilter
from quorate.sim.process import SimProcess
from quorate.sim.trace import Trace

_RECORD = struct.Struct("<I16s")  # length of a group and the head of its hash
_EPOCH_KEY = "sim/epoch"  # an epoch is opened by a group as well: nothing else is durable


@dataclass(slots=True)
class DiskWeather:
    """How the disk behaves: what a fault plan turns."""

    sync_ms: float = 0.3
    sync_fails: int = 0  # so many syncs from now on fail


@dataclass(slots=True)
class Tables:
    """What the groups of a log add up to."""

    events: list[Sealed] = field(default_factory=list)
    positions: dict[Id, int] = field(default_factory=dict)
    saves: dict[str, bytes] = field(default_factory=dict)
    keeps: dict[Id, bytes] = field(default_factory=dict)
    rows: dict[str, dict[bytes, Row]] = field(default_factory=dict)
    epoch: int = 0

    def apply(self, group: Group) -> None:
        for event in group.events:
            self.events.append(event)
            self.positions[hash_id(event.head)] = len(self.events)
        for save in group.saves:
            if save.key == _EPOCH_KEY:
                self.epoch = int.from_bytes(save.record, "big")
            else:
                self.saves[save.key] = save.record
        self.keeps.update((keep.id, keep.data) for keep in group.keeps)
        for project in group.rows:
            table = self.rows.setdefault(project.table, {})
            if project.row is None:
                table.pop(project.key, None)
            else:
                table[project.key] = project.row


class SimDisk:
    """The disk of one machine; it outlives the processes that use it."""

    def __init__(self, name: str, dice: Dice, trace: Trace) -> None:
        self.name = name
        self.dice = dice
        self.trace = trace
        self.weather = DiskWeather()
        self.injected: dict[str, int] = {}
        self.tables = Tables()
        self.blobs: dict[Id, bytes] = {}
        self.on_write: Callable[[], None] = lambda: None
        self.on_save: Callable[[str, bytes], None] = lambda key, record: None
        self.turn = asyncio.Lock()
        self._log = bytearray()
        self._synced = 0

    def write(self, group: Group) -> None:
        """Into the page cache: not yet durable, not yet readable."""
        body = pack(group)
        self._log += _RECORD.pack(len(body), hash_id(body)[:16]) + body

    def synced(self, group: Group) -> None:
        """The sync returned: the group is durable and readable."""
        self._synced = len(self._log)
        self.tables.apply(group)
        self.trace.note(bytes(self._log[-_RECORD.size :]))
        for save in group.saves:
            self.on_save(save.key, save.record)

    def recover(self, torn: bool = False) -> None:
        """After a crash: what was not synced is there, gone or torn, as the dice say; whole groups stay."""
        unsynced = len(self._log) - self._synced
        if unsynced:
            survive = self.dice.randrange(1, unsynced) if torn else self.dice.choice((0, unsynced))
            del self._log[self._synced + survive :]
            self.count("torn_write" if torn else "unsynced", f"{survive} of {unsynced} bytes stay")
        groups, good = self._groups()
        del self._log[good:]
        self._synced = good
        self.tables = _tables_of(groups)
        self.turn = asyncio.Lock()

    async def sync_delay(self) -> None:
        await asyncio.sleep(self.weather.sync_ms * self.dice.lognormvariate(0.0, 0.5) / 1000)

    def count(self, kind: str, what: str) -> None:
        self.injected[kind] = self.injected.get(kind, 0) + 1
        self.trace.add(self.name, f"disk: {kind}: {what}")

    def replay(self) -> Tables:
        """The tables once more, from the bytes of the log (D1). A checker compares."""
        return _tables_of(self._groups()[0])

    def _groups(self) -> tuple[list[Group], int]:
        """The groups that are whole, and where the first that is not begins."""
        groups = []
        at = 0
        while at + _RECORD.size <= len(self._log):
            length, digest = _RECORD.unpack_from(self._log, at)
            body = bytes(self._log[at + _RECORD.size : at + _RECORD.size + length])
            if len(body) < length or hash_id(body)[:16] != digest:
                break
            groups.append(unpack(body, Group))
            at += _RECORD.size + length
        return groups, at


def _tables_of(groups: list[Group]) -> Tables:
    tables = Tables()
    for group in groups:
        tables.apply(group)
    return tables


class SimStore:
    """`ports.Store`: one process's handle on its disk."""

    def __init__(self, disk: SimDisk, process: SimProcess) -> None:
        self._disk = disk
        self._process = process
        self._broken = False

    async def open_epoch(self) -> int:
        async with self._disk.turn:
            epoch = self._usable().tables.epoch + 1
            await self._write(Group((), (Save(_EPOCH_KEY, epoch.to_bytes(8, "big")),)))
        return epoch

    async def append(self, batch: Sequence[Sealed], epoch: int, expect: int) -> int:
        return await self.commit(Group(tuple(batch)), epoch, expect)

    async def commit(self, group: Group, epoch: int, expect: int) -> int:
        async with self._disk.turn:
            tables = self._usable().tables
            require(epoch == tables.epoch > 0, f"epoch {epoch}: epoch {tables.epoch} has opened the log", CONFLICT)
            require(expect == len(tables.events), f"{expect} expected, the log has {len(tables.events)}", CONFLICT)
            ids = [hash_id(event.head) for event in group.events]
            fresh = len(set(ids)) == len(ids) and tables.positions.keys().isdisjoint(ids)
            require(fresh, "an event is in the log already", CONFLICT)
            await self._write(group)
            return len(self._disk.tables.events)

    async def read(self, after: int, limit: int) -> AsyncIterator[tuple[int, Sealed]]:
        events = self._usable().tables.events[after : after + limit]
        for position, event in enumerate(events, after + 1):
            yield position, event

    async def save(self, key: str, record: bytes) -> None:
        async with self._disk.turn:
            await self._write(Group((), (Save(key, record),)))

    async def load(self, key: str) -> bytes | None:
        return self._usable().tables.saves.get(key)

    async def size(self) -> int:
        return len(self._usable().tables.events)

    async def position_of(self, event: Id) -> int | None:
        return self._usable().tables.positions.get(event)

    def row(self, table: str, key: bytes) -> Row | None:
        return self._usable().tables.rows.get(table, {}).get(key)

    def rows(self, table: str, where: RowFilter) -> list[tuple[bytes, Row]]:
        found = [
            (key, row)
            for key, row in self._usable().tables.rows.get(table, {}).items()
            if (not where.parent or row.parent == where.parent)
            and (not where.states or row.state in where.states)
            and (not where.owner or row.owner == where.owner)
            and (not where.before or row.order < where.before)
        ]
        found.sort(key=lambda item: item[1].order, reverse=True)
        return found[: where.limit]

    def counts(self, table: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for row in self._usable().tables.rows.get(table, {}).values():
            counts[row.state] = counts.get(row.state, 0) + 1
        return counts

    def kept(self, id: Id) -> bytes | None:
        return self._usable().tables.keeps.get(id)

    async def close(self) -> None:
        self._broken = True

    def _usable(self) -> SimDisk:
        self._process.check()
        require(not self._broken, "the store is closed, or a sync failed: open it again", DATABASE)
        return self._disk

    async def _write(self, group: Group) -> None:
        disk = self._usable()
        disk.write(group)
        if group.events:
            disk.on_write()
        try:
            await disk.sync_delay()
            self._process.check()
        except asyncio.CancelledError:
            self._broken = True  # nobody knows whether the group is on disk: whoever opens next finds out
            raise
        if disk.weather.sync_fails:
            disk.weather.sync_fails -= 1
            self._broken = True
            disk.count("fsync_fail", f"{len(group.events)} events")
            raise QuorateError(DATABASE, "the disk failed to sync")
        disk.synced(group)


class SimBlobs:
    """`ports.Blobs` on the same disk: blobs of their own, and what the store keeps beside its events.

    A blob is durable when `put` returns, absent before."""

    def __init__(self, disk: SimDisk, process: SimProcess) -> None:
        self._disk = disk
        self._process = process

    async def put(self, data: AsyncIterator[bytes], max_bytes: int) -> Id:
        whole = b""
        async for part in data:
            whole += part
            require(len(whole) <= max_bytes, f"a blob of more than {max_bytes} bytes", TOO_LARGE)
        await self._disk.sync_delay()
        self._process.check()
        id = hash_id(whole)
        self._disk.blobs[id] = whole
        return id

    async def get(self, id: Id) -> AsyncIterator[bytes]:
        whole = self._blob(id)
        for at in range(0, len(whole), BLOB_PART_BYTES):
            yield whole[at : at + BLOB_PART_BYTES]

    async def size(self, id: Id) -> int | None:
        blob = self._find(id)
        return None if blob is None else len(blob)

    async def part(self, id: Id, offset: int, limit: int) -> bytes:
        return self._blob(id)[offset : offset + limit]

    def _blob(self, id: Id) -> bytes:
        blob = self._find(id)
        if blob is None:
            raise QuorateError(NOT_FOUND, f"no blob {id.hex()}")
        return blob

    def _find(self, id: Id) -> bytes | None:
        self._process.check()
        return self._disk.blobs.get(id, self._disk.tables.keeps.get(id))
